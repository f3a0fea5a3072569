package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// BatchHandler applies events to a read model through tx. What it writes is committed together with the checkpoint, or
// not at all. It must not end tx, and write nothing to the database on another connection. The context ends when
// Project's does, and when the lease of the partition is lost.
type BatchHandler func(ctx context.Context, tx *sql.Tx, events []Recorded) error

// Defaults of [ProjectOptions].
const (
	DefaultBatchSize = 1000
	DefaultBatchTime = time.Second
)

// ProjectOptions of a projection. The zero value of each field is its default. Stream, Start, Partitions, and whether
// there is a PartitionBy, count when the projection is created.
type ProjectOptions struct {
	// Stream is the stream that is projected. Default: All.
	Stream string
	// Filter chooses events in the database. Default: all.
	Filter EventFilter
	// Start is where the projection begins. Default: StartOrigin.
	Start Start
	// Partitions is how many partitions a new projection has, at most MaxPartitions; later [Store.Repartition] changes it.
	// Each is run by one process at a time, and in a transaction of its own, so a process needs a connection for
	// each that it runs. Default: 1.
	Partitions int
	// PartitionBy gives an event its partition key, which must always be the same. The events of a key are applied in
	// order, and parked together. Default: the name of the event's stream.
	PartitionBy func(Recorded) string
	// BatchSize is how many events are applied in a transaction at most. Default: DefaultBatchSize.
	BatchSize int
	// BatchTime is how long a transaction should take: batches get smaller where one takes longer. Default:
	// DefaultBatchTime.
	BatchTime time.Duration
	// OnError decides about an event that the handler failed on, alone in its batch, for the attempt-th time in a row
	// from 1; or for which PartitionBy panicked, which can't be parked. It is not asked about errors that say nothing
	// of the event, as when the handler's connection broke, or the database ended one of two transactions that waited for each
	// other: after these the batch is tried again. Any other error of the handler is its own, whatever SQLSTATE it has. While the
	// database can't write what OnError has decided, the handler is called again, and OnError is asked again. Default: Retry, for
	// ever. See [RetryThen]. While an event is retried the new events of its partition wait, whatever their key, so park what does
	// not succeed: then only its key waits.
	OnError func(e Recorded, err error, attempt int) Decision
	// MinBackoff and MaxBackoff bound the wait before a batch is tried again. It grows from one to the other, with some
	// chance in it. Default: 100 ms and 30 s.
	MinBackoff, MaxBackoff time.Duration
	// RetryInterval and Timeout are those of [SubscribeOptions].
	RetryInterval, Timeout time.Duration
	// OnState is called when a partition that runs in this Store has changed its state. See [SubscribeOptions].
	OnState func(partition int, state SubscriptionState)
}

// RetryThen returns an OnError that decides to retry until an event has failed n times in a row, and then d. It always
// retries [ErrUnknownVersion]: while a new release is rolled out, the old one waits at the new one's events, and the new
// one handles them when it takes over.
func RetryThen(n int, d Decision) func(Recorded, error, int) Decision {
	return func(_ Recorded, err error, attempt int) Decision {
		if attempt < n || errors.Is(err, ErrUnknownVersion) {
			return Retry
		}
		return d
	}
}

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
// [ErrPositionLost], [ErrStreamDeleted], [ErrSchema], [ErrClosed], [ErrInvalid]; [ErrNoTransactions] if the backend has none.
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
		store: s, hub: s.hub, storage: storage, name: name, handler: handler, opts: checked,
		workers: map[int]*worker{}, ended: make(chan *worker), free: make(chan struct{}, 1),
	}
	err = p.run(ctx)
	switch {
	case p.panicked != nil:
		panic(p.panicked) // on the caller's goroutine, where it can be recovered
	case p.exited:
		runtime.Goexit() // as the handler did, for FailNow
	}
	return err
}

// projections returns the storage of projections, or why there is none. The name is checked unless it is "".
func (s *Store) projections(name string) (ProjectionStorage, error) {
	if _, err := s.subscriptions(); err != nil {
		return nil, err
	}
	storage, ok := s.storage.(ProjectionStorage)
	if !ok {
		return nil, fmt.Errorf("store: projections: %w", ErrNoTransactions)
	}
	if name == "" {
		return storage, nil
	}
	return storage, checkText("projection", name, MaxProjectionName)
}

// checked returns the options with their defaults, or what is wrong with them.
func (o *ProjectOptions) checked() (ProjectOptions, error) {
	var c ProjectOptions
	if o != nil {
		c = *o
	}
	for _, f := range []struct {
		name        string
		value       *int
		most, other int
	}{
		{"Partitions", &c.Partitions, MaxPartitions, 1},
		{"BatchSize", &c.BatchSize, MaxPageSize, DefaultBatchSize},
	} {
		switch {
		case *f.value == 0:
			*f.value = f.other
		case *f.value < 1 || *f.value > f.most:
			return c, &InvalidError{Field: f.name, Reason: fmt.Sprintf("is %d, must be from 1 to %d", *f.value, f.most)}
		}
	}
	if c.BatchTime < 0 || c.MinBackoff < 0 || c.MaxBackoff < 0 {
		return c, &InvalidError{Field: "BatchTime, MinBackoff, MaxBackoff", Reason: "must not be negative"}
	}
	if c.BatchTime == 0 {
		c.BatchTime = DefaultBatchTime
	}
	c.MinBackoff, c.MaxBackoff = backoffs(c.MinBackoff, c.MaxBackoff)
	if c.Stream == "" {
		c.Stream = All
	}
	if c.Stream != All {
		if err := checkStream(c.Stream); err != nil {
			return c, err
		}
	}
	sub, err := c.subscribeOptions().checked()
	if err != nil {
		return c, err
	}
	c.Filter, c.RetryInterval, c.Timeout = sub.Filter, sub.RetryInterval, sub.Timeout
	return c, nil
}

// subscribeOptions are those of a partition, but for what depends on the partition.
func (o *ProjectOptions) subscribeOptions() *SubscribeOptions {
	return &SubscribeOptions{
		Start: o.Start, BufferSize: o.BatchSize, Filter: o.Filter, RetryInterval: o.RetryInterval, Timeout: o.Timeout,
	}
}

// backoffs returns the bounds of a wait with their defaults.
func backoffs(least, most time.Duration) (time.Duration, time.Duration) {
	if least == 0 {
		least = 100 * time.Millisecond
	}
	if most == 0 {
		most = max(30*time.Second, least)
	}
	return least, most
}

// projector runs a projection in this Store: it keeps its place among those who run it elsewhere, and has a worker for
// each partition that is its own.
type projector struct {
	store   *Store
	hub     *hub
	storage ProjectionStorage
	name    string
	handler BatchHandler
	opts    ProjectOptions

	record   ProjectionRecord
	layouts  []layout
	workers  map[int]*worker
	ended    chan *worker  // those that have ended
	free     chan struct{} // holds one: a partition that others ran may be free
	pages    *pages        // that partitions share; nil if there is nothing to share
	missing  int64         // the generation of which a partition was not there, or 0
	panicked any           // what the handler has panicked with
	exited   bool          // the handler has ended its goroutine
	failed   error         // why the first worker has ended that did so by itself
	writes   bool          // the database has taken a write
}

// final reports whether an error ends the projection.
func (p *projector) final(err error) bool {
	return final(err) || errors.Is(err, ErrReadOnly) && !p.writes // later it may be a failover
}

// run runs the projection until there is a reason not to, which it returns.
func (p *projector) run(ctx context.Context) (err error) {
	defer func() {
		switch e := p.stopAll(); {
		case err == nil:
			err = e
		case errors.Is(e, ErrPositionLost) && !errors.Is(err, ErrPositionLost):
			err = errors.Join(err, e)
		}
	}()
	defer p.leave(ctx) // before the leases are given up: then others look, and find that their share has grown
	if err := p.create(ctx); err != nil {
		return err
	}
	for {
		wait := p.hub.leaseTTL / 3
		mine, err := p.look(ctx)
		switch {
		case p.failed != nil: // while it was waited for
			return p.failed
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
func (p *projector) create(ctx context.Context) error {
	for {
		err := p.tryCreate(ctx)
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

func (p *projector) tryCreate(ctx context.Context) error {
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
	err = p.store.InTx(ctx, func(tx *sql.Tx) error {
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
	return newSubscription(p.hub, SubscriptionID{Stream: p.opts.Stream, Name: p.name}, sub).start(ctx)
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
	p.layouts, err = r.layouts()
	return err
}

// readProjection returns the projection called name, or ErrProjectionNotFound.
func readProjection(ctx context.Context, storage ProjectionStorage, name string) (ProjectionRecord, error) {
	list, err := storage.ReadProjections(ctx, name)
	if err != nil {
		return ProjectionRecord{}, err
	}
	if len(list) == 0 {
		return ProjectionRecord{}, &ProjectionError{name, ErrProjectionNotFound}
	}
	return list[0], nil
}

// look renews this Store's place, and returns the partitions that are its own.
func (p *projector) look(ctx context.Context) (mine []int, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.hub.leaseTTL/3)
	defer cancel()
	was := p.record
	if err := p.read(ctx); err != nil {
		return nil, err
	}
	if !p.record.same(was) {
		return nil, &ProjectionError{p.name, ErrProjectionNotFound}
	}
	if p.record.Generation != was.Generation {
		if err := p.stopAll(); err != nil {
			return nil, err
		}
	} else if p.missing == was.Generation {
		return nil, &ProjectionError{p.name, fmt.Errorf("a partition is missing: %w", ErrSubscriptionNotFound)}
	}
	members, err := p.storage.JoinProjection(ctx, p.name, p.hub.owner, p.hub.leaseTTL)
	if err != nil {
		return nil, err
	}
	p.writes = true
	return share(members, p.hub.owner, p.record.Partitions), nil
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
			p.workers[n] = newWorker(p, n)
			go p.workers[n].run(ctx)
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
	defer func() {
		if p.failed == nil {
			p.failed = err
		}
	}()
	delete(p.workers, w.partition)
	err = w.err
	if w.panicked != nil && p.panicked == nil {
		p.panicked = w.panicked
	}
	p.exited = p.exited || w.exited
	switch {
	case w.exited:
		return errHandler
	case errors.Is(err, ErrSubscriptionNotFound):
		p.missing = w.generation // unless there is a new generation, which will be seen
		return nil
	}
	return err
}

// share returns the partitions that are those of owner: those whose number is, modulo the number of members, its place
// among them. So each has as many as the others, or one more.
func share(members []string, owner string, partitions int) (mine []int) {
	slices.Sort(members)
	place, ok := slices.BinarySearch(members, owner)
	if !ok {
		return nil
	}
	for n := place; n < partitions; n += len(members) {
		mine = append(mine, n)
	}
	return mine
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
