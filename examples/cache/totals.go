package main

import (
	"context"
	"errors"
	"maps"
	"sync"

	"github.com/eventstore-go/eventstore/store"
)

const (
	snapshotID    = "cache-totals"
	snapshotType  = "cache-totals.v1" // another name when what is kept changes: older snapshots are not read then
	snapshotEvery = 1_000             // events
)

// totals is what each customer has spent, up to a position.
type totals struct {
	es         *store.Store
	subscriber *store.Subscriber
	done       chan struct{}

	mu       sync.Mutex
	changed  chan struct{} // closed when position has changed
	position int64
	cents    map[string]int64
	events   int // that were read since it was opened
	err      error
}

// open returns the totals as their snapshot has them, following what comes behind it.
func open(ctx context.Context, es *store.Store) (*totals, error) {
	t := &totals{es: es, done: make(chan struct{}), changed: make(chan struct{}), cents: map[string]int64{}}
	snapshot, err := es.ReadSnapshot(ctx, snapshotID)
	switch {
	case errors.Is(err, store.ErrSnapshotNotFound):
	case err != nil:
		return nil, err
	case snapshot.Type == snapshotType:
		if err := snapshot.Decode(&t.cents); err != nil {
			return nil, err
		}
		t.position = snapshot.Version
	}
	// Transient: every program has a cache of its own, and the snapshot says how far it has come.
	t.subscriber, err = es.Subscribe(ctx, store.All, snapshotID, &store.SubscribeOptions{
		Transient: true, Start: store.StartAfter(t.position), BufferSize: 1000, Filter: store.EventFilter{Types: []string{"bought"}},
	})
	if err != nil {
		return nil, err
	}
	go t.follow(context.WithoutCancel(ctx))
	return t, nil
}

// follow adds up events until the totals are closed.
func (t *totals) follow(ctx context.Context) {
	defer close(t.done)
	last := t.position // of the snapshot
	for {
		events, err := t.subscriber.Next(ctx)
		if err == nil {
			err = t.add(events)
		}
		if err == nil {
			err = t.subscriber.Ack(ctx, events...)
		}
		if err == nil && t.position-last >= snapshotEvery {
			last = t.position
			err = t.record(ctx)
		}
		if err != nil {
			t.fail(err)
			return
		}
	}
}

func (t *totals) add(events []store.Recorded) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range events {
		b, err := store.Decode[bought](e)
		if err != nil {
			return err
		}
		t.cents[e.Stream] += b.Cents
		t.position = e.Number
		t.events++
	}
	close(t.changed)
	t.changed = make(chan struct{})
	return nil
}

// record records a snapshot. Where another program has recorded a newer one, that one stays.
func (t *totals) record(ctx context.Context) error {
	t.mu.Lock()
	snapshot := store.Snapshot{SourceID: snapshotID, Version: t.position, Type: snapshotType, Data: maps.Clone(t.cents)}
	t.mu.Unlock()
	err := t.es.RecordSnapshot(ctx, snapshot)
	if errors.Is(err, store.ErrSnapshotConflict) {
		return nil
	}
	return err
}

func (t *totals) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
	close(t.changed)
	t.changed = make(chan struct{})
}

// of returns what a customer has spent.
func (t *totals) of(customer string) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cents[customer]
}

// read returns how many events were read since the totals were opened.
func (t *totals) read() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.events
}

// waitFor waits until the totals have come to a position.
func (t *totals) waitFor(ctx context.Context, position int64) error {
	for {
		t.mu.Lock()
		at, changed, err := t.position, t.changed, t.err
		t.mu.Unlock()
		if err != nil || at >= position {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// close ends following.
func (t *totals) close() {
	_ = t.subscriber.Close() // it has no checkpoint
	<-t.done
}
