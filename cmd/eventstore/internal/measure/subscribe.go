package measure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/eventstore-go/eventstore/store"
)

// catchUp lets each subscriber receive what there is, from the first event on.
func (r *runner) catchUp(ctx context.Context) error {
	head, err := r.es.Head(ctx)
	if err != nil {
		return err
	}
	if r.o.Events > 0 {
		head = min(head, int64(r.o.Events))
	}
	group, ctx := errgroup.WithContext(ctx)
	counts := make([]int64, r.o.Subscribers)
	start := time.Now()
	for i := range counts {
		group.Go(func() (err error) {
			counts[i], err = r.receive(ctx, fmt.Sprint("bench-catch-up-", i), head, start)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	elapsed := time.Since(start)
	var n int64
	for _, count := range counts {
		n += count
	}
	r.done(newStep(CatchUp, n, elapsed))
	return nil
}

// receive acknowledges events of a new subscription until it has as many as wanted, or the step is over.
func (r *runner) receive(ctx context.Context, name string, want int64, start time.Time) (n int64, err error) {
	sub, err := r.es.Subscribe(ctx, store.All, name, nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, sub.Close()) }()
	limited := ctx
	if r.o.Events == 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithDeadline(ctx, start.Add(r.o.Duration))
		defer cancel()
	}
	for n < want && limited.Err() == nil {
		events, err := sub.Next(limited)
		if err == nil {
			events = events[:min(int64(len(events)), want-n)]
			err = sub.Ack(limited, events...)
		}
		switch {
		case err == nil:
			n += int64(len(events))
		case ctx.Err() == nil && limited.Err() != nil: // time is up
			return n, nil
		default:
			return n, err
		}
	}
	return n, ctx.Err()
}

// received is an event that a subscriber has got.
type received struct {
	id uuid.UUID
	at time.Time
}

// deliver appends one event after the other, each when all subscribers have the one before.
func (r *runner) deliver(ctx context.Context) (err error) {
	got := make(chan received, r.o.Subscribers)
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	defer func() {
		cancel()
		if e := group.Wait(); e != nil && !errors.Is(e, context.Canceled) {
			err = e // why the others had to end
		}
	}()
	for i := range r.o.Subscribers {
		sub, err := r.es.Subscribe(ctx, store.All, fmt.Sprint("bench-delivery-", i),
			&store.SubscribeOptions{Start: store.StartCurrent, WaitForLease: true})
		if err != nil {
			return err
		}
		group.Go(func() error {
			return errors.Join(forward(ctx, sub, got), sub.Close())
		})
	}
	return r.deliverEach(ctx, got)
}

// forward tells when a subscriber gets its events.
func forward(ctx context.Context, sub *store.Subscriber, got chan<- received) error {
	for e, err := range sub.Events(ctx) {
		if err != nil {
			return err
		}
		select {
		case got <- received{e.ID, time.Now()}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (r *runner) deliverEach(ctx context.Context, got <-chan received) error {
	begun, returned := newLatencies(), newLatencies()
	var n int64
	start := time.Now()
	for ; !r.over(n, start); n++ {
		e := r.event()
		var err error
		if e.ID, err = uuid.NewV7(); err != nil {
			return err
		}
		from := time.Now()
		if _, err := r.es.Append(ctx, r.stream(n), store.Any, e); err != nil {
			return err
		}
		until := time.Now()
		for missing := r.o.Subscribers; missing > 0; {
			select {
			case g := <-got:
				if g.id == e.ID { // not one that came again
					begun.add(g.at.Sub(from))
					returned.add(g.at.Sub(until))
					missing--
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	elapsed := time.Since(start)
	for _, m := range []struct {
		name string
		l    latencies
	}{{Delivery, begun}, {DeliveryAfterAppend, returned}} {
		s := newStep(m.name, n*int64(r.o.Subscribers), elapsed)
		m.l.into(&s)
		r.done(s)
	}
	return nil
}
