package store

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
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
	feeds int                // that use it; polls.mu guards it
	names map[*feed][]string // streams that each feed asks for; polls.mu guards it
	turn  chan struct{}      // holds one while nobody polls; whoever has it may use the rest

	at       time.Time // when it was asked; zero for never
	position int64     // that it was asked about
	head     int64
	id       uuid.UUID

	lookedAt time.Time              // when the streams were looked at
	infos    map[string]*StreamInfo // of all of these; nil for one that was not there
}

// join returns what feeds with a key have found. The feed must leave.
func (p *polls) join(key any) *polled {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.byKey[key]
	if found == nil {
		found = &polled{turn: make(chan struct{}, 1), names: map[*feed][]string{}}
		found.turn <- struct{}{}
		p.byKey[key] = found
	}
	found.feeds++
	return found
}

// leave ends what a feed has joined.
func (p *polls) leave(f *feed, key any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.byKey[key]
	delete(found.names, f)
	if found.feeds--; found.feeds == 0 {
		delete(p.byKey, key)
	}
}

// note notes which streams a feed asks for.
func (p *polls) note(found *polled, f *feed, names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if found.names[f] = names; len(names) == 0 {
		delete(found.names, f)
	}
}

// asked returns the streams that all feeds ask for.
func (p *polls) asked(found *polled) (all map[string]*StreamInfo) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all = map[string]*StreamInfo{}
	for _, names := range found.names {
		for _, name := range names {
			all[name] = nil
		}
	}
	return all
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

// poll returns where the store ends and the id of the event at a position, as they were at a time less than an interval ago.
func (p *polled) poll(ctx context.Context, by Poller, position int64, interval time.Duration) (head int64, id uuid.UUID, at time.Time, err error) {
	if err := p.mine(ctx); err != nil {
		return 0, id, at, err
	}
	defer p.give()
	if p.at.IsZero() || p.position != position || time.Since(p.at) >= interval {
		began := time.Now()
		if head, id, err = by.Poll(ctx, position); err != nil {
			return 0, id, at, err
		}
		p.at, p.position, p.head, p.id = began, position, head, id
	}
	return p.head, p.id, p.at, nil
}

// look returns those of a feed's streams, which were noted, that are there, as they were at a time less than half an interval ago.
func (p *polled) look(ctx context.Context, f *feed, names []string, interval time.Duration) (map[string]StreamInfo, error) {
	if err := p.mine(ctx); err != nil {
		return nil, err
	}
	defer p.give()
	unknown := slices.ContainsFunc(names, func(name string) bool {
		_, known := p.infos[name]
		return !known
	})
	if unknown || time.Since(p.lookedAt) > interval/2 { // feeds of one interval look at the same moment
		if err := p.lookAt(ctx, f.hub.storage, allPolls.asked(p)); err != nil {
			return nil, err
		}
	}
	infos := map[string]StreamInfo{}
	for _, name := range names {
		if info := p.infos[name]; info != nil {
			infos[name] = *info
		}
	}
	return infos, nil
}

// lookAt looks at streams, and keeps what it finds.
func (p *polled) lookAt(ctx context.Context, in SubscriptionStorage, infos map[string]*StreamInfo) error {
	began := time.Now()
	there, err := in.StreamVersions(ctx, slices.Sorted(maps.Keys(infos)))
	if err != nil {
		return err
	}
	for name, info := range there {
		infos[name] = &info
	}
	p.lookedAt, p.infos = began, infos
	return nil
}

// poll reports whether there is anything to read: new events, or others where the feed has read. at is when that was asked.
func (f *feed) poll(ctx context.Context, interval time.Duration) (news bool, at time.Time, err error) {
	f.mu.Lock()
	position, last := f.position, f.last
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	ctx, end := f.hub.observe(ctx, Operation{Kind: OpFetch, Stream: All})
	head, id, at, err := f.found.poll(ctx, f.poller, position, interval)
	end(Outcome{Err: err})
	return head != position || last != uuid.Nil && id != uuid.Nil && id != last, at, err
}

// versions returns the streams that are there. Unless they are to be new, others may have asked for them.
func (f *feed) versions(ctx context.Context, names []string, anew bool) (map[string]StreamInfo, error) {
	if f.found != nil {
		allPolls.note(f.found, f, names)
	}
	switch {
	case len(names) == 0:
		return nil, nil
	case f.found == nil || anew:
		return f.hub.storage.StreamVersions(ctx, names)
	}
	return f.found.look(ctx, f, names, f.hub.pollEvery)
}
