package postgres

import (
	"context"
	"database/sql"

	"github.com/eventstore-go/eventstore/store"
)

var _ store.CheckpointBatcher = (*Backend)(nil)

// SaveCheckpoints implements [store.CheckpointBatcher] in one statement.
func (b *Backend) SaveCheckpoints(ctx context.Context, list []store.CheckpointRequest) (lost []store.SubscriptionID, err error) {
	if err := b.Check(ctx); err != nil || len(list) == 0 {
		return nil, err
	}
	streams, names := make([]string, len(list)), make([]string, len(list))
	epochs, checkpoints, streamIDs := make([]int64, len(list)), make([]int64, len(list)), make([]int64, len(list))
	for i, r := range list {
		streams[i], names[i] = r.ID.Stream, r.ID.Name
		epochs[i], checkpoints[i], streamIDs[i] = r.Epoch, r.Checkpoint, r.StreamID
	}
	saved := make(map[store.SubscriptionID]bool, len(list))
	err = b.retried(ctx, func() error {
		clear(saved) // what an attempt that was rolled back has returned
		return b.each(ctx, "save_checkpoints", func(rows *sql.Rows) error {
			var id store.SubscriptionID
			err := rows.Scan(&id.Stream, &id.Name)
			saved[id] = true
			return err
		}, textArray(streams), textArray(names), intArray(epochs), intArray(checkpoints), intArray(streamIDs))
	})
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if !saved[r.ID] {
			lost = append(lost, r.ID)
		}
	}
	return lost, nil
}
