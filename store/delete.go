package store

import (
	"context"
	"fmt"
)

// Delete removes a stream if it is as expected.
//
// A [SoftDelete] hides it until [Store.Undelete]: reads and writes fail with [ErrStreamDeleted], while [All] and links still show
// its events. A [HardDelete] removes the stream, its events in every stream and its own links, the snapshot whose source is
// called like the stream, and what projections and subscriptions have parked of it or on it; the numbers of its
// events stay unused. Subscriptions to the stream stay, and so do other snapshots and read models. The stream is then as if it had never
// been, and may be created again. A hard delete must be enabled in [Options], else the error is [ErrHardDeleteDisabled]; it may follow a
// soft delete.
//
// Errors: [ErrInvalid], [ErrStreamNotFound], [ErrStreamDeleted], [ErrWrongExpectedVersion], [ErrRetryTx], or the
// database's.
func (s *Store) Delete(ctx context.Context, stream string, expected Expected, kind DeleteKind) error {
	ctx, end := s.observe(ctx, Operation{Kind: OpDelete, Stream: stream})
	err := s.delete(ctx, stream, expected, kind)
	end(Outcome{Err: err})
	return err
}

func (s *Store) delete(ctx context.Context, stream string, expected Expected, kind DeleteKind) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if err := checkTarget(stream, expected); err != nil {
		return err
	}
	if kind != SoftDelete && kind != HardDelete {
		return &InvalidError{Field: "kind", Reason: fmt.Sprintf("%d is neither SoftDelete nor HardDelete", kind)}
	}
	err := s.storage.Delete(ctx, DeleteRequest{Stream: stream, Expected: expected, Kind: kind, Disabled: !s.hard})
	if err != nil {
		return err
	}
	s.committed()
	return nil
}

// Undelete undoes the soft delete of a stream, if the stream is as expected. It can then be read and written as before: it has the
// same id, version and events. Persistent subscriptions and projections on it, which the delete ended, go on behind their checkpoints
// when they are started again.
//
// The expected version is judged as for a delete; [Any] and [StreamExists] accept every soft-deleted stream.
//
// Errors: [ErrInvalid], [ErrStreamNotFound], [ErrStreamNotDeleted], [ErrWrongExpectedVersion], [ErrRetryTx], or the database's. After
// an error of the connection the undelete may have happened: a second call then returns ErrStreamNotDeleted.
func (s *Store) Undelete(ctx context.Context, stream string, expected Expected) error {
	ctx, end := s.observe(ctx, Operation{Kind: OpUndelete, Stream: stream})
	err := s.undelete(ctx, stream, expected)
	end(Outcome{Err: err})
	return err
}

func (s *Store) undelete(ctx context.Context, stream string, expected Expected) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if err := checkTarget(stream, expected); err != nil {
		return err
	}
	if err := s.storage.Undelete(ctx, UndeleteRequest{Stream: stream, Expected: expected}); err != nil {
		return err
	}
	s.committed()
	return nil
}
