package store

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/tail"
)

// polls lets feeds of a process that read the same events poll together: what one has found is new enough for all that poll within
// the interval.
type polls struct {
	mu    sync.Mutex
	byKey map[any]*polled
}

// allPolls are those of the process.
var allPolls = polls{byKey: map[any]*polled{}}

// polled is what was found last.
type polled struct {
	feeds int              // that use it; polls.mu guards it
	names map[any][]string // streams that each feed asks for; polls.mu guards it
	turn  chan struct{}    // holds one while nobody polls; whoever has it may use the rest

	end     tail.Poll
	streams tail.Streams[StreamInfo]
}

// join returns what feeds with a key have found. The feed must leave.
func (p *polls) join(key any) *polled {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.byKey[key]
	if found == nil {
		found = &polled{turn: make(chan struct{}, 1), names: map[any][]string{}}
		found.turn <- struct{}{}
		p.byKey[key] = found
	}
	found.feeds++
	return found
}

// leave ends what a feed has joined.
func (p *polls) leave(feed, key any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.byKey[key]
	delete(found.names, feed)
	if found.feeds--; found.feeds == 0 {
		delete(p.byKey, key)
	}
}

// note notes which streams a feed asks for.
func (p *polls) note(found *polled, feed any, names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if found.names[feed] = names; len(names) == 0 {
		delete(found.names, feed)
	}
}

// asked returns the streams that any feed asks for, sorted.
func (p *polls) asked(found *polled) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string]bool{}
	for _, names := range found.names {
		for _, name := range names {
			all[name] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// mine waits for the turn. Whoever has it must give it back.
func (p *polled) mine(ctx context.Context) error {
	select {
	case <-p.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *polled) give() { p.turn <- struct{}{} }

// ask returns an answer about a position that is younger than age.
func (p *polled) ask(ctx context.Context, by Poller, position int64, age time.Duration) (tail.Answer, error) {
	if err := p.mine(ctx); err != nil {
		return tail.Answer{}, err
	}
	defer p.give()
	now := time.Now()
	if a, ok := p.end.Known(position, age, now); ok {
		return a, nil
	}
	head, id, err := by.Poll(ctx, position)
	if err != nil {
		return tail.Answer{}, err
	}
	a := tail.Answer{At: now, Head: head, ID: id}
	p.end.Learn(position, a)
	return a, nil
}

// look returns those of a feed's streams, which were noted, that are there, as they were at a time less than half an interval ago.
func (p *polled) look(ctx context.Context, in SubscriptionStorage, names []string, interval time.Duration) (map[string]StreamInfo, error) {
	if err := p.mine(ctx); err != nil {
		return nil, err
	}
	defer p.give()
	if now := time.Now(); !p.streams.Known(names, interval, now) {
		asked := allPolls.asked(p)
		there, err := in.StreamVersions(ctx, asked)
		if err != nil {
			return nil, err
		}
		p.streams.Learn(now, asked, there)
	}
	return p.streams.Of(names), nil
}
