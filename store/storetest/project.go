package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/eventstore-go/eventstore/store"
)

// Project runs a projection until it has applied all events that the store holds when Project is called, and returns nil; or the error that
// ended it. It is the real [store.Store.Project]: batches, transactions, partitions, checkpoints and store.TxFrom are as in production. A
// second call with the same name goes on where the first has ended, as a program does that is started again, with the events that were
// appended meanwhile.
//
// An event that the handler fails on ends the projection at once with the handler's error, and what the batch wrote is rolled back. To test
// retries, skipping and parking, set OnError. opts may be nil.
//
// It needs a backend with transactions: [SQLite], or PostgreSQL by pgtest.New. The test fails if the projection has not caught up within
// [Limit].
func Project(tb testing.TB, es *store.Store, name string, handler store.BatchHandler, opts *store.ProjectOptions) error {
	tb.Helper()
	var o store.ProjectOptions
	if opts != nil {
		o = *opts
	}
	if o.OnError == nil {
		o.OnError = func(store.Recorded, error, int) store.Decision { return store.Stop }
	}
	limited, stop, most := limit(tb)
	defer stop()
	last, err := lastOf(limited, es, o.Stream)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(limited)
	waited, caughtUp := make(chan struct{}), errors.New("not yet")
	go func() {
		defer close(waited)
		caughtUp = es.WaitForPosition(ctx, name, last)
		cancel()
	}()
	defer func() { // also if the handler ends the goroutine, as FailNow does
		cancel()
		<-waited
	}()
	err = es.Project(ctx, name, handler, &o)
	cancel()
	<-waited
	switch {
	case caughtUp == nil && errors.Is(err, context.Canceled):
		return nil
	case limited.Err() != nil:
		tb.Fatalf("storetest: after %s projection %q has not come to event %d:\n  %s", most, name, last, state(context.WithoutCancel(limited), es, name))
	case errors.Is(err, context.Canceled): // the wait has failed first, and has ended the projection
		return caughtUp
	}
	return err
}

// lastOf returns the number of the last event of a stream, or of all.
func lastOf(ctx context.Context, es *store.Store, stream string) (int64, error) {
	if stream == "" || stream == store.All {
		return end(ctx, es)
	}
	info, err := es.Primary().StreamInfo(ctx, stream)
	if errors.Is(err, store.ErrStreamNotFound) {
		return 0, nil
	}
	return info.Version, err
}

// state returns what is known of a projection.
func state(ctx context.Context, es *store.Store, name string) string {
	p, err := es.Projection(ctx, name)
	if err != nil {
		return err.Error()
	}
	if len(p.Partitions) == 0 {
		return "it has no partitions"
	}
	slowest := p.Partitions[0].SubscriptionInfo
	for _, part := range p.Partitions {
		if part.Lag() > slowest.Lag() {
			slowest = part.SubscriptionInfo
		}
	}
	return describe(slowest)
}
