package store

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

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
	hub    *hub
	hints  chan struct{} // holds one
	pager  pager         // of its goroutine alone
	poller Poller        // nil if the storage is none
	found  *polled       // what this feed and others have polled; nil without a poller. Of its goroutine alone
	lag    tail.Lag      // of the replica. Of its goroutine alone
	own    atomic.Bool   // a hint is of a commit of this process

	mu      sync.Mutex
	running bool
	cursor  tail.Cursor // with a replica, of that
	members *tail.Members[member]
}

func newFeed(h *hub) *feed {
	f := &feed{hub: h, hints: make(chan struct{}, 1), pager: pager{most: h.pageBytes}, members: tail.NewMembers[member](All)}
	f.poller, _ = h.storage.(Poller)
	return f
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
		var end SeenEvent
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

// add adds a member. If the feed was idle, it starts at end. If the feed was not, but has stopped since, add reports false.
func (f *feed) add(stream string, m member, idle bool, end SeenEvent) (joined bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.running:
	case !idle:
		return false, nil
	default:
		f.cursor = tail.At(end.Number, end.ID)
		if !f.hub.start(f.run) {
			return false, ErrClosed
		}
		f.running = true
	}
	f.members.Add(stream, m)
	return true, nil
}

// end returns the last position, and the event that is there unless it was hard deleted.
func (f *feed) end(ctx context.Context, timeout time.Duration) (end SeenEvent, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if end.Number, err = f.hub.reads.Head(ctx); err != nil || end.Number == 0 {
		return end, err
	}
	page, _, err := f.hub.reads.ReadFiltered(ctx, ReadRequest{Stream: All, From: end.Number, Limit: 1}, EventFilter{})
	if err == nil && len(page) > 0 && page[0].Number == end.Number {
		end.ID = page[0].ID
	}
	return end, err
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
	if f.poller != nil {
		key := f.poller.PollKey()
		f.found = allPolls.join(key)
		defer allPolls.leave(f, key)
	}
	clock := tail.NewClock(f.hub.pollEvery, time.Now())
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
			f.hub.lines.warn(ctx, "eventstore: new events can't be read; trying again", "err", err)
			clock.Failed(time.Now())
			continue
		}
		sleep(ctx, clock.Done(r, time.Now()))
	}
}

// round reads new events, unless a shared poll shows that there are none, and looks around when that is due.
func (f *feed) round(ctx context.Context, clock *tail.Clock, hinted bool) (r tail.Round, err error) {
	now := time.Now()
	r = tail.Round{Began: now, Asked: now, Read: true}
	if age, shared := clock.Shared(hinted); shared && f.found != nil {
		if r.Read, r.Asked, err = f.poll(ctx, age); err != nil {
			return r, err
		}
	}
	if r.Read {
		if r.Found, err = f.read(ctx); err != nil {
			return r, err
		}
		r.Moves = f.lag.BeganAfter(r.Began)
	}
	if clock.Around(r.Asked, time.Now()) {
		err = f.look(ctx, r.Read)
	}
	return r, err
}

// poll reports whether there is anything to read: new events, or others where the feed has read. The answer is that of a poll which began
// at, less than age ago.
func (f *feed) poll(ctx context.Context, age time.Duration) (news bool, at time.Time, err error) {
	cursor := f.where()
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	ctx, end := f.hub.observe(ctx, Operation{Kind: OpFetch, Stream: All})
	a, err := f.found.ask(ctx, f.poller, cursor.Position(), age)
	end(Outcome{Err: err})
	return cursor.News(a.Head, a.ID), a.At, err
}

// where returns the position of the feed. Only the feed's goroutine changes it.
func (f *feed) where() tail.Cursor {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cursor
}

// starve tells the members why there are no events, or with nil that there are again.
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

// idle reports whether nobody is a member, and notes then that the feed has stopped.
func (f *feed) idle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running = !f.members.None()
	return !f.running
}

// read reads to where the end was when it began, at least, and offers what it finds, as soon as it finds it. It returns how many events
// those were.
func (f *feed) read(ctx context.Context) (n int, err error) {
	end, lost := int64(math.MaxInt64), false
	switch own := f.own.Swap(false); {
	case f.hub.replicated:
		end, lost, err = f.askPrimary(ctx)
	case f.hub.ticker == nil:
	case own: // there is something that has no position yet: no need to look for it first
		err = f.tick(ctx)
	default: // what others have committed gets its position
		err = f.placed(ctx)
	}
	if err != nil || lost {
		return 0, err
	}
	for {
		more, events, err := f.readPage(ctx, end)
		n += events
		if err == nil && !more && f.hub.replicated {
			err = f.lags(end)
		}
		if err != nil || !more {
			return n, err
		}
	}
}

// readPage reads a page up to end and offers it. The page begins with the last event that was read before: if another is in its
// place, the database has lost events, and the page is not what follows those that the members have.
func (f *feed) readPage(ctx context.Context, end int64) (more bool, n int, err error) {
	cursor := f.where()
	from, overlap := cursor.From()
	r := f.pager.bound(ReadRequest{Stream: All, From: from, Limit: readSize, Overlap: overlap})
	page, next, err := f.page(ctx, r)
	if err != nil {
		return false, 0, err
	}
	switch {
	case !cursor.Short(next):
	case f.hub.replicated:
		return false, 0, nil // it lags
	default:
		return false, 0, f.look(ctx, true) // the store ends before the position
	}
	if f.hub.replicated && next > cursor.Position()+1 {
		if page, next, err = f.confirm(ctx, page, next, end); err != nil {
			return false, 0, err
		}
	}
	fed := fedPage{Events: page, Last: next - 1, After: cursor.Position()}
	atEnd := isEnd(r, page, next) || next > end
	first := SeenEvent{}
	if len(page) > 0 {
		first = SeenEvent{page[0].Number, page[0].ID}
	}
	switch cursor.Judge(first.Number, first.ID) {
	case tail.Replaced:
		return false, 0, f.replaced(ctx, cursor.Position())
	case tail.Overlaps:
		fed.Before, fed.Events = first.intake(), page[1:]
	case tail.Follows:
	}
	f.offer(fed)
	return next > cursor.Position()+1 && !atEnd, len(fed.Events), nil
}

// isEnd reports whether the page that r asked for, up to next, is so short that it ended where the store did when it was read: what has
// come since is found at the next look.
func isEnd(r ReadRequest, page []Recorded, next int64) bool {
	return len(page) > r.overlap() && next-r.From == int64(len(page)) && len(page) <= r.Limit/2 && (r.Bytes <= 0 || sizeOf(page) <= r.Bytes/4)
}

// placed sees to it that everything that was committed has its position. It asks before it writes.
func (f *feed) placed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	_, err := f.hub.storage.Head(ctx)
	return err
}

func (f *feed) tick(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	_, err := f.hub.place(ctx)
	return err
}

// page reads the page that r asks for, and returns the position to go on from.
func (f *feed) page(ctx context.Context, r ReadRequest) (page []Recorded, next int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	ctx, end := f.hub.observe(ctx, Operation{Kind: OpFetch, Stream: All})
	page, next, err = f.hub.reads.ReadFiltered(ctx, r, EventFilter{})
	end(Outcome{Err: err, Count: len(page)})
	if err != nil {
		f.pager.halve(r, err) // it is read again at the next look
		return nil, next, err
	}
	f.pager.learn(r, page)
	return page, next, err
}

// offer offers a page to the members.
func (f *feed) offer(p fedPage) {
	page := p.Events
	for i := range page {
		page[i].codec = f.hub.codec
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cursor.To(p.Last, idAt(p, p.Last)) {
		for m := range f.members.Whole() {
			m.offer(p)
		}
	}
	if len(page) == 0 || !f.members.Single() {
		return
	}
	parts := map[string][]Recorded{} // of the streams that somebody is on
	for _, e := range page {
		if f.members.On(e.Stream) {
			e.Number = e.Version
			parts[e.Stream] = append(parts[e.Stream], e)
		}
	}
	for stream, part := range parts {
		for m := range f.members.Of(stream) {
			if f.hub.replicated {
				m.news(len(part))
			} else {
				m.offer(fedPage{Events: part})
			}
		}
	}
}

// idAt returns the id of the event with a number, if the page shows it.
func idAt(p fedPage, number int64) uuid.UUID {
	if n := len(p.Events); n > 0 && p.Events[n-1].Number == number {
		return p.Events[n-1].ID
	}
	if p.Before.Number == number {
		return p.Before.ID
	}
	return uuid.Nil
}
