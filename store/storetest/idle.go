package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

// Bounds of the wait between two looks at the state.
const (
	lookLeast = 2 * time.Millisecond
	lookMost  = 50 * time.Millisecond
)

// WaitIdle waits until all persistent subscriptions and all projections of the store have dealt with all events, also with those that their
// handlers append meanwhile, whichever process runs them. Parked events count as dealt with. If there are none, it waits until there are;
// those that names name must be among them, so that one which is about to begin is waited for.
//
// It goes by the state in the database, and looks at it again and again. A subscription is behind until its checkpoint is written, by
// default a second after its last event: set SubscribeOptions.CheckpointAfter to a millisecond to make a test faster. Transient
// subscriptions and watchers have no checkpoint, and are not waited for.
//
// After [Limit] the test fails with a list of those that lag: where they are, which process runs them, and their last errors.
func WaitIdle(tb testing.TB, es *store.Store, names ...string) {
	tb.Helper()
	ctx, cancel, most := limit(tb)
	defer cancel()
	var behind []string
	for wait := lookLeast; ; wait = min(2*wait, lookMost) {
		found, err := look(ctx, es, names)
		switch {
		case err == nil && len(found) == 0:
			return
		case err == nil:
			behind = found
		case ctx.Err() == nil:
			tb.Fatalf("storetest: look at subscriptions and projections: %v", err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			tb.Fatalf("storetest: not idle after %s:\n  %s", most, strings.Join(behind, "\n  "))
		}
	}
}

// look returns a line for each subscription and projection that is behind, and for each name that there is none of. Without one, none was
// behind at a time between the beginning and the end of the call.
func look(ctx context.Context, es *store.Store, names []string) (behind []string, err error) {
	before, err := end(ctx, es)
	if err != nil {
		return nil, err
	}
	subscriptions, err := es.Subscriptions(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, s := range subscriptions {
		known[s.Name] = true
		if s.Lag() > 0 {
			behind = append(behind, fmt.Sprintf("subscription %q on %q: %s", s.Name, s.Stream, describe(s)))
		}
	}
	projections, err := es.Projections(ctx)
	if err != nil && !errors.Is(err, store.ErrNoTransactions) { // memory keeps none
		return nil, err
	}
	for _, p := range projections {
		known[p.Name] = true
		for _, part := range p.Partitions {
			if part.Lag() > 0 {
				behind = append(behind, fmt.Sprintf("projection %q, partition %d of %d: %s", p.Name, part.Partition, len(p.Partitions), describe(part.SubscriptionInfo)))
			}
		}
	}
	for _, name := range names {
		if !known[name] {
			behind = append(behind, fmt.Sprintf("%q: there is no subscription and no projection of that name", name))
		}
	}
	if len(known) == 0 && len(names) == 0 {
		behind = append(behind, "there is no subscription and no projection")
	}
	if len(behind) > 0 {
		return behind, nil
	}
	after, err := end(ctx, es)
	if err != nil {
		return nil, err
	}
	if after != before { // a projection may have appended what a subscription has not seen
		behind = append(behind, fmt.Sprintf("events are appended: %d since the last look", after-before))
	}
	return behind, nil
}

// describe returns where a subscription is, and why it may lag.
func describe(s store.SubscriptionInfo) string {
	var b strings.Builder
	fmt.Fprintf(&b, "at %d of %d", s.Passed(), s.Head)
	if s.Held {
		fmt.Fprintf(&b, "; %s runs it", s.Owner)
	} else {
		b.WriteString("; no process runs it")
	}
	if s.LastError != "" {
		b.WriteString("; it failed")
		if s.LastErrorNumber > 0 {
			fmt.Fprintf(&b, " on event %d", s.LastErrorNumber)
		}
		b.WriteString(": " + s.LastError)
	}
	return b.String()
}

// end returns the last position. It reads up to the end, which gives positions to all that is committed.
func end(ctx context.Context, es *store.Store) (int64, error) {
	es = es.Primary()
	head, err := es.Head(ctx)
	if err != nil {
		return 0, err
	}
	for e, err := range es.All(ctx, &store.ReadOptions{From: head + 1}) {
		if err != nil {
			return 0, err
		}
		head = e.Number
	}
	return head, nil
}
