package memory

import (
	"bytes"
	"context"

	"github.com/eventstore-go/eventstore/store"
)

// ReadSnapshot implements [store.Storage].
func (b *Backend) ReadSnapshot(ctx context.Context, sourceID string) (store.RecordedSnapshot, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return store.RecordedSnapshot{}, err
	}
	s, ok := b.snapshots[sourceID]
	if !ok {
		return s, &store.SnapshotNotFoundError{SourceID: sourceID}
	}
	return s, nil
}

// RecordSnapshot implements [store.Storage].
func (b *Backend) RecordSnapshot(ctx context.Context, r store.SnapshotRequest) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if s, ok := b.snapshots[r.SourceID]; ok && s.Version > r.Version && !r.Force {
		return &store.SnapshotConflictError{SourceID: r.SourceID, Version: r.Version, Recorded: s.Version}
	}
	b.snapshots[r.SourceID] = store.RecordedSnapshot{
		SourceID: r.SourceID, Version: r.Version, Type: r.Type, ContentType: r.ContentType,
		Data: bytes.Clone(r.Data), Metadata: bytes.Clone(r.Metadata), CreatedAt: now(),
	}
	return nil
}

// DeleteSnapshot implements [store.Storage].
func (b *Backend) DeleteSnapshot(ctx context.Context, sourceID string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	delete(b.snapshots, sourceID)
	return nil
}
