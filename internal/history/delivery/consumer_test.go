package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/eventstore-go/eventstore/internal/history"
	"github.com/eventstore-go/eventstore/internal/history/delivery"
	"github.com/eventstore-go/eventstore/store"
)

const subscribers = 3 // of a subscription with lanes, in each process

// consumer runs subscriptions.
type consumer struct {
	*worker

	es   *store.Store
	hold sync.Once

	mu     sync.Mutex
	epochs map[string]int64 // guarded by mu: of the latest lease of each subscription
}

// consume runs the subscriptions of the plan until ctx ends.
func (w *worker) consume(ctx context.Context) (err error) {
	c := &consumer{worker: w, epochs: map[string]int64{}}
	notifier, err := w.notifier()
	if err != nil {
		return err
	}
	storage, err := c.storage()
	if err != nil {
		return err
	}
	c.es = store.New(storage, &store.Options{Notifier: notifier, PollInterval: 50 * time.Millisecond, LeaseTTL: c.TTL})
	defer func() { err = errors.Join(err, c.es.Close()) }()
	all, ctx := errgroup.WithContext(ctx)
	for _, s := range c.Subscriptions {
		n := 1
		if s.Lanes {
			n = subscribers
		}
		for i := range n {
			rng := rand.New(rand.NewPCG(c.Seed, uint64(i)))
			all.Go(func() error { return c.follow(ctx, s, i+1, rng) })
		}
	}
	return all.Wait()
}

// follow is one subscriber.
func (c *consumer) follow(ctx context.Context, s delivery.Subscription, number int, rng *rand.Rand) (err error) {
	opts := &store.SubscribeOptions{
		BufferSize: 20, CheckpointThreshold: 50, CheckpointAfter: 100 * time.Millisecond, RetryInterval: 100 * time.Millisecond,
		Timeout: 2 * time.Second,
	}
	if s.Lanes {
		opts.ConcurrencyLimit = subscribers
		opts.PartitionBy = func(e store.Recorded) string { return e.Stream }
	}
	sub, err := c.es.Subscribe(ctx, store.All, s.Name, opts)
	if err != nil {
		return err
	}
	defer func() {
		if closed := sub.Close(); !errors.Is(closed, store.ErrLeaseLost) { // somebody else may have it by now
			err = errors.Join(err, closed)
		}
	}()
	line := delivery.Line{Subscription: s.Name, Subscriber: number}
	var late *store.Recorded // an event that was not acknowledged, to see what comes behind it
	for {
		under, cancel := context.WithCancel(ctx)
		if late != nil {
			under, cancel = context.WithTimeout(ctx, 20*time.Millisecond)
		}
		from := c.epoch(s.Name)
		events, err := sub.Next(under)
		to := c.epoch(s.Name)
		ended := under.Err() != nil
		cancel()
		l := line
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && ended:
			if err := c.ack(sub, line, *late); err != nil {
				return err
			}
			late = nil
			continue
		case errors.Is(err, store.ErrLeaseLost):
			l.Kind, late = delivery.Lost, nil
			if err := c.journal.Add(l); err != nil {
				return err
			}
			continue
		case err != nil:
			return fmt.Errorf("subscriber %d of %q: %w", number, s.Name, err)
		}
		l.Kind, l.From, l.To = delivery.Sent, from, to
		for _, e := range events {
			id, err := store.Decode[string](e)
			if err != nil {
				return err
			}
			l.Events = append(l.Events, history.Seen{Position: e.Number, ID: id, Stream: e.Stream, Version: e.Version})
		}
		if err := c.journal.Add(l); err != nil {
			return err
		}
		if rng.IntN(10) == 0 {
			wait(ctx, time.Duration(rng.IntN(20))*time.Millisecond)
		}
		if rng.IntN(4) == 0 {
			if err := c.ack(sub, line, events[rng.IntN(len(events))]); err != nil {
				return err
			}
		}
		last := &events[len(events)-1]
		if late == nil && rng.IntN(8) == 0 {
			late = last
			continue
		}
		if err := c.ack(sub, line, *last); err != nil {
			return err
		}
		late = nil
	}
}

// ack acknowledges an event, unless it is acknowledged already. If the lease is lost, Next will tell.
func (c *consumer) ack(sub *store.Subscriber, line delivery.Line, e store.Recorded) error {
	line.Kind, line.Number = delivery.Ack, e.Number
	if err := c.journal.Add(line); err != nil {
		return err
	}
	// The subscriber may be told to end meanwhile, and still acknowledges what it has done.
	err := sub.Ack(context.Background(), e)
	switch {
	case errors.Is(err, store.ErrUnexpectedAck):
		return nil
	case errors.Is(err, store.ErrLeaseLost):
		line.Kind = delivery.Refused
		return c.journal.Add(line)
	}
	return err
}

func (c *consumer) epoch(subscription string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.epochs[subscription]
}
