package sqlite

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// writer makes the writes of one process queue up in Go instead of each waiting for the database's lock, and commits
// those that wait together. There is no goroutine for it: whoever finds the turn free leads, takes the lock, then all
// that is in the queue, and commits once.
type writer struct {
	turn  chan struct{} // holds one element while somebody leads
	alone bool          // one write per commit

	mu    sync.Mutex
	queue []*job
}

// job is one write. It is withdrawn from the queue by its owner, or taken from it by a leader, who alone sets err and
// closes done.
type job struct {
	ctx  context.Context
	run  func(tx *Backend) error
	err  error
	done chan struct{}
}

// enqueue runs f in a transaction with the write lock and commits it. If ctx ends before anybody took f up, nothing
// happens.
func (b *Backend) enqueue(ctx context.Context, f func(tx *Backend) error) error {
	j := &job{ctx: ctx, run: f, done: make(chan struct{})}
	b.writer.add(j)
	for {
		select {
		case <-j.done:
			return j.err
		case b.writer.turn <- struct{}{}:
			if err := b.lead(ctx); err != nil && b.writer.withdraw(j) {
				return err
			}
		case <-ctx.Done():
			if b.writer.withdraw(j) {
				return b.fail(ctx, "begin", ctx.Err())
			}
			<-j.done // soon: somebody is at it
			return j.err
		}
	}
}

func (w *writer) add(j *job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, j)
}

// withdraw reports whether j was still in the queue.
func (w *writer) withdraw(j *job) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.queue, j)
	if i >= 0 {
		w.queue = slices.Delete(w.queue, i, i+1)
	}
	return i >= 0
}

// take takes the jobs that are committed together: all, or with the option only the first.
func (w *writer) take() []*job {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.queue)
	if w.alone {
		n = min(n, 1)
	}
	batch := w.queue[:n:n]
	w.queue = w.queue[n:]
	return batch
}

func (w *writer) empty() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) == 0
}

// lead runs what is in the queue. Its caller has the turn, which lead gives back. An error means that nothing was taken
// from the queue: no transaction with the write lock could be had under ctx.
func (b *Backend) lead(ctx context.Context) error {
	defer func() { <-b.writer.turn }()
	if b.writer.empty() {
		return nil // the leader before took the caller's job along
	}
	// The transaction must not end with the leader's ctx once it has others' writes in it.
	owner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, cancel)
	tx, err := b.begin(ctx, owner, nil)
	if err != nil {
		stop()
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing; after an error that error counts
	if !stop() {
		return b.fail(ctx, "begin", ctx.Err())
	}
	b.begun(tx).forWrite().runAll(b.writer.take())
	return nil
}

// runAll runs the jobs in b's transaction, each with its own outcome, and commits.
func (b *Backend) runAll(batch []*job) {
	defer b.unbind()
	common := errBroken // what all jobs end with if the batch does not come to its end
	defer func() {
		for _, j := range batch {
			if common != nil && j.err == nil {
				j.err = b.fail(j.ctx, "commit", common)
			}
			close(j.done)
		}
	}()
	wrote := false
	for _, j := range batch {
		j.err = b.atomically(j.ctx, j.run)
		wrote = wrote || j.err == nil
		if errors.Is(j.err, errBroken) {
			common = j.err
			return
		}
	}
	common = nil
	if wrote {
		common = b.tx.Commit()
	}
}
