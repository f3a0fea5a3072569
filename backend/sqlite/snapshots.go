package sqlite

import (
	"context"
	"database/sql"

	"github.com/eventstore-go/eventstore/store"
)

// ReadSnapshot implements [store.Storage].
func (b *Backend) ReadSnapshot(ctx context.Context, sourceID string) (store.RecordedSnapshot, error) {
	if err := b.usable(ctx); err != nil {
		return store.RecordedSnapshot{}, err
	}
	return b.snapshot(ctx, sourceID)
}

func (b *Backend) snapshot(ctx context.Context, sourceID string) (store.RecordedSnapshot, error) {
	s := store.RecordedSnapshot{SourceID: sourceID}
	var created int64
	var contentType sql.NullString
	var metadata owned
	found, err := b.one(ctx, "read_snapshot", []any{sourceID}, &s.Version, &created, &s.Type, &contentType, &s.Data, &metadata)
	if err != nil {
		return store.RecordedSnapshot{}, err
	}
	if !found {
		return store.RecordedSnapshot{}, &store.SnapshotNotFoundError{SourceID: sourceID}
	}
	s.ContentType, s.CreatedAt = contentType.String, fromMicros(created)
	s.Metadata = metadata.bytes
	return s, nil
}

// owned is a copy of bytes, nil for null.
type owned struct{ bytes []byte }

// Scan implements [sql.Scanner].
func (o *owned) Scan(value any) error {
	var from optional
	err := from.Scan(value)
	if o.bytes = nil; err == nil && from.there {
		o.bytes = append([]byte{}, from.bytes...)
	}
	return err
}

// RecordSnapshot implements [store.Storage].
func (b *Backend) RecordSnapshot(ctx context.Context, r store.SnapshotRequest) error {
	data := r.Data
	if data == nil {
		data = []byte{}
	}
	var contentType, metadata any
	if r.ContentType != "" {
		contentType = r.ContentType
	}
	if r.Metadata != nil {
		metadata = r.Metadata
	}
	return b.write(ctx, func(tx *Backend) error {
		recorded, err := tx.one(ctx, "record_snapshot", []any{
			r.SourceID, r.Version, now().UnixMicro(), r.Type, contentType, data, metadata, r.Force,
		}, new(int64))
		if err != nil || recorded {
			return err
		}
		there, err := tx.snapshot(ctx, r.SourceID)
		if err != nil {
			return err
		}
		return &store.SnapshotConflictError{SourceID: r.SourceID, Version: r.Version, Recorded: there.Version}
	})
}

// DeleteSnapshot implements [store.Storage].
func (b *Backend) DeleteSnapshot(ctx context.Context, sourceID string) error {
	return b.write(ctx, func(tx *Backend) error { return tx.exec(ctx, "delete_snapshot", sourceID) })
}
