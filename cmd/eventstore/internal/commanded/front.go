package commanded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/store"
)

// shownNames is how many names a [NamesError] has.
const shownNames = 20

// Front implements [archive.Source], in one transaction at repeatable read. A [NamesError] comes before do is called.
func (s *Source) Front(ctx context.Context, do func(record any) error) error {
	return s.read(ctx, sql.LevelRepeatableRead, func(tx *sql.Tx) error {
		parts := []func(context.Context, *sql.Tx, func(any) error) error{
			s.checkNames, s.header, s.streams, s.links, s.snapshots, s.subscriptions,
		}
		for _, part := range parts {
			if err := part(ctx, tx, do); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Source) checkNames(ctx context.Context, tx *sql.Tx, _ func(any) error) error {
	if err := s.resolve(ctx, tx); err != nil {
		return err
	}
	unfit := &NamesError{Where: s.where.String(), Schema: s.schema}
	err := s.each(ctx, tx, "unfit", func(rows *sql.Rows) error {
		var n Name
		if err := rows.Scan(&n.Kind, &n.Text, &unfit.Total); err != nil {
			return err
		}
		unfit.Names = append(unfit.Names, n)
		return nil
	}, store.MaxStreamName, store.MaxType, store.MaxSubscriptionName, shownNames, list(s.names.given()), list(s.names.skipped()), s.names.later)
	if err == nil && unfit.Total > 0 {
		return unfit
	}
	return err
}

func (s *Source) header(ctx context.Context, tx *sql.Tx, do func(any) error) error {
	if err := s.each(ctx, tx, "orphans", func(rows *sql.Rows) error { return rows.Scan(&s.summary.Orphans) }); err != nil {
		return err
	}
	h := &archive.Header{Source: "commanded", Rename: maps.Clone(s.names.rename), Skip: s.names.skipped()}
	if err := s.each(ctx, tx, "head", func(rows *sql.Rows) error { return rows.Scan(&h.Head) }); err != nil {
		return err
	}
	var err error
	if h.HeadEvent, err = s.eventAt(ctx, tx, h.Head); err != nil {
		return err
	}
	return do(h)
}

func (s *Source) streams(ctx context.Context, tx *sql.Tx, do func(any) error) error {
	s.summary.SkippedStreams = 0
	return s.each(ctx, tx, "streams", func(rows *sql.Rows) error {
		linked := false
		r, keep, err := s.stream(rows, &linked)
		if err != nil || !keep {
			return err
		}
		r.Linked = linked
		return do(&r)
	})
}

// stream scans a stream, and what stands behind its columns. It reports whether the stream is kept.
func (s *Source) stream(rows *sql.Rows, more ...any) (r archive.Stream, keep bool, err error) {
	var created int64
	var deleted sql.NullInt64
	if err := rows.Scan(append([]any{&r.ID, &r.Name, &r.Version, &created, &deleted}, more...)...); err != nil {
		return r, false, err
	}
	r.CreatedAt = at(created)
	if deleted.Valid {
		r.DeletedAt = at(deleted.Int64)
	}
	if r.Name, keep = s.names.of(r.Name); !keep {
		s.summary.SkippedStreams++
		return r, false, nil
	}
	return r, true, s.fit("stream", r.Name)
}

func (s *Source) links(ctx context.Context, tx *sql.Tx, do func(any) error) error {
	s.summary.Links, s.summary.SkippedLinks = 0, 0
	return s.each(ctx, tx, "links", func(rows *sql.Rows) error {
		var r archive.Link
		var stream string
		var origin sql.NullString
		if err := rows.Scan(&r.StreamID, &stream, &r.Version, &r.EventID, &origin); err != nil {
			return err
		}
		_, keep := s.names.of(stream)
		_, there := s.names.of(origin.String)
		switch {
		case !keep || origin.Valid && !there:
			s.summary.SkippedLinks++
			return nil
		case !origin.Valid:
			s.summary.Links++
			return nil
		}
		return do(&r)
	})
}

// countSnapshot counts the format of a snapshot, once for each source: while a transaction of the source's database stays open, every
// moment finds the same snapshots again.
func (s *Source) countSnapshot(source string, number *int64) {
	if was := s.formats[source]; was != nil {
		*was--
		delete(s.formats, source)
	}
	if number != nil {
		*number++
		s.formats[source] = number
	}
}

func (s *Source) snapshots(ctx context.Context, tx *sql.Tx, do func(any) error) error {
	s.summary.SkippedSnapshots = 0
	return s.snapshotsBy(ctx, tx, "snapshots", func(r *archive.Snapshot) error { return do(r) })
}

// snapshotsBy calls do with the snapshots that a statement finds.
func (s *Source) snapshotsBy(ctx context.Context, tx *sql.Tx, statement string, do func(r *archive.Snapshot) error, args ...any) error {
	return s.each(ctx, tx, statement, func(rows *sql.Rows) error {
		var r archive.Snapshot
		var created int64
		if err := rows.Scan(&r.SourceID, &r.Version, &r.Type, &r.Data, &r.Metadata, &created); err != nil {
			return err
		}
		var keep bool
		if r.SourceID, keep = s.names.of(r.SourceID); !keep {
			s.summary.SkippedSnapshots++
			return nil
		}
		if err := errors.Join(s.fit("snapshot", r.SourceID), s.fit("snapshot type", r.Type)); err != nil {
			return err
		}
		r.CreatedAt = at(created)
		var number *int64
		r.Metadata, r.ContentType, number = s.contentType(r.Data, r.Metadata)
		s.countSnapshot(r.SourceID, number)
		return do(&r)
	}, args...)
}

func (s *Source) subscriptions(ctx context.Context, tx *sql.Tx, do func(any) error) error {
	s.summary.Checkpoints, s.summary.SkippedSubscriptions, s.anew = 0, 0, nil
	return s.each(ctx, tx, "subscriptions", func(rows *sql.Rows) error {
		var r archive.Subscription
		var version sql.NullInt64
		var created int64
		anew := false
		if err := rows.Scan(&r.Stream, &r.Name, &r.Checkpoint, &r.StreamID, &version, &created, &anew); err != nil {
			return err
		}
		var keep bool
		if r.Stream, keep = s.names.of(r.Stream); !keep {
			s.summary.SkippedSubscriptions++
			return nil
		}
		if err := errors.Join(s.fit("subscribed stream", r.Stream), s.fit("subscription", r.Name)); err != nil {
			return err
		}
		switch {
		case anew: // so that nothing of the stream that has the name now, or gets it, is passed over
			s.anew = append(s.anew, fmt.Sprintf("%q on %q, at %d", r.Name, r.Stream, r.Checkpoint))
			r.Checkpoint = 0
			s.summary.Checkpoints++
		case version.Valid && r.Checkpoint > version.Int64: // of $all, whose last events were lost
			r.Checkpoint = version.Int64
			s.summary.Checkpoints++
		}
		r.CreatedAt = at(created)
		r.UpdatedAt = r.CreatedAt
		return do(&r)
	})
}

// StreamIDs implements [archive.Source].
func (s *Source) StreamIDs(ctx context.Context, do func(id int64) error) error {
	return s.read(ctx, sql.LevelDefault, func(tx *sql.Tx) error {
		return s.each(ctx, tx, "stream_ids", func(rows *sql.Rows) error {
			var id int64
			if err := rows.Scan(&id); err != nil {
				return err
			}
			return do(id)
		})
	})
}
