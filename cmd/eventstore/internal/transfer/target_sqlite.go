package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
)

// sqliteTarget writes row by row. Every transaction locks out everybody else who writes.
type sqliteTarget struct{ base }

func (t *sqliteTarget) close() error { return nil }

// in runs f in a transaction of the import under way.
func (t *sqliteTarget) in(ctx context.Context, f func(tx tx) error) error {
	return t.transaction(ctx, func(tx tx) error {
		if err := tx.exec(ctx, "importing", 1); err != nil {
			return err
		}
		if err := f(tx); err != nil {
			return err
		}
		return tx.exec(ctx, "importing", 0)
	})
}

// last runs f in the transaction that ends the import.
func (t *sqliteTarget) last(ctx context.Context, f func(tx tx) error) error {
	return t.transaction(ctx, func(tx tx) error {
		if err := tx.exec(ctx, "importing", 1); err != nil {
			return err
		}
		return f(tx)
	})
}

func (t *sqliteTarget) transaction(ctx context.Context, f func(tx tx) error) error {
	begun, err := t.d.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx{begun, t.base}); err != nil {
		return errors.Join(err, ended(begun.Rollback()))
	}
	return begun.Commit()
}

func (t *sqliteTarget) taken(ctx context.Context, l look) error { return t.base.taken(ctx, t.d.DB, l) }

func (t *sqliteTarget) begin(ctx context.Context, s state, each func(context.Context, func([]*archive.Stream) error) error) (state, error) {
	err := t.transaction(ctx, func(tx tx) (err error) {
		if s, err = tx.begin(ctx, s, func() (base int64, err error) {
			if _, err = tx.one(ctx, "reserve", nil, &base); err != nil {
				return 0, err
			}
			return base, tx.exec(ctx, "retire_streams", base+s.highest)
		}); err != nil {
			return err
		}
		if err := each(ctx, func(batch []*archive.Stream) error { return t.streams(ctx, tx, s, batch) }); err != nil {
			return err
		}
		return tx.exec(ctx, "importing", 0)
	})
	return s, err
}

// rows executes a statement for each of n rows.
func (t tx) rows(ctx context.Context, name string, n int, row func(i int) []any) (err error) {
	if n == 0 {
		return nil
	}
	statement, err := t.PrepareContext(ctx, t.queries.Get(name))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer func() { err = errors.Join(err, statement.Close()) }()
	for i := range n {
		if _, err := statement.ExecContext(ctx, row(i)...); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

func idBytes(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id[:]
}

func (t *sqliteTarget) streams(ctx context.Context, tx tx, s state, batch []*archive.Stream) error {
	names := make([]string, len(batch))
	for i, r := range batch {
		names[i] = r.Name
	}
	if err := t.base.taken(ctx, tx, look{names: names}); err != nil {
		return err
	}
	return tx.rows(ctx, "insert_stream", len(batch), func(i int) []any {
		r := batch[i]
		return []any{s.base + r.ID, r.Name, r.Version, micros(r.CreatedAt), micros(r.DeletedAt)}
	})
}

func (t *sqliteTarget) within(ctx context.Context, was, now state, f func(tx tx) error) error {
	return t.in(ctx, func(tx tx) error {
		if err := tx.write(ctx, was, now); err != nil {
			return err
		}
		return f(tx)
	})
}

func (t *sqliteTarget) events(ctx context.Context, was, now state, batch []*archive.Event) error {
	return t.within(ctx, was, now, func(tx tx) error { return t.putEvents(ctx, tx, was, batch) })
}

func (t *sqliteTarget) putEvents(ctx context.Context, tx tx, was state, batch []*archive.Event) error {
	if len(batch) == 0 {
		return nil
	}
	var head int64
	if _, err := tx.one(ctx, "head", nil, &head); err != nil {
		return err
	}
	if !was.merge && head != 0 { // which the end of the import sets
		return ErrMeanwhile
	}
	position := func(i int) int64 {
		if was.merge {
			return head + int64(i) + 1
		}
		return batch[i].Position
	}
	err := tx.rows(ctx, "insert_event", len(batch), func(i int) []any {
		e := batch[i]
		return []any{
			position(i), e.Index, was.base + e.StreamID, e.Version, micros(e.CreatedAt), idBytes(e.ID), idBytes(e.CausationID), idBytes(e.CorrelationID),
			e.Type, e.ContentType, e.Data, bytesOrNull(e.Metadata),
		}
	})
	if err != nil {
		return t.explain(ctx, tx, batch, err)
	}
	if !was.merge {
		return nil
	}
	return tx.exec(ctx, "set_head", position(len(batch)-1))
}

// reserve is for streams alone: a position is that of a row.
func (t *sqliteTarget) reserve(ctx context.Context, tx tx, _, stream int64) error {
	return tx.exec(ctx, "retire_streams", stream)
}

// explain returns ErrTakenID where that is why events could not be written.
func (t *sqliteTarget) explain(ctx context.Context, tx tx, batch []*archive.Event, err error) error {
	b := t.d.Backend.WithTx(tx.Tx)
	for _, e := range batch {
		if found, readErr := b.ReadEvent(ctx, e.ID); readErr == nil && found.Stream != e.Stream {
			return fmt.Errorf("%w: %s, in %q and in %q", ErrTakenID, e.ID, found.Stream, e.Stream)
		}
	}
	return err
}

func (t *sqliteTarget) gone(ctx context.Context, was, now state, batch []*archive.Gone) error {
	return t.in(ctx, func(tx tx) error {
		if err := tx.write(ctx, was, now); err != nil {
			return err
		}
		return tx.removeGone(ctx, was.base, batch)
	})
}

func (t *sqliteTarget) links(ctx context.Context, was, now state, batch []*archive.Link) error {
	return t.within(ctx, was, now, func(tx tx) error { return t.putLinks(ctx, tx, was, batch) })
}

func (t *sqliteTarget) putLinks(ctx context.Context, tx tx, was state, batch []*archive.Link) error {
	return tx.rows(ctx, "insert_link", len(batch), func(i int) []any {
		return []any{was.base + batch[i].StreamID, batch[i].Version, idBytes(batch[i].EventID)}
	})
}

func (t *sqliteTarget) snapshots(ctx context.Context, was, now state, batch []*archive.Snapshot) error {
	return t.in(ctx, func(tx tx) error {
		if err := tx.write(ctx, was, now); err != nil {
			return err
		}
		for _, s := range batch {
			one := 0
			found, err := tx.one(ctx, "insert_snapshot", []any{s.SourceID, s.Version, s.Type, s.ContentType, s.Data, bytesOrNull(s.Metadata), micros(s.CreatedAt)}, &one)
			if err == nil && !found {
				err = &TakenError{ErrTaken, "snapshots", []string{s.SourceID}}
			}
			if err == nil {
				err = tx.exec(ctx, "note_snapshot", s.SourceID)
			}
			if err != nil {
				return fmt.Errorf("the snapshot of %q: %w", s.SourceID, err)
			}
		}
		return nil
	})
}

func (t *sqliteTarget) finish(ctx context.Context, was state, list []*archive.Subscription) error {
	return t.last(ctx, func(tx tx) error {
		if err := tx.write(ctx, was, was); err != nil {
			return err
		}
		if err := tx.subscriptions(ctx, was, list); err != nil {
			return err
		}
		if !was.merge {
			var head int64
			if _, err := tx.one(ctx, "head", nil, &head); err != nil {
				return err
			}
			if head != 0 {
				return ErrMeanwhile
			}
			if err := tx.exec(ctx, "set_head", was.header.Head); err != nil {
				return err
			}
		}
		if err := tx.exec(ctx, "skip_stream"); err != nil {
			return err
		}
		return tx.end(ctx)
	})
}

func (t *sqliteTarget) mark(ctx context.Context, was state) error {
	return t.in(ctx, func(tx tx) error { return tx.mark(ctx, was) })
}

func (t *sqliteTarget) clear(ctx context.Context, s state) (more bool, err error) {
	err = t.in(ctx, func(tx tx) error {
		more, err = tx.clear(ctx, s)
		return err
	})
	return more, err
}

func (t *sqliteTarget) clean(ctx context.Context, s state) error {
	return t.last(ctx, func(tx tx) error { return tx.clean(ctx, s) })
}

var _, _ target = (*sqliteTarget)(nil), (*postgresTarget)(nil)
