package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// Snapshot is what a source has become, so that it need not be made of all its events again. There is one for each
// source: the newest that was recorded.
type Snapshot struct {
	// SourceID says what it is a snapshot of, for instance the name of a stream: 1 to MaxStreamName bytes.
	SourceID string
	// Version is that of the last event that went into it.
	Version int64
	// Type names what Data is, as an [Event]'s does. May be left empty if the serializer knows the name of Data's type.
	Type string
	// Data is encoded by the store's serializer.
	Data any
	// Metadata is encoded by the store's metadata serializer; nil stays absent.
	Metadata any
	// Force records it even if there is one with a higher version.
	Force bool
}

// ReadSnapshot returns the snapshot of a source. Errors: [ErrInvalid], [ErrSnapshotNotFound], or the database's.
func (s *Store) ReadSnapshot(ctx context.Context, sourceID string) (RecordedSnapshot, error) {
	if err := s.usable(ctx); err != nil {
		return RecordedSnapshot{}, err
	}
	if err := checkText("source_id", sourceID, MaxStreamName); err != nil {
		return RecordedSnapshot{}, err
	}
	snapshot, err := s.reads.ReadSnapshot(ctx, sourceID)
	if err != nil {
		return RecordedSnapshot{}, err
	}
	snapshot.codec = s.codec
	return snapshot, nil
}

// RecordSnapshot records a snapshot in place of the one before. One with a lower version than that is refused with a
// [SnapshotConflictError], unless Force is set: a slow process does not undo what a quick one has done. Errors: also
// [ErrInvalid], [ErrRetryTx], or the database's.
func (s *Store) RecordSnapshot(ctx context.Context, snapshot Snapshot) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if err := checkText("source_id", snapshot.SourceID, MaxStreamName); err != nil {
		return err
	}
	if snapshot.Version < 0 {
		return &InvalidError{Field: "version", Reason: fmt.Sprintf("%d is negative", snapshot.Version)}
	}
	var n NewEvent
	// An id, so that none is drawn: a snapshot has none.
	err := s.newEvent(&Event{ID: uuid.Max, Type: snapshot.Type, Data: snapshot.Data, Metadata: snapshot.Metadata}, &n, nil)
	if err != nil {
		return err
	}
	return s.storage.RecordSnapshot(ctx, SnapshotRequest{
		SourceID: snapshot.SourceID, Version: snapshot.Version, Type: n.Type, ContentType: n.ContentType,
		Data: n.Data, Metadata: n.Metadata, Force: snapshot.Force,
	})
}

// DeleteSnapshot deletes the snapshot of a source. That there is none is no error.
func (s *Store) DeleteSnapshot(ctx context.Context, sourceID string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if err := checkText("source_id", sourceID, MaxStreamName); err != nil {
		return err
	}
	return s.storage.DeleteSnapshot(ctx, sourceID)
}
