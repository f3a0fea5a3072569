package conformance

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

const (
	// subscription is what most cases call theirs.
	subscription = "reader"
	// patience is how long a case waits for what has to come.
	patience = time.Minute
	// glance is how long a case looks whether something comes that must not.
	glance = 40 * time.Millisecond
	// shortLease is the time of leases that a case waits for.
	shortLease = 900 * time.Millisecond
)

// party is a Store with subscribers, as one process of several. The fixture's own Store is another one: what it appends
// is found by polling, or by the harness's notifier.
type party struct {
	subFace
	f     *fixture
	tap   *tap
	store *store.Store // to append with, so that subscribers here hear of it at once
}

// party opens a Store that polls often, or that has the harness's notifier. change changes its options.
func (f *fixture) party(change ...func(o *store.Options)) *party {
	f.Helper()
	if _, ok := f.storage.(store.SubscriptionStorage); !ok {
		f.counts.add(0, 1)
		f.Skip("excused: this backend keeps no subscriptions")
	}
	t := newTap(f.storage)
	if f.breakTap != nil {
		f.breakTap(t)
	}
	o := &store.Options{PollInterval: 20 * time.Millisecond, HardDelete: true, Logger: logger(f.TB)}
	if f.Notifier != nil {
		o.Notifier, o.PollInterval = f.Notifier(f.TB, f.storage), 2*time.Second
	}
	for _, c := range change {
		c(o)
	}
	p := &party{f: f, tap: t, store: store.New(t.storage(), o)}
	p.subFace = realSubs{p.store}
	if f.wrapSubs != nil {
		p.subFace = f.wrapSubs(p.subFace, t)
	}
	f.Cleanup(func() {
		close(t.over)
		_ = p.Close() // its storage may have been cut off
		_ = p.store.Close()
	})
	return p
}

// leaseOf makes a party's leases short.
func leaseOf(ttl time.Duration) func(o *store.Options) {
	return func(o *store.Options) { o.LeaseTTL = ttl }
}

// soon returns a context that ends when the case is out of patience.
func (f *fixture) soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(f.ctx, f.patient())
}

func (f *fixture) patient() time.Duration {
	if f.impatient > 0 {
		return f.impatient
	}
	return patience
}

// subscribe subscribes and waits until the party runs the subscription, unless opts are given that don't.
func (p *party) subscribe(stream, name string, opts *store.SubscribeOptions) subscriber {
	p.f.Helper()
	if opts == nil {
		opts = &store.SubscribeOptions{WaitForLease: true}
	}
	ctx, cancel := p.f.soon()
	defer cancel()
	r, err := p.Subscribe(ctx, stream, name, opts)
	require.NoError(p.f, err, "subscribe to %q", stream)
	return r
}

func (p *party) watch(stream string, opts *store.WatchOptions) watcher {
	p.f.Helper()
	ctx, cancel := p.f.soon()
	defer cancel()
	w, err := p.Watch(ctx, stream, opts)
	require.NoError(p.f, err, "watch %q", stream)
	return w
}

// fill appends n events to a stream through the party's own Store.
func (p *party) fill(stream string, n int) store.AppendResult {
	p.f.Helper()
	res, err := p.store.Append(p.f.ctx, stream, store.Any, events(n)...)
	require.NoError(p.f, err, "append to %q", stream)
	return res
}

// next returns what comes next.
func (f *fixture) next(r watcher) []store.Recorded {
	f.Helper()
	ctx, cancel := f.soon()
	defer cancel()
	events, err := r.Next(ctx)
	require.NoError(f, err, "next")
	require.NotEmpty(f, events, "an empty batch")
	return events
}

// hold takes n events and acknowledges none.
func (f *fixture) hold(r watcher, n int) []store.Recorded {
	f.Helper()
	var got []store.Recorded
	for len(got) < n {
		got = append(got, f.next(r)...)
	}
	require.Len(f, got, n)
	return got
}

// take takes n events, or more if they come together, and acknowledges each batch.
func (f *fixture) take(r subscriber, n int) []store.Recorded {
	f.Helper()
	var got []store.Recorded
	for len(got) < n {
		batch := f.next(r)
		f.ack(r, batch...)
		got = append(got, batch...)
	}
	return got
}

// takes takes the events with the given numbers and nothing else.
func (f *fixture) takes(r subscriber, want ...int64) {
	f.Helper()
	same(f, want, numbers(f.take(r, len(want))), "events")
}

func (f *fixture) ack(r subscriber, events ...store.Recorded) {
	f.Helper()
	require.NoError(f, r.Ack(f.ctx, events...), "ack %v", numbers(events))
}

// fails waits until Next returns an error.
func (f *fixture) fails(r watcher) error {
	f.Helper()
	ctx, cancel := f.soon()
	defer cancel()
	for {
		if _, err := r.Next(ctx); err != nil {
			require.NoError(f, ctx.Err(), "Next has not failed in time")
			return err
		}
	}
}

// idle fails if something comes.
func (f *fixture) idle(r watcher, why string) {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, glance)
	defer cancel()
	events, err := r.Next(ctx)
	require.ErrorIs(f, err, context.DeadlineExceeded, "%s: got %v", why, numbers(events))
}

// eventually waits for a condition.
func (f *fixture) eventually(what string, condition func() bool) {
	f.Helper()
	ctx, cancel := f.soon()
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			if f.impatient == 0 { // no fault is looked for
				f.Logf("what everybody is waiting for:\n%s", goroutines())
			}
			require.FailNow(f, "it has not come to this in time: "+what)
		}
	}
}

// goroutines returns the stacks of all goroutines that run this module's code.
func goroutines() string {
	all := make([]byte, 16<<20)
	all = all[:runtime.Stack(all, true)]
	var list []string
	for stack := range strings.SplitSeq(string(all), "\n\n") {
		if strings.Contains(stack, "eventstore/store.") || strings.Contains(stack, "eventstore/backend/") {
			list = append(list, stack)
		}
	}
	return strings.Join(list, "\n\n")
}

// rows returns the storage's own face for subscriptions, which no fault has touched.
func (f *fixture) rows() store.SubscriptionStorage { return f.storage.(store.SubscriptionStorage) }

// row returns what the storage has of a subscription, the zero value if nothing.
func (f *fixture) row(stream, name string) store.SubscriptionInfo {
	f.Helper()
	list, err := f.rows().ListSubscriptions(f.ctx)
	require.NoError(f, err)
	for _, i := range list {
		if i.Stream == stream && i.Name == name {
			return i
		}
	}
	return store.SubscriptionInfo{}
}

// saved waits until the storage has a checkpoint, and fails if it goes beyond.
func (f *fixture) saved(stream, name string, checkpoint int64) {
	f.Helper()
	var i store.SubscriptionInfo
	f.eventually("the checkpoint is written", func() bool {
		i = f.row(stream, name)
		return i.Checkpoint >= checkpoint
	})
	assert.Equal(f, checkpoint, i.Checkpoint, "checkpoint")
}

// usurp makes another owner take a lease, whoever has it, for a long time.
func (f *fixture) usurp(id store.SubscriptionID) store.Lease {
	f.Helper()
	var lease store.Lease
	f.eventually("the lease is taken", func() bool {
		row := f.row(id.Stream, id.Name)
		require.NoError(f, f.rows().ResetSubscription(f.ctx, id, row.Checkpoint, row.StreamID))
		var err error
		lease, err = f.rows().AcquireLease(f.ctx, store.LeaseRequest{ID: id, Owner: "usurper", TTL: time.Hour})
		if !errors.Is(err, store.ErrLeaseHeld) {
			require.NoError(f, err)
		}
		return err == nil
	})
	return lease
}

// ousted waits until a subscription knows that somebody else has the lease: it is told of a loss once, however often it has
// got it back in between.
func (f *fixture) ousted(r subscriber) {
	f.Helper()
	f.eventually("the subscription knows that the lease is held", func() bool { return errors.Is(r.State().Err, store.ErrLeaseHeld) })
}

// phase waits until a subscription is in a phase.
func (f *fixture) phase(r subscriber, p store.Phase) {
	f.Helper()
	f.eventually("the subscription is "+p.String(), func() bool { return r.State().Phase == p })
}

// live subscribes and waits until everything that was there before has been read.
func (p *party) live(stream, name string, opts *store.SubscribeOptions) subscriber {
	p.f.Helper()
	r := p.subscribe(stream, name, opts)
	p.f.phase(r, store.Live)
	return r
}

// glance waits a moment, in which nothing must happen.
func (f *fixture) glance() {
	timer := time.NewTimer(glance)
	defer timer.Stop()
	<-timer.C
}

// cancelled returns a context that has ended.
func cancelled(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx, cancel
}

// handled is a handler that has nothing to do.
func handled(context.Context, store.Recorded) error { return nil }

func timeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}

// receive returns what comes from a channel.
func receive[T any](f *fixture, ch <-chan T) (got T) {
	f.Helper()
	ctx, cancel := f.soon()
	defer cancel()
	select {
	case got = <-ch:
	case <-ctx.Done():
		require.FailNow(f, "nothing has come in time")
	}
	return got
}
