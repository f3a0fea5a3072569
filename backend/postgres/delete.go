package postgres

import (
	"context"
	"fmt"

	"github.com/eventstore-go/eventstore/store"
)

// Delete implements [store.Storage].
func (b *Backend) Delete(ctx context.Context, r store.DeleteRequest) error {
	if err := b.Check(ctx); err != nil {
		return err
	}
	return b.pass(ctx, b.streams, r.Stream, func() error {
		return b.once(ctx, func(b *Backend) error { return b.delete(ctx, r) })
	})
}

// delete runs in b.tx. The row is locked by a statement of its own: the next one has a later snapshot and so sees every
// event of the stream.
func (b *Backend) delete(ctx context.Context, r store.DeleteRequest) error {
	s, err := b.lockForDelete(ctx, r.Stream)
	if err != nil {
		return err
	}
	if err := r.Judge(s.State); err != nil {
		return err
	}
	if r.Kind == store.SoftDelete {
		return b.exec(ctx, "soft_delete", s.id)
	}
	return b.exec(ctx, "hard_delete", s.id)
}

// Undelete implements [store.Storage].
func (b *Backend) Undelete(ctx context.Context, r store.UndeleteRequest) error {
	if err := b.Check(ctx); err != nil {
		return err
	}
	return b.pass(ctx, b.streams, r.Stream, func() error {
		return b.once(ctx, func(b *Backend) error {
			s, err := b.lockForDelete(ctx, r.Stream)
			if err == nil {
				err = r.Judge(s.State)
			}
			if err != nil {
				return err
			}
			return b.exec(ctx, "undelete", s.id)
		})
	})
}

// lockForDelete locks a stream, if it is there. Whoever waits for a row that is deleted, and replaced by the same transaction, does
// not see the new one: it looks again.
func (b *Backend) lockForDelete(ctx context.Context, stream string) (s found, err error) {
	for range mostTries {
		if s, err = b.find(ctx, "lock_for_delete", stream); err != nil || s.Exists {
			return s, err
		}
		again, err := b.find(ctx, "find_stream", stream)
		if err != nil || !again.Exists {
			return again, err
		}
	}
	return s, fmt.Errorf("postgres: delete %q: %w: the stream kept changing", stream, store.ErrRetryTx)
}
