package store

import (
	"context"
	"errors"
	"sync"
	"time"
)

// saver is a subscription as checkpoints sees it. Its methods do not block.
type saver interface {
	// checkpointRequest returns the checkpoint to write, if one is due, or nearly due if soon, and how long the write may take. No other one
	// is due until savedCheckpoint.
	checkpointRequest(soon bool) (r CheckpointRequest, timeout time.Duration, ok bool)
	// savedCheckpoint reports the outcome of the write.
	savedCheckpoint(r CheckpointRequest, err error)
}

// checkpoints writes the checkpoints of a Store's subscriptions: where the storage can, those of all that are due, or
// nearly so, in one statement, so that the database has no more to do for many subscriptions than for one.
type checkpoints struct {
	env   *env
	all   func() []saver // that run here
	hints chan struct{}  // holds one

	mu      sync.Mutex
	running bool
}

func newCheckpoints(e *env, all func() []saver) *checkpoints {
	return &checkpoints{env: e, all: all, hints: make(chan struct{}, 1)}
}

// poke hints that a checkpoint is due.
func (c *checkpoints) poke() {
	c.mu.Lock()
	start := !c.running
	c.running = true
	c.mu.Unlock()
	if start {
		c.env.start(c.run)
	}
	select {
	case c.hints <- struct{}{}:
	default:
	}
}

// run writes what is due whenever there is a hint.
func (c *checkpoints) run(ctx context.Context) {
	for {
		select {
		case <-c.hints:
		case <-ctx.Done():
			return
		}
		for c.write(ctx) {
		}
	}
}

// maxCheckpoints is how many checkpoints are written in one statement at most.
const maxCheckpoints = 1000

// write writes what is due, and reports whether there was anything.
func (c *checkpoints) write(ctx context.Context) bool {
	var subs []saver
	var list []CheckpointRequest
	timeout := time.Duration(0)
	all := c.all()
	for _, soon := range []bool{false, true} {
		for _, s := range all {
			if len(list) == maxCheckpoints || soon && len(list) == 0 {
				break
			}
			if r, t, ok := s.checkpointRequest(soon); ok {
				subs, list = append(subs, s), append(list, r)
				timeout = max(timeout, t)
			}
		}
	}
	if len(list) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ctx, end := c.env.observe(ctx, Operation{Kind: OpCheckpoint, Count: len(list)})
	end(c.save(ctx, subs, list))
	return true
}

// save writes checkpoints and tells the subscriptions.
func (c *checkpoints) save(ctx context.Context, subs []saver, list []CheckpointRequest) (out Outcome) {
	saved := func(i int, err error) {
		switch {
		case err == nil:
			out.Count++
		case errors.Is(err, ErrLeaseLost):
			out.Lost++
		default:
			out.Err = err
		}
		subs[i].savedCheckpoint(list[i], err)
	}
	batcher, ok := c.env.storage.(CheckpointBatcher)
	if !ok {
		for i := range subs {
			saved(i, c.env.storage.SaveCheckpoint(ctx, list[i]))
		}
		return out
	}
	refused, err := batcher.SaveCheckpoints(ctx, list)
	for i := range subs {
		e := err
		if e == nil && refused != nil {
			e = refused[i]
		}
		saved(i, e)
	}
	return out
}
