package postgres

import (
	"context"
	"database/sql"

	"github.com/eventstore-go/eventstore/store"
)

var _ store.CheckpointBatcher = (*Backend)(nil)

// SaveCheckpoints implements [store.CheckpointBatcher] in one statement.
func (b *Backend) SaveCheckpoints(ctx context.Context, list []store.CheckpointRequest) (refused []error, err error) {
	if err := b.Check(ctx); err != nil || len(list) == 0 {
		return nil, err
	}
	n := len(list)
	streams, names, seenIDs, eras := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	epochs, checkpoints, streamIDs, seen, known := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	for i, r := range list {
		streams[i], names[i], seenIDs[i], eras[i] = r.ID.Stream, r.ID.Name, r.Seen.ID.String(), r.Era
		epochs[i], checkpoints[i], streamIDs[i], seen[i], known[i] = r.Epoch, r.Checkpoint, r.StreamID, r.Seen.Number, r.Known
	}
	err = b.retried(ctx, func() error {
		refused = make([]error, n)
		for i, r := range list {
			refused[i] = r.Judge(store.CheckpointState{}) // unless it is found
		}
		return b.each(ctx, "save_checkpoints", func(rows *sql.Rows) error {
			var nr int
			var j judged
			if err := rows.Scan(append([]any{&nr}, j.into()...)...); err != nil {
				return err
			}
			refused[nr-1] = j.refuse(list[nr-1].Judge)
			return nil
		}, textArray(streams), textArray(names), intArray(epochs), intArray(checkpoints), intArray(streamIDs), intArray(seen),
			textArray(seenIDs), intArray(known), textArray(eras))
	})
	if err != nil {
		return nil, err
	}
	return refused, nil
}

// checkpointArgs are the arguments of save_checkpoint.
func checkpointArgs(r store.CheckpointRequest) []any {
	var id any
	if !r.Seen.IsZero() {
		id = r.Seen.ID.String()
	}
	return []any{r.ID.Stream, r.ID.Name, r.Epoch, r.Checkpoint, r.StreamID, r.Seen.Number, id, r.Known, r.Era}
}

// saveJudged runs a statement that saves a checkpoint unless it is refused.
func (b *Backend) saveJudged(ctx context.Context, judge func(store.CheckpointState) error, statement string, args ...any) error {
	if err := b.Check(ctx); err != nil {
		return err
	}
	return b.retried(ctx, func() error {
		var j judged
		found, err := b.one(ctx, statement, args, j.into()...)
		switch {
		case err != nil:
			return err
		case !found:
			return judge(store.CheckpointState{})
		}
		return j.refuse(judge)
	})
}

// judged is what a statement that saves a checkpoint says of it.
type judged struct {
	saved, lost bool
	state       store.CheckpointState
}

func (j *judged) into() []any {
	return []any{&j.saved, &j.state.Epoch, &j.state.Checkpoint, &j.state.StreamID, &j.state.End, &j.state.At, &j.lost, &j.state.Era}
}

// refuse returns why a checkpoint was not saved, or nil if it was.
func (j *judged) refuse(judge func(store.CheckpointState) error) error {
	if j.saved {
		return nil
	}
	if err := judge(j.state); err != nil {
		return err
	}
	return judge(store.CheckpointState{}) // the row has changed since, or is about to be removed
}
