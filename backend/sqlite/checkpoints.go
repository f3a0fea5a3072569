package sqlite

import (
	"cmp"
	"context"

	"github.com/eventstore-go/eventstore/store"
)

var _ store.CheckpointBatcher = (*Backend)(nil)

// SaveCheckpoints implements [store.CheckpointBatcher] in one write.
func (b *Backend) SaveCheckpoints(ctx context.Context, list []store.CheckpointRequest) (refused []error, err error) {
	err = b.write(ctx, func(tx *Backend) error {
		refused = make([]error, len(list))
		for i, r := range list {
			if refused[i], err = tx.judge(ctx, r, r.Judge); err != nil {
				return err
			}
			if refused[i] == nil {
				if err := tx.noteCheckpoint(ctx, r); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return refused, nil
}

// saveCheckpoint saves a checkpoint unless it is refused. It runs in a write.
func (b *Backend) saveCheckpoint(ctx context.Context, r store.CheckpointRequest) error {
	if refused, err := b.judge(ctx, r, r.Judge); err != nil || refused != nil {
		return cmp.Or(err, refused)
	}
	return b.noteCheckpoint(ctx, r)
}

// judge judges a checkpoint by what is in the database. It runs in a write.
func (b *Backend) judge(ctx context.Context, r store.CheckpointRequest, judge func(store.CheckpointState) error) (refused, err error) {
	var s store.CheckpointState
	_, err = b.one(ctx, "judge_checkpoint", []any{r.ID.Stream, r.ID.Name, r.StreamID, r.Seen.Number},
		&s.Epoch, &s.Checkpoint, &s.StreamID, &s.End, &s.At)
	if err != nil {
		return nil, err
	}
	return judge(s), nil
}

// noteCheckpoint writes a checkpoint that was judged. It runs in a write.
func (b *Backend) noteCheckpoint(ctx context.Context, r store.CheckpointRequest) error {
	return b.exec(ctx, "save_checkpoint",
		r.ID.Stream, r.ID.Name, r.Checkpoint, r.StreamID, r.Seen.Number, nullID(r.Seen.ID), now().UnixMicro())
}
