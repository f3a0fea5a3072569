package commanded

import (
	"context"
	"database/sql"
	"encoding/json"
	"maps"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
)

var _ archive.Followed = (*Source)(nil)

// mostTransactions is how many transactions a mark may be old: the server keeps only the lower half of their numbers with a row.
const mostTransactions = 1 << 30

// Prepare implements [archive.Followed].
func (s *Source) Prepare(ctx context.Context, earlier archive.Following) (rename map[string]string, skip []string, err error) {
	s.names.recall(earlier)
	err = s.read(ctx, sql.LevelRepeatableRead, func(tx *sql.Tx) error {
		s.summary.Orphans = 0
		if err := s.checkNames(ctx, tx, nil); err != nil {
			return err
		}
		return s.each(ctx, tx, "orphans", func(rows *sql.Rows) error { return rows.Scan(&s.summary.Orphans) })
	})
	return maps.Clone(s.names.rename), s.names.skipped(), err
}

// DataType implements [archive.Followed].
func (s *Source) DataType() string { return s.dataType }

// Moment implements [archive.Followed], in a transaction at repeatable read.
func (s *Source) Moment(ctx context.Context, f func(ctx context.Context, m archive.Moment) error) error {
	return s.read(ctx, sql.LevelRepeatableRead, func(tx *sql.Tx) error {
		m := &moment{s: s, tx: tx}
		if err := m.begin(ctx); err != nil {
			return err
		}
		return f(ctx, m)
	})
}

type moment struct {
	s                   *Source
	tx                  *sql.Tx
	head, next, highest int64
	mark                archive.Mark
}

func (m *moment) begin(ctx context.Context) error {
	if err := m.s.unchanged(ctx, m.tx); err != nil {
		return err
	}
	var streams int64
	err := m.s.each(ctx, m.tx, "moment", func(rows *sql.Rows) error {
		return rows.Scan(&m.head, &m.mark.Transaction, &m.next, &streams, &m.highest)
	})
	if err != nil {
		return err
	}
	may := false
	if err := m.s.each(ctx, m.tx, "may_sequence", func(rows *sql.Rows) error { return rows.Scan(&may) }); err != nil {
		return err
	}
	if m.mark.Deleted = -1; !may {
		return nil
	}
	last := int64(0)
	// A sequence is not of the moment: read behind the streams, it is not lower than then.
	if err := m.s.each(ctx, m.tx, "sequence", func(rows *sql.Rows) error { return rows.Scan(&last) }); err != nil {
		return err
	}
	m.highest = max(m.highest, last)
	m.mark.Deleted = last - (streams - 1) // but for $all, which has 0
	return nil
}

func (m *moment) Head() int64          { return m.head }
func (m *moment) HighestStream() int64 { return m.highest }
func (m *moment) Mark() archive.Mark   { return m.mark }

func (m *moment) Events(ctx context.Context, after int64, do func(e *archive.Event) error) error {
	return m.s.pages(ctx, after, m.head, do, func(after int64, limit int) (page, error) {
		return m.s.page(ctx, m.tx, after, m.head, limit)
	})
}

func (m *moment) Streams(ctx context.Context, do func(r *archive.Stream) error) error {
	m.s.summary.SkippedStreams = 0
	return m.s.each(ctx, m.tx, "stream_rows", func(rows *sql.Rows) error {
		r, keep, err := m.s.stream(rows)
		if err != nil || !keep {
			return err
		}
		return do(&r)
	})
}

func (m *moment) Links(ctx context.Context, since []archive.Since, do func(l *archive.Link) error) error {
	text, err := json.Marshal(since)
	if err != nil {
		return err
	}
	return m.s.each(ctx, m.tx, "links_since", func(rows *sql.Rows) error {
		var r archive.Link
		var origin string
		if err := rows.Scan(&r.StreamID, &r.Version, &r.EventID, &origin); err != nil {
			return err
		}
		if _, keep := m.s.names.of(origin); !keep {
			m.s.summary.SkippedLinks++
			return nil
		}
		return do(&r)
	}, string(text))
}

func (m *moment) Snapshots(ctx context.Context, since archive.Mark, do func(r *archive.Snapshot) error) error {
	if m.next-since.Transaction > mostTransactions {
		since.Transaction = 0
	}
	return m.s.snapshotsBy(ctx, m.tx, "snapshots_since", do, since.Transaction)
}

func (m *moment) SnapshotsOf(ctx context.Context, sources []string, do func(r *archive.Snapshot) error) error {
	return m.s.snapshotsBy(ctx, m.tx, "snapshots_of", do, list(m.s.names.olds(sources)))
}

func (m *moment) SnapshotSources(ctx context.Context, do func(source string) error) error {
	m.s.summary.SkippedSnapshots = 0
	return m.s.each(ctx, m.tx, "snapshot_sources", func(rows *sql.Rows) error {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		name, keep := m.s.names.of(name)
		if !keep {
			m.s.summary.SkippedSnapshots++
			return nil
		}
		return do(name)
	})
}

func (m *moment) Subscriptions(ctx context.Context, do func(r *archive.Subscription) error) error {
	return m.s.subscriptions(ctx, m.tx, func(record any) error { return do(record.(*archive.Subscription)) })
}

func (m *moment) Places(ctx context.Context, until, size int64, do func(number, events int64) error) error {
	var skipped any
	if names := m.s.names.skipped(); len(names) > 0 {
		skipped = list(names)
	}
	return m.s.each(ctx, m.tx, "places", func(rows *sql.Rows) error {
		var number, events int64
		if err := rows.Scan(&number, &events); err != nil {
			return err
		}
		return do(number, events)
	}, until, size, skipped)
}

func (m *moment) Positions(ctx context.Context, from, until int64, do func(position int64) error) error {
	return m.s.each(ctx, m.tx, "positions", func(rows *sql.Rows) error {
		var position int64
		var stream string
		if err := rows.Scan(&position, &stream); err != nil {
			return err
		}
		if _, keep := m.s.names.of(stream); !keep {
			return nil
		}
		return do(position)
	}, from, until)
}
