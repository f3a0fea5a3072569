package store

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/tail"
)

// member is a subscription as the feed sees it. The feed calls its methods with a lock held, so they must not block.
type member interface {
	// offer offers new events, with their numbers in the member's stream.
	offer(p fedPage)
	// news announces n new events of the member's stream, which the member must read from storage.
	news(n int)
	// starve reports why the feed cannot read, or with nil that it can again.
	starve(err error)
	// suspect reports that the store has lost events, and that the member's stream ends at head.
	suspect(head int64)
	// overtaken reports that all events up to position were offered.
	overtaken(position int64)
	// compare reports the current version of the member's stream.
	compare(info StreamInfo)
}

// feed reads new events once for all live subscriptions of a Store, however many there are. It never waits for them:
// one whose inbox is full reads what it misses from storage.
//
// It looks when it is hinted at new events, and else at growing intervals up to the poll interval. At that interval it
// also looks, in one statement, at the streams that its members are on: links and new incarnations of a stream are not
// among new events. The decisions are those of package tail.
type feed struct {
	env    *env
	hints  chan struct{} // holds one
	reader feedReader

	mu      sync.Mutex
	running bool
	cursor  tail.Cursor // with a replica, of that
	members *tail.Members[member]
}

func newFeed(e *env) *feed {
	return &feed{
		env: e, hints: make(chan struct{}, 1), members: tail.NewMembers[member](All),
		reader: feedReader{env: e, pager: pager{most: e.pageBytes}},
	}
}

// poke hints at new events. It reports whether anybody reads them.
func (f *feed) poke() bool {
	f.mu.Lock()
	running := f.running
	f.mu.Unlock()
	if running {
		f.wake()
	}
	return running
}

// committed is poke after a commit of this process.
func (f *feed) committed() bool {
	f.reader.own.Store(true)
	return f.poke()
}

// wake wakes the goroutine.
func (f *feed) wake() {
	select {
	case f.hints <- struct{}{}:
	default:
	}
}

// join makes m a member on a stream. From then on the feed offers it every event behind the feed's position, so that m misses none if it
// then reads from storage up to the end.
func (f *feed) join(ctx context.Context, timeout time.Duration, stream string, m member) error {
	for {
		f.mu.Lock()
		idle := !f.running
		f.mu.Unlock()
		var end tail.Cursor
		if idle {
			var err error
			if end, err = f.end(ctx, timeout); err != nil {
				return err
			}
		}
		if joined, err := f.add(stream, m, idle, end); joined || err != nil {
			return err
		}
	}
}

func (f *feed) end(ctx context.Context, timeout time.Duration) (tail.Cursor, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return f.reader.end(ctx)
}

// add adds a member. If the feed was idle, it starts at end. If the feed was not, but has stopped since, add reports false.
func (f *feed) add(stream string, m member, idle bool, end tail.Cursor) (joined bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.running:
	case !idle:
		return false, nil
	default:
		f.cursor = end
		if !f.env.start(f.run) {
			return false, ErrClosed
		}
		f.running = true
	}
	f.members.Add(stream, m)
	return true, nil
}

// leave ends the membership of m on a stream, if it is a member.
func (f *feed) leave(stream string, m member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members.Remove(stream, m)
	if f.members.None() {
		f.wake() // so that it ends
	}
}

// run reads until nobody is a member any more.
func (f *feed) run(ctx context.Context) {
	defer f.reader.share()()
	clock := tail.NewClock(f.env.pollEvery, time.Now())
	for {
		hinted := awaitHint(ctx, f.hints, clock.Wait(time.Now()))
		if f.idle() || ctx.Err() != nil {
			return
		}
		r, err := f.round(ctx, clock, hinted)
		if ctx.Err() != nil {
			return
		}
		f.starve(err)
		if err != nil {
			f.env.lines.warn(ctx, "eventstore: new events can't be read; trying again", "err", err)
			clock.Failed(time.Now())
			continue
		}
		sleep(ctx, clock.Done(r, time.Now()))
	}
}

// idle reports whether nobody is a member, and notes then that the feed has stopped.
func (f *feed) idle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running = !f.members.None()
	return !f.running
}

// round reads new events, unless a shared poll shows that there are none, and looks around when that is due.
func (f *feed) round(ctx context.Context, clock *tail.Clock, hinted bool) (r tail.Round, err error) {
	now := time.Now()
	r = tail.Round{Began: now, Asked: now, Read: true}
	if age, ok := clock.Shared(hinted); ok && f.reader.shared != nil {
		if r.Read, r.Asked, err = f.reader.poll(ctx, f.where(), age); err != nil {
			return r, err
		}
	}
	if r.Read {
		if r.Found, err = f.read(ctx); err != nil {
			return r, err
		}
		r.Moves = f.reader.lag.BeganAfter(r.Began)
	}
	if clock.Around(r.Asked, time.Now()) {
		err = f.look(ctx, r.Read)
	}
	return r, err
}

// where returns the position of the feed. Only the feed's goroutine changes it.
func (f *feed) where() tail.Cursor {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cursor
}

// read reads to where the end was when it began, at least, and offers what it finds, as soon as it finds it. It returns how many events
// those were.
func (f *feed) read(ctx context.Context) (n int, err error) {
	end, v, err := f.reader.begin(ctx, f.where())
	more := v == tail.Follows
	for more && err == nil {
		var p fedPage
		p, more, v, err = f.reader.page(ctx, f.where(), end)
		if err == nil && (v == tail.Follows || v == tail.Overlaps) {
			f.offer(p)
			n += len(p.Events)
			if !more {
				err = f.reader.late(f.where(), end)
			}
		}
	}
	switch {
	case err != nil:
	case v == tail.Short: // the store ends before the position
		err = f.look(ctx, true)
	case v == tail.Replaced:
		if end, err = f.reader.lost(ctx, end); err == nil {
			f.lose(end)
		}
	}
	return n, err
}

// offer offers a page to the members.
func (f *feed) offer(p fedPage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cursor.To(p.Last, idAt(p, p.Last)) {
		for m := range f.members.Whole() {
			m.offer(p)
		}
	}
	if !f.members.Single() {
		return
	}
	parts := map[string][]Recorded{} // of the streams that have members
	for _, e := range p.Events {
		if f.members.On(e.Stream) {
			e.Number = e.Version
			parts[e.Stream] = append(parts[e.Stream], e)
		}
	}
	for stream, part := range parts {
		for m := range f.members.Of(stream) {
			if f.env.replicated {
				m.news(len(part))
			} else {
				m.offer(fedPage{Events: part})
			}
		}
	}
}

// look looks around: it finds out whether the store has lost events, unless that is known, and which streams have new links, are new or
// were deleted. New events do not show that.
func (f *feed) look(ctx context.Context, lost bool) error {
	f.mu.Lock()
	cursor, names := f.cursor, f.members.Streams()
	f.mu.Unlock()
	head, infos, err := f.reader.look(ctx, cursor, names, lost)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cursor.Ends(head) {
		for m := range f.members.Whole() {
			m.suspect(head)
		}
	}
	if f.env.replicated {
		for m := range f.members.Whole() {
			m.overtaken(f.cursor.Position())
		}
	}
	for name, info := range infos {
		for m := range f.members.Of(name) {
			m.compare(info)
		}
	}
	return nil
}

// lose has all members check whether the store still has what they have seen. What the feed has seen is lost; the store ends at head.
func (f *feed) lose(head int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.env.log.Error("eventstore: another event is in the place of the last one read, as after a failover to a standby that lagged", "position", f.cursor.Position())
	for m := range f.members.Whole() {
		m.suspect(head)
	}
	for _, stream := range f.members.Streams() {
		for m := range f.members.Of(stream) {
			m.suspect(math.MaxInt64) // the end of the stream is not known here
		}
	}
	f.cursor = tail.At(head, tail.ID{})
}

// starve notifies the members that the feed cannot read, or with nil that it can again.
func (f *feed) starve(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.members.Starved(err) {
		return
	}
	for m := range f.members.Every() {
		m.starve(err)
	}
}
