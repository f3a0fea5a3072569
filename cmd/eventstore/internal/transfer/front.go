package transfer

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
)

// Front implements [archive.Source].
func (s *source) Front(ctx context.Context, do func(record any) error) error {
	// So that all that is committed has a position.
	if _, err := s.d.Backend.Head(ctx); err != nil {
		return err
	}
	opts := &sql.TxOptions{ReadOnly: true}
	if s.d.Kind == database.PostgreSQL {
		opts.Isolation = sql.LevelRepeatableRead
	}
	tx, err := s.d.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	f := &front{source: s, tx: tx, do: do}
	return f.read(ctx)
}

// front reads all but events in one transaction.
type front struct {
	*source
	tx   *sql.Tx
	do   func(record any) error
	cuts map[int64]int64  // by id of a stream: its first version that has no position yet
	name map[string]int64 // of such streams
}

// until returns how far a version counts in a stream.
func (f *front) until(stream, version int64) int64 {
	if cut, ok := f.cuts[stream]; ok {
		return min(version, cut-1)
	}
	return version
}

func (f *front) read(ctx context.Context) error {
	h := archive.Header{Source: string(f.d.Kind), Streams: f.streams}
	if err := f.tx.QueryRowContext(ctx, f.queries.Get("front_head")).Scan(&h.Head, &h.LastStream); err != nil {
		return err
	}
	var err error
	if h.HeadEvent, err = eventAt(ctx, f.tx, f.queries, h.Head); err != nil {
		return err
	}
	if err := f.checkChosen(ctx); err != nil {
		return err
	}
	if err := f.readCuts(ctx); err != nil {
		return err
	}
	if err := f.do(&h); err != nil {
		return err
	}
	for _, read := range []func(ctx context.Context) error{f.readStreams, f.readLinks, f.readSnapshots, f.readSubscriptions} {
		if err := read(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (f *front) checkChosen(ctx context.Context) error {
	if f.chosen == nil {
		return nil
	}
	for _, check := range []struct{ query, reason string }{
		{"front_missing", "these streams are not there"},
		{"front_outside", "the chosen streams link to events of streams that are not chosen; choose these, too"},
	} {
		var found []string
		err := each(ctx, f.tx, f.queries.Get(check.query), func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			found = append(found, name)
			return err
		}, f.chosen)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return &ChosenError{check.reason, found}
		}
	}
	return nil
}

func (f *front) readCuts(ctx context.Context) error {
	f.cuts, f.name = map[int64]int64{}, map[string]int64{}
	if f.d.Kind == database.SQLite {
		return nil // every event has a position
	}
	return each(ctx, f.tx, f.queries.Get("front_cuts"), func(rows *sql.Rows) error {
		var id, version int64
		var name string
		err := rows.Scan(&id, &name, &version)
		f.cuts[id], f.name[name] = version, id
		return err
	})
}

func (f *front) readStreams(ctx context.Context) error {
	var r archive.Stream
	return each(ctx, f.tx, f.queries.Get("front_streams"), func(rows *sql.Rows) error {
		if err := rows.Scan(&r.ID, &r.Name, &r.Version, f.time(&r.CreatedAt), f.time(&r.DeletedAt), &r.Linked); err != nil {
			return err
		}
		version := f.until(r.ID, r.Version)
		if version == 0 && r.Version > 0 {
			return nil // created after the head
		}
		r.Version = version
		return f.do(&r)
	}, f.chosen)
}

func (f *front) readLinks(ctx context.Context) error {
	var r archive.Link
	return each(ctx, f.tx, f.queries.Get("front_links"), func(rows *sql.Rows) error {
		if err := rows.Scan(&r.StreamID, &r.Version, id{&r.EventID}); err != nil {
			return err
		}
		if f.until(r.StreamID, r.Version) < r.Version {
			return nil
		}
		return f.do(&r)
	}, f.chosen)
}

func (f *front) readSnapshots(ctx context.Context) error {
	return each(ctx, f.tx, f.queries.Get("front_snapshots"), func(rows *sql.Rows) error {
		var r archive.Snapshot
		err := rows.Scan(&r.SourceID, &r.Version, &r.Type, &r.ContentType, &r.Data, optional{&r.Metadata}, f.time(&r.CreatedAt))
		if err != nil {
			return err
		}
		if stream, ok := f.name[r.SourceID]; ok && f.until(stream, r.Version) < r.Version {
			return nil // made of events that have no position yet
		}
		return f.do(&r)
	}, f.chosen)
}

func (f *front) readSubscriptions(ctx context.Context) error {
	return each(ctx, f.tx, f.queries.Get("front_subscriptions"), func(rows *sql.Rows) error {
		var r archive.Subscription
		var parked string
		err := rows.Scan(&r.Stream, &r.Name, &r.Checkpoint, &r.StreamID, &r.Seen, id{&r.SeenID}, f.time(&r.CreatedAt), f.time(&r.UpdatedAt), &parked)
		if err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(parked), &r.Parked); err != nil {
			return fmt.Errorf("what subscription %q on %q has parked: %w", r.Name, r.Stream, err)
		}
		for i := range r.Parked {
			r.Parked[i].ParkedAt = r.Parked[i].ParkedAt.UTC()
		}
		if r.StreamID != 0 {
			r.Checkpoint = f.until(r.StreamID, r.Checkpoint)
			if f.until(r.StreamID, r.Seen) < r.Seen {
				r.Seen, r.SeenID = 0, uuid.Nil
			}
		}
		return f.do(&r)
	}, f.chosen)
}
