package conformance

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

// recording makes every snapshot that is recorded change its request.
func recording(change func(r *store.SnapshotRequest)) func(b *broken) {
	return func(b *broken) {
		b.recordSnapshot = func(ctx context.Context, r store.SnapshotRequest) error {
			change(&r)
			return b.Storage.RecordSnapshot(ctx, r)
		}
	}
}

// sourced makes all calls for snapshots change the source.
func sourced(change func(sourceID string) string) func(b *broken) {
	return func(b *broken) {
		recording(func(r *store.SnapshotRequest) { r.SourceID = change(r.SourceID) })(b)
		b.readSnapshot = func(ctx context.Context, sourceID string) (store.RecordedSnapshot, error) {
			s, err := b.Storage.ReadSnapshot(ctx, change(sourceID))
			s.SourceID = sourceID
			return s, err
		}
		b.deleteSnapshot = func(ctx context.Context, sourceID string) error {
			return b.Storage.DeleteSnapshot(ctx, change(sourceID))
		}
	}
}

// deletesSnapshots deletes the snapshot of a stream that was to be deleted, where that is due.
func deletesSnapshots(due func(r store.DeleteRequest, err error) bool) func(b *broken) {
	return deleting(func(ctx context.Context, b *broken, r store.DeleteRequest) error {
		err := b.Storage.Delete(ctx, r)
		if due(r, err) {
			if err := b.Storage.DeleteSnapshot(ctx, r.Stream); err != nil {
				return err
			}
		}
		return err
	})
}

var snapshotFaults = []fault{
	{name: "snapshot-always-forced", what: "an older snapshot replaces a newer one", storage: recording(func(r *store.SnapshotRequest) { r.Force = true })},
	{name: "snapshot-never-forced", what: "a snapshot that is forced is refused", storage: recording(func(r *store.SnapshotRequest) { r.Force = false })},
	{name: "snapshot-first-stays", what: "a snapshot is never replaced", storage: func(b *broken) {
		b.recordSnapshot = func(ctx context.Context, r store.SnapshotRequest) error {
			if s, err := b.Storage.ReadSnapshot(ctx, r.SourceID); err == nil {
				if s.Version > r.Version && !r.Force {
					return &store.SnapshotConflictError{SourceID: r.SourceID, Version: r.Version, Recorded: s.Version}
				}
				return nil
			}
			return b.Storage.RecordSnapshot(ctx, r)
		}
	}},
	{name: "snapshot-keeps-metadata", what: "metadata of the snapshot before stay", storage: func(b *broken) {
		b.recordSnapshot = func(ctx context.Context, r store.SnapshotRequest) error {
			if s, err := b.Storage.ReadSnapshot(ctx, r.SourceID); err == nil && r.Metadata == nil {
				r.Metadata = s.Metadata
			}
			return b.Storage.RecordSnapshot(ctx, r)
		}
	}},
	{name: "snapshot-keeps-time", what: "the time of the first snapshot stays", storage: func(b *broken) {
		first := time.Now().UTC()
		b.readSnapshot = func(ctx context.Context, sourceID string) (store.RecordedSnapshot, error) {
			s, err := b.Storage.ReadSnapshot(ctx, sourceID)
			s.CreatedAt = first
			return s, err
		}
	}},
	{name: "snapshot-empty", what: "an absent snapshot is an empty one", storage: func(b *broken) {
		b.readSnapshot = func(ctx context.Context, sourceID string) (store.RecordedSnapshot, error) {
			s, err := b.Storage.ReadSnapshot(ctx, sourceID)
			if err != nil {
				return store.RecordedSnapshot{SourceID: sourceID, Type: "state", Data: []byte("null")}, nil
			}
			return s, nil
		}
	}},
	{name: "snapshot-type-lost", what: "all snapshots have one type", storage: recording(func(r *store.SnapshotRequest) { r.Type = "state" })},
	{name: "snapshot-stays", what: "a snapshot is never deleted", storage: func(b *broken) {
		b.deleteSnapshot = func(context.Context, string) error { return nil }
	}},
	{name: "snapshot-delete-wants-one", what: "a snapshot that is not there can't be deleted", storage: func(b *broken) {
		b.deleteSnapshot = func(ctx context.Context, sourceID string) error {
			if _, err := b.Storage.ReadSnapshot(ctx, sourceID); err != nil {
				return err
			}
			return b.Storage.DeleteSnapshot(ctx, sourceID)
		}
	}},
	{name: "snapshot-sources-folded", what: "sources are compared without case", storage: sourced(strings.ToLower)},
	{name: "snapshot-with-a-soft-delete", what: "a snapshot goes with a soft delete, too", storage: deletesSnapshots(func(r store.DeleteRequest, err error) bool {
		return err == nil && r.Kind == store.SoftDelete
	})},
	{name: "snapshot-with-a-failed-delete", what: "a snapshot goes with a delete that was refused", storage: deletesSnapshots(func(_ store.DeleteRequest, err error) bool {
		return errors.Is(err, store.ErrWrongExpectedVersion)
	})},
	{name: "snapshot-survives", what: "a snapshot survives a hard delete of the stream", storage: func(b *broken) {
		b.delete = func(ctx context.Context, r store.DeleteRequest) error {
			s, absent := b.Storage.ReadSnapshot(ctx, r.Stream)
			err := b.Storage.Delete(ctx, r)
			if err == nil && absent == nil {
				err = b.Storage.RecordSnapshot(ctx, store.SnapshotRequest{SourceID: r.Stream, Version: s.Version, Type: s.Type, Data: s.Data})
			}
			return err
		}
	}},
	{name: "snapshots-of-others", what: "a hard delete takes snapshots of sources that are called otherwise", storage: func(b *broken) {
		b.delete = func(ctx context.Context, r store.DeleteRequest) error {
			err := b.Storage.Delete(ctx, r)
			if err == nil {
				err = b.Storage.DeleteSnapshot(ctx, strings.ToUpper(r.Stream))
			}
			return err
		}
	}},
	{name: "snapshot-content-type-lost", what: "a snapshot does not say how it is encoded", storage: recording(func(r *store.SnapshotRequest) { r.ContentType = "" })},
	{name: "snapshot-cut", what: "snapshots are cut to 100,000 bytes", storage: recording(func(r *store.SnapshotRequest) {
		r.Data, r.Metadata = bytes.Clone(r.Data[:min(len(r.Data), 100_000)]), r.Metadata[:min(len(r.Metadata), 100_000)]
	})},
	{name: "snapshot-without-limits", what: "bad snapshots are recorded", store: func(c *careless) {
		c.recordSnapshot = func(ctx context.Context, s store.Snapshot) error {
			if err := c.face.RecordSnapshot(ctx, s); err == nil {
				return nil
			}
			return c.face.RecordSnapshot(ctx, store.Snapshot{SourceID: "a", Version: s.Version, Type: "state", Data: 1})
		}
	}},
}
