package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/partition"
)

// Project runs the projection called name until ctx ends: it has handler apply every event to a read model in the
// database of the store, each exactly once, and those of a partition key in order, whatever crashes when. The projection
// is created if there is none.
//
// The writes of the handler, the checkpoint, and the proof that nobody else has taken over, are one transaction. Any
// number of processes may run the same projection: they share its partitions evenly. One that joins gets its share within a
// third of the lease time. What one leaves when it ends, the others run at once if they have a Notifier, and else within
// RetryInterval; what one that died has left is taken over within the lease time. Partitions run in parallel, so the handler
// is called concurrently.
//
// When the handler fails, the batch is halved down to the event that it fails on, and OnError decides. Where the read
// model is not in this database, use [Store.Consume].
//
// Project returns ctx's error when ctx has ended, or why it has stopped: the handler's error if OnError decided to
// stop, [ErrProjectionNotFound] if the projection was deleted meanwhile, [ErrProjectionReplaced], [ErrProjectionRuns],
// [ErrPositionLost], [ErrStreamDeleted], [ErrSchema], [ErrClosed], [ErrInvalid]; [ErrNoTransactions] if the backend has none, or
// the handler returned it.
// Before it returns, it gives up what it runs; also if the handler panics.
func (s *Store) Project(ctx context.Context, name string, handler BatchHandler, opts *ProjectOptions) error {
	storage, err := s.manageProjection(ctx, name)
	if err != nil {
		return err
	}
	if handler == nil {
		return &InvalidError{Field: "handler", Reason: "is nil"}
	}
	checked, err := opts.checked()
	if err != nil {
		return err
	}
	if !s.hub.enter(name) {
		return &ProjectionError{name, ErrProjectionRuns}
	}
	defer s.hub.exit(name)
	p := &projector{
		projection: &projection{hub: s.hub, storage: storage, name: name, handler: handler, opts: checked},
		workers:    map[int]*worker{}, ended: make(chan *worker), free: make(chan struct{}, 1),
	}
	err = p.run(ctx, s)
	switch {
	case p.failed.panicked != nil:
		panic(p.failed.panicked) // on the caller's goroutine, where it can be recovered
	case p.failed.exited:
		runtime.Goexit() // as the handler did, for FailNow
	}
	return err
}

// projector runs a projection in this Store: it keeps its place among those who run it elsewhere, and has a worker for
// each partition that is its own.
type projector struct {
	*projection
	record  ProjectionRecord
	roster  partition.Roster
	workers map[int]*worker
	ended   chan *worker  // those that have ended
	free    chan struct{} // holds one: a partition that others ran may be free
	pages   *pages        // that partitions share; nil if there is nothing to share
	failed  result        // why the first worker has ended that did so by itself, what one has panicked with, whether one has exited
	writes  bool          // the database has taken a write
}

// final reports whether an error ends the projection.
func (p *projector) final(err error) bool {
	return final(err) || errors.Is(err, ErrReadOnly) && !p.writes // later it may be a failover
}

// run runs the projection until there is a reason not to, which it returns.
func (p *projector) run(ctx context.Context, s *Store) (err error) {
	defer func() {
		switch e := p.stopAll(); {
		case err == nil:
			err = e
		case errors.Is(e, ErrPositionLost) && !errors.Is(err, ErrPositionLost):
			err = errors.Join(err, e)
		}
	}()
	defer p.leave(ctx) // before the leases are given up: then others look, and find that their share has grown
	if err := p.create(ctx, s); err != nil {
		return err
	}
	for {
		wait := p.hub.leaseTTL / 3
		mine, err := p.look(ctx)
		switch {
		case p.failed.err != nil: // while it was waited for
			return p.failed.err
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && p.final(err):
			return err
		case err != nil:
			p.hub.lines.warn(ctx, "eventstore: a projection can't be looked at; trying again", "projection", p.name, "err", err)
			wait = p.opts.RetryInterval
		default:
			p.start(ctx, mine)
			p.hub.leases.watch(p, p.opts.RetryInterval, p.others(mine)...)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-p.free:
		case w := <-p.ended:
			if err := p.end(w); err != nil {
				return err
			}
		case <-ctx.Done():
		case <-p.hub.ctx.Done():
			return ErrClosed
		}
		timer.Stop()
	}
}

// create reads the projection, and creates it if there is none.
func (p *projector) create(ctx context.Context, s *Store) error {
	for {
		err := p.tryCreate(ctx, s)
		if err == nil {
			p.roster = partition.NewRoster(p.record.CreatedAt, p.record.Generation)
		}
		if err == nil || p.final(err) || ctx.Err() != nil {
			return err
		}
		p.hub.lines.warn(ctx, "eventstore: a projection can't be read; trying again", "projection", p.name, "err", err)
		select {
		case <-time.After(p.opts.RetryInterval):
		case <-ctx.Done():
			return ctx.Err()
		case <-p.hub.ctx.Done():
			return ErrClosed
		}
	}
}

func (p *projector) tryCreate(ctx context.Context, s *Store) error {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	err := p.read(ctx)
	if !errors.Is(err, ErrProjectionNotFound) {
		return err
	}
	checkpoint, streamID, err := p.begin(ctx)
	if err != nil {
		return err
	}
	err = s.InTx(ctx, func(tx *sql.Tx) error {
		storage := p.storage.WithTx(tx).(ProjectionStorage)
		r := ProjectionRecord{
			Name: p.name, Stream: p.opts.Stream, Partitions: p.opts.Partitions, Generation: 1, ByStream: p.opts.PartitionBy == nil,
		}
		added, err := storage.AddProjection(ctx, r)
		if err != nil || !added { // another process was faster
			return err
		}
		return storage.AddSubscriptions(ctx, r.partitions(), checkpoint, streamID)
	})
	if err != nil {
		return err
	}
	p.hub.progress.tell() // whoever waits for it to be there
	return p.read(ctx)
}

// begin returns where a new projection begins.
func (p *projector) begin(ctx context.Context) (checkpoint, streamID int64, err error) {
	sub, err := p.opts.subscribeOptions().checked()
	if err != nil {
		return 0, 0, err
	}
	sub.Transient = true // it asks as a new one
	return newSubscription(p.hub.env, p.hub.services, SubscriptionID{Stream: p.opts.Stream, Name: p.name}, sub).start(ctx)
}

// read reads the projection, and says if this program can't run it.
func (p *projector) read(ctx context.Context) error {
	r, err := readProjection(ctx, p.storage, p.name)
	if err != nil {
		return err
	}
	switch {
	case r.ReplacedBy != "":
		return &ProjectionError{p.name, fmt.Errorf("%w, %q", ErrProjectionReplaced, r.ReplacedBy)}
	case r.Stream != p.opts.Stream:
		return &InvalidError{Field: "Stream", Reason: fmt.Sprintf("is %q, but projection %q is on %q: give a projection of another stream another name", p.opts.Stream, p.name, r.Stream)}
	case r.ByStream != (p.opts.PartitionBy == nil):
		return &InvalidError{Field: "PartitionBy", Reason: fmt.Sprintf("is not what projection %q was created with: a projection that is partitioned otherwise needs another name", p.name)}
	}
	p.record = r
	if p.pages == nil && r.Partitions > 1 && r.Stream == All { // where numbers are never used again
		p.pages = &pages{bytes: p.hub.pageBytes}
	}
	_, err = r.layouts()
	return err
}

// look renews this Store's place, and returns the partitions that are its own.
func (p *projector) look(ctx context.Context) (mine []int, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.hub.leaseTTL/3)
	defer cancel()
	if err := p.read(ctx); err != nil {
		return nil, err
	}
	switch p.roster.Seen(p.record.CreatedAt, p.record.Generation) {
	case partition.Deleted:
		return nil, &ProjectionError{p.name, ErrProjectionNotFound}
	case partition.Missing:
		return nil, &ProjectionError{p.name, fmt.Errorf("%w: %w", partition.ErrMissing, ErrSubscriptionNotFound)}
	case partition.Renewed:
		if err := p.stopAll(); err != nil {
			return nil, err
		}
	case partition.Same:
	}
	members, err := p.storage.JoinProjection(ctx, p.name, p.hub.owner, p.hub.leaseTTL)
	if err != nil {
		return nil, err
	}
	p.writes = true
	return partition.Share(members, p.hub.owner, p.record.Partitions), nil
}

// start runs these partitions, and no others.
func (p *projector) start(ctx context.Context, mine []int) {
	for n, w := range p.workers {
		if !slices.Contains(mine, n) {
			w.stop() // when the batch that it is at is done; its end is told
		}
	}
	for _, n := range mine {
		if p.workers[n] == nil {
			p.workers[n] = newWorker(p.projection, p.record, n)
			go p.workers[n].run(ctx, p.pages, p.ended)
		}
	}
}

// others are the partitions that are not these.
func (p *projector) others(mine []int) (ids []SubscriptionID) {
	for n, id := range p.record.partitions() {
		if !slices.Contains(mine, n) {
			ids = append(ids, id)
		}
	}
	return ids
}

// leaseFree hints that a partition of another Store may be free.
func (p *projector) leaseFree() {
	select {
	case p.free <- struct{}{}:
	default:
	}
}

// end notes that a worker has ended, and returns why the projection can't go on, or nil.
func (p *projector) end(w *worker) (err error) {
	delete(p.workers, w.partition)
	switch {
	case w.ended.exited:
		err = errHandler
	case errors.Is(w.ended.err, ErrSubscriptionNotFound):
		p.roster.Lost(w.record.Generation) // unless there is a new generation, which will be seen
	default:
		err = w.ended.err
	}
	if p.failed.err == nil {
		p.failed.err = err
	}
	if p.failed.panicked == nil {
		p.failed.panicked = w.ended.panicked
	}
	p.failed.exited = p.failed.exited || w.ended.exited
	return err
}

// stopAll stops all workers and waits for them. It returns why the first one ended that did so by itself.
func (p *projector) stopAll() (err error) {
	for _, w := range p.workers {
		w.stop()
	}
	for len(p.workers) > 0 {
		if e := p.end(<-p.ended); e != nil && err == nil {
			err = e
		}
	}
	return err
}

// leave tells the others that this Store does not run the projection any more.
func (p *projector) leave(ctx context.Context) {
	p.hub.leases.watch(p, 0)
	if !p.writes {
		return // it has not joined
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.opts.Timeout)
	defer cancel()
	if err := p.storage.LeaveProjection(ctx, p.name, p.hub.owner); err != nil {
		p.hub.log.Warn("eventstore: a projection was left without a word; others take over within the lease time", "projection", p.name, "err", err)
	}
}
