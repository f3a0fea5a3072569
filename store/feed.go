package store

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store/internal/intake"
)

// pollLeast is how soon a feed that has just found events looks again without a hint.
const pollLeast = 10 * time.Millisecond

// feed reads new events once for all live subscriptions of a Store, however many there are. It never waits for them:
// one whose inbox is full reads what it misses from storage.
//
// It looks when it is hinted at new events, and else at growing intervals up to the poll interval. At that interval it
// also looks, in one statement, at the streams that its members are on: links and new incarnations of a stream are not
// among new events.
type feed struct {
	hub    *hub
	hints  chan struct{} // holds one
	pager  pager         // of its goroutine alone
	poller Poller        // nil if the storage is none
	found  *polled       // what this feed and others have polled; nil without a poller. Of its goroutine alone
	own    atomic.Bool   // a hint is of a commit of this process

	mu       sync.Mutex
	running  bool
	failing  bool      // the last read failed
	position int64     // of the last event it has read; with a replica, the replica's
	last     uuid.UUID // that event, or zero if it is not known, or was hard deleted
	all      map[*subscription]bool
	streams  map[string]map[*subscription]bool

	lag lag // of its goroutine alone
}

func newFeed(h *hub) *feed {
	f := &feed{hub: h, hints: make(chan struct{}, 1), pager: pager{most: h.pageBytes}, all: map[*subscription]bool{}, streams: map[string]map[*subscription]bool{}}
	f.poller, _ = h.storage.(Poller)
	return f
}

// poke hints at new events. It reports whether anybody reads them.
func (f *feed) poke() bool {
	f.mu.Lock()
	running := f.running
	f.mu.Unlock()
	if running {
		select {
		case f.hints <- struct{}{}:
		default:
		}
	}
	return running
}

// join makes s a member: from now on it is offered every event behind the feed's position. So what s reads from storage
// afterwards, up to the end, leaves nothing out.
func (f *feed) join(ctx context.Context, s *subscription) error {
	f.mu.Lock()
	idle := !f.running
	f.mu.Unlock()
	var end SeenEvent
	if idle {
		ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
		defer cancel()
		var err error
		if end, err = f.end(ctx); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.running {
		if !idle {
			return f.joinAgain(ctx, s)
		}
		f.position, f.last = end.Number, end.ID
		if !f.hub.start(f.run) {
			return ErrClosed
		}
		f.running = true
	}
	if s.id.Stream == All {
		f.all[s] = true
		return nil
	}
	members := f.streams[s.id.Stream]
	if members == nil {
		members = map[*subscription]bool{}
		f.streams[s.id.Stream] = members
	}
	members[s] = true
	return nil
}

// end returns the last position, and the event that is there unless it was hard deleted.
func (f *feed) end(ctx context.Context) (end SeenEvent, err error) {
	if end.Number, err = f.hub.reads.Head(ctx); err != nil || end.Number == 0 {
		return end, err
	}
	page, _, err := f.hub.reads.ReadFiltered(ctx, ReadRequest{Stream: All, From: end.Number, Limit: 1}, EventFilter{})
	if err == nil && len(page) > 0 && page[0].Number == end.Number {
		end.ID = page[0].ID
	}
	return end, err
}

// joinAgain joins after the feed has stopped between two looks. f.mu is held, before and after.
func (f *feed) joinAgain(ctx context.Context, s *subscription) error {
	f.mu.Unlock()
	defer f.mu.Lock()
	return f.join(ctx, s)
}

// leave ends the membership of s, if it is a member.
func (f *feed) leave(s *subscription) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, s)
	if members := f.streams[s.id.Stream]; members != nil {
		delete(members, s)
		if len(members) == 0 {
			delete(f.streams, s.id.Stream)
		}
	}
	if len(f.all)+len(f.streams) == 0 {
		select {
		case f.hints <- struct{}{}: // so that it ends
		default:
		}
	}
}

// run reads until nobody is a member any more.
func (f *feed) run(ctx context.Context) {
	if f.poller != nil {
		key := f.poller.PollKey()
		f.found = allPolls.join(key)
		defer allPolls.leave(f, key)
	}
	interval := pollLeast
	next := time.Now().Add(interval)
	looked := time.Now()
	for {
		hinted := f.wait(ctx, time.Until(next))
		if f.idle() || ctx.Err() != nil {
			return
		}
		began := time.Now()
		news, at, err := true, began, error(nil)
		if !hinted && f.found != nil && !looked.IsZero() {
			news, at, err = f.poll(ctx, interval)
		}
		n := 0
		if err == nil && news {
			n, err = f.read(ctx)
		}
		if err == nil && time.Since(looked) >= f.hub.pollEvery {
			looked = at
			err = f.look(ctx, news)
		}
		if ctx.Err() == nil {
			f.starve(err)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			f.hub.lines.warn(ctx, "eventstore: new events can't be read; trying again", "err", err)
			interval = f.hub.pollEvery
			looked = time.Time{} // it may be another database that answers next
			next = time.Now().Add(interval)
		case n > 0:
			rested := max(rest(n, began), 0)
			sleep(ctx, rested)
			interval = min(pollLeast, f.hub.pollEvery)
			next = time.Now().Add(interval - rested)
		case news:
			interval = min(2*interval, f.hub.pollEvery)
			if f.lag.beganAfter(began) {
				interval = min(pollLeast, f.hub.pollEvery)
			}
			next = time.Now().Add(interval)
		default:
			interval = min(2*interval, f.hub.pollEvery)
			next = at.Add(interval)
		}
	}
}

// wait waits for a while, for a hint, which it reports, or until ctx ends.
func (f *feed) wait(ctx context.Context, d time.Duration) (hinted bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-f.hints:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// starve tells the members why there are no events, or with nil that there are again.
func (f *feed) starve(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && !f.failing {
		return
	}
	f.failing = err != nil
	for s := range f.all {
		s.starve(err)
	}
	for _, members := range f.streams {
		for s := range members {
			s.starve(err)
		}
	}
}

// idle reports whether nobody is a member, and notes then that the feed has stopped.
func (f *feed) idle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.all)+len(f.streams) > 0 {
		return false
	}
	f.running = false
	return true
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
	f.mu.Lock()
	position, last := f.position, f.last
	f.mu.Unlock()
	r := f.pager.bound(ReadRequest{Stream: All, From: max(position, 1), Limit: readSize, Overlap: position > 0})
	page, next, err := f.page(ctx, r)
	if err != nil {
		return false, 0, err
	}
	switch {
	case next > position:
	case f.hub.replicated:
		return false, 0, nil // it lags
	default:
		return false, 0, f.look(ctx, true) // the store ends before the position
	}
	if f.hub.replicated && next > position+1 {
		if page, next, err = f.confirm(ctx, page, next, end); err != nil {
			return false, 0, err
		}
	}
	fed := fedPage{Events: page, Last: next - 1, After: position}
	atEnd := isEnd(r, page, next) || next > end
	if len(page) > 0 && page[0].Number == position {
		if last != uuid.Nil && page[0].ID != last {
			return false, 0, f.replaced(ctx, position)
		}
		fed.Before, fed.Events = intake.Seen{Number: position, ID: page[0].ID}, page[1:]
	}
	f.offer(fed)
	return next > position+1 && !atEnd, len(fed.Events), nil
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
	moved := p.Last > f.position
	f.position, f.last = p.Last, p.Before.ID
	if moved {
		f.last = uuid.Nil // unless the event there is known
		if n := len(page); n > 0 && page[n-1].Number == p.Last {
			f.last = page[n-1].ID
		}
		for s := range f.all {
			s.offer(p)
		}
	}
	if len(f.streams) == 0 || len(page) == 0 {
		return
	}
	parts := map[string][]Recorded{} // of the streams that somebody is on
	for _, e := range page {
		if f.streams[e.Stream] != nil {
			e.Number = e.Version
			parts[e.Stream] = append(parts[e.Stream], e)
		}
	}
	for stream, part := range parts {
		for s := range f.streams[stream] {
			if f.hub.replicated {
				s.news(len(part))
			} else {
				s.offer(fedPage{Events: part})
			}
		}
	}
}
