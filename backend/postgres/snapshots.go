package postgres

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/eventstore-go/eventstore/store"
)

// ReadSnapshot implements [store.Storage].
func (b *Backend) ReadSnapshot(ctx context.Context, sourceID string) (store.RecordedSnapshot, error) {
	s := store.RecordedSnapshot{SourceID: sourceID}
	if err := b.Check(ctx); err != nil {
		return s, err
	}
	var contentType sql.NullString
	found, err := b.one(ctx, "read_snapshot", []any{sourceID}, &s.Version, &s.CreatedAt, &s.Type, &contentType, &s.Data, &s.Metadata)
	if err != nil {
		return store.RecordedSnapshot{}, err
	}
	if !found {
		return store.RecordedSnapshot{}, &store.SnapshotNotFoundError{SourceID: sourceID}
	}
	if err := b.unhex(&s.Data, &s.Metadata); err != nil {
		return store.RecordedSnapshot{}, err
	}
	s.ContentType, s.CreatedAt = contentType.String, s.CreatedAt.UTC()
	return s, nil
}

// RecordSnapshot implements [store.Storage].
func (b *Backend) RecordSnapshot(ctx context.Context, r store.SnapshotRequest) error {
	if err := b.Check(ctx); err != nil {
		return err
	}
	if b.jsonOnly.Load() && !store.IsJSON(r.ContentType) {
		return &store.InvalidError{Field: "data", Reason: store.NotJSON(r.ContentType)}
	}
	if err := b.checkJSONB("", r.Data, r.Metadata); err != nil {
		return err
	}
	return b.pass(ctx, b.sources, r.SourceID, func() error {
		return b.retried(ctx, func() error { return b.recordSnapshot(ctx, r) })
	})
}

func (b *Backend) recordSnapshot(ctx context.Context, r store.SnapshotRequest) error {
	data := r.Data
	if data == nil {
		data = []byte{} // drivers send nil as null
	}
	var metadata any
	if r.Metadata != nil {
		metadata = r.Metadata
	}
	for range mostTries {
		recorded, err := b.one(ctx, "record_snapshot", []any{
			r.SourceID, r.Version, r.Type, nullable(r.ContentType), data, metadata, r.Force,
		}, new(int64))
		if err != nil || recorded {
			return b.beyondMemory(len(r.Data)+len(r.Metadata), err)
		}
		there, err := b.ReadSnapshot(ctx, r.SourceID)
		if err == nil && there.Version > r.Version {
			return &store.SnapshotConflictError{SourceID: r.SourceID, Version: r.Version, Recorded: there.Version}
		}
	}
	return fmt.Errorf("postgres: snapshot of %q: %w: it kept changing", r.SourceID, store.ErrRetryTx)
}

// DeleteSnapshot implements [store.Storage].
func (b *Backend) DeleteSnapshot(ctx context.Context, sourceID string) error {
	if err := b.Check(ctx); err != nil {
		return err
	}
	return b.pass(ctx, b.sources, sourceID, func() error {
		return b.retried(ctx, func() error { return b.exec(ctx, "delete_snapshot", sourceID) })
	})
}
