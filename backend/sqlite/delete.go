package sqlite

import (
	"context"

	"github.com/eventstore-go/eventstore/store"
)

// Delete implements [store.Storage].
func (b *Backend) Delete(ctx context.Context, r store.DeleteRequest) error {
	return b.write(ctx, func(tx *Backend) error {
		s, err := tx.stream(ctx, r.Stream)
		if err != nil {
			return err
		}
		if err := r.Judge(s.state()); err != nil {
			return err
		}
		if r.Kind == store.SoftDelete {
			return tx.exec(ctx, "soft_delete", s.info.ID, now().UnixMicro())
		}
		return tx.hardDelete(ctx, s.info.ID)
	})
}

// Undelete implements [store.Storage].
func (b *Backend) Undelete(ctx context.Context, r store.UndeleteRequest) error {
	return b.write(ctx, func(tx *Backend) error {
		s, err := tx.stream(ctx, r.Stream)
		if err != nil {
			return err
		}
		if err := r.Judge(s.state()); err != nil {
			return err
		}
		return tx.exec(ctx, "undelete", s.info.ID)
	})
}

// hardDelete removes the stream, its events everywhere, its links, its snapshot and what is parked of it. The head, and so all positions, stay as they are.
func (b *Backend) hardDelete(ctx context.Context, id int64) error {
	for _, query := range []string{
		"delete_begin", "delete_own_links", "delete_links", "delete_events",
		"delete_its_snapshot", "delete_notes_parked", "delete_notes_changes", "delete_its_parked", "delete_stream",
	} {
		if err := b.exec(ctx, query, id); err != nil {
			return err
		}
	}
	return b.exec(ctx, "delete_end")
}
