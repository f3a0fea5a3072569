package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/store"
)

// sqliteTarget writes row by row. Every transaction locks out everybody else who writes.
type sqliteTarget struct{ base }

func (t *sqliteTarget) close() error { return nil }

// in runs f in a transaction.
func (t *sqliteTarget) in(ctx context.Context, f func(tx tx) error) error {
	begun, err := t.d.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx{begun, t.base}); err != nil {
		return errors.Join(err, ended(begun.Rollback()))
	}
	return begun.Commit()
}

func (t *sqliteTarget) begin(ctx context.Context, h archive.Header, highest int64, merge bool) (s state, err error) {
	err = t.in(ctx, func(tx tx) error {
		s, err = tx.begin(ctx, h, merge, func(bool) (base int64, err error) {
			if _, err = tx.one(ctx, "reserve", nil, &base); err != nil {
				return 0, err
			}
			return base, tx.exec(ctx, "retire_streams", base+highest)
		})
		return err
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

func (t *sqliteTarget) streams(ctx context.Context, was, now state, batch []*archive.Stream) error {
	return t.in(ctx, func(tx tx) error {
		if err := tx.write(ctx, was, now); err != nil {
			return err
		}
		if err := tx.taken(ctx, batch); err != nil {
			return err
		}
		return tx.rows(ctx, "insert_stream", len(batch), func(i int) []any {
			s := batch[i]
			return []any{was.base + s.ID, s.Name, s.Version, micros(s.CreatedAt), micros(s.DeletedAt)}
		})
	})
}

func (t *sqliteTarget) events(ctx context.Context, was, now state, batch []*archive.Event) error {
	return t.in(ctx, func(tx tx) error {
		if err := tx.write(ctx, was, now); err != nil || len(batch) == 0 {
			return err
		}
		var head int64
		if _, err := tx.one(ctx, "head", nil, &head); err != nil {
			return err
		}
		if !was.merge && head != was.position {
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
		return tx.exec(ctx, "set_head", position(len(batch)-1))
	})
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
		return tx.removeStreams(ctx, was.base, batch)
	})
}

func (t *sqliteTarget) links(ctx context.Context, was, now state, batch []*archive.Link) error {
	return t.in(ctx, func(tx tx) error {
		if err := tx.write(ctx, was, now); err != nil {
			return err
		}
		return tx.rows(ctx, "insert_link", len(batch), func(i int) []any {
			return []any{was.base + batch[i].StreamID, batch[i].Version, idBytes(batch[i].EventID)}
		})
	})
}

func (t *sqliteTarget) snapshots(ctx context.Context, was, now state, batch []*archive.Snapshot) error {
	return t.in(ctx, func(tx tx) error {
		if err := tx.write(ctx, was, now); err != nil {
			return err
		}
		return tx.rows(ctx, "insert_snapshot", len(batch), func(i int) []any {
			s := batch[i]
			return []any{s.SourceID, s.Version, s.Type, s.ContentType, s.Data, bytesOrNull(s.Metadata), micros(s.CreatedAt)}
		})
	})
}

func (t *sqliteTarget) subscriptions(ctx context.Context, was, now state, batch []*archive.Subscription) error {
	return t.in(ctx, func(tx tx) error {
		if err := tx.write(ctx, was, now); err != nil {
			return err
		}
		for _, s := range batch {
			if was.merge && s.Stream == store.All {
				continue // its checkpoint is a position, and those are others now
			}
			if err := tx.exec(ctx, "draw_epoch"); err != nil {
				return err
			}
			err := tx.exec(ctx, "insert_subscription", s.Stream, s.Name, s.Checkpoint, subscriptionStream(was, s), micros(s.CreatedAt), micros(s.UpdatedAt))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *sqliteTarget) finish(ctx context.Context, was state, h archive.Header) error {
	return t.in(ctx, func(tx tx) error {
		if err := tx.write(ctx, was, was); err != nil {
			return err
		}
		var head int64
		if _, err := tx.one(ctx, "head", nil, &head); err != nil {
			return err
		}
		switch {
		case was.merge:
		case head != was.position:
			return ErrMeanwhile
		case head < h.Head:
			if err := tx.exec(ctx, "set_head", h.Head); err != nil {
				return err
			}
		}
		if err := tx.exec(ctx, "skip_stream"); err != nil {
			return err
		}
		return tx.exec(ctx, "progress_drop")
	})
}

var _, _ target = (*sqliteTarget)(nil), (*postgresTarget)(nil)
