package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/queue"
	"github.com/eventstore-go/eventstore/store/internal/trouble"
)

// pageSize is readSize, or less where the queue is small.
func (s *subscription) pageSize() int { return min(readSize, (s.opts.MaxSize+1)/2) }

// room returns how many more events the queue takes, and whether that is enough to read a page. A page may have PageBytes, whatever is
// queued: so the queue has twice as much at most. s.mu is held.
func (s *subscription) room() (events int, enough bool) {
	events = s.queue().Room()
	return events, events >= s.pageSize() && s.queue().Bytes() <= s.hub.pageBytes
}

// unknown reports whether the stream that numbers count in is not known, since it was not there yet. s.mu is held.
func (s *subscription) unknown() bool { return s.id.Stream != All && s.streamID == 0 }

// look finds out whether the stream is still the one that the subscription's numbers count in.
func (s *subscription) look(ctx context.Context) error {
	s.mu.Lock()
	s.looked = true // before it looks: it may be asked to again meanwhile
	s.mu.Unlock()
	info, exists, err := s.streamInfo(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.looked = false
		return err
	case !exists:
		return nil
	case info.Status() == Deleted:
		s.ending = &StreamError{Stream: s.id.Stream, Err: ErrStreamDeleted}
	case s.streamID != 0 && info.ID != s.streamID:
		// Hard deleted, and created again: numbers begin anew.
		s.desk.Void(s.newQueue(0), nil)
		s.seen, s.unproven = SeenEvent{}, false
		s.streamID = info.ID
		s.pace.Restart(time.Now())
		s.troubles = trouble.List{} // the events are gone; the checkpoint in the new stream clears what is in the list
		s.emptyInbox(true)
	case info.Version < s.queue().Received():
		return &PositionLostError{Stream: s.id.Stream, After: s.queue().Received(), Head: info.Version}
	default:
		s.streamID = info.ID
		if info.Version > s.queue().Received() {
			s.missed = true
		}
	}
	return nil
}

// same reports whether the stream is there, and still the one that the subscription's numbers count in. If it isn't, it is to be
// looked at before anything else.
func (s *subscription) same(ctx context.Context) (StreamInfo, bool, error) {
	info, exists, err := s.streamInfo(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	same := err == nil && exists && info.ID == s.streamID
	if !same {
		s.looked = false
	}
	return info, same, err
}

// read adds a page from storage to the queue.
func (s *subscription) read(ctx context.Context, limit int) error {
	s.mu.Lock()
	// What comes to the inbox from now on follows the page, if the page is the last one.
	s.emptyInbox(false)
	unknown := s.unknown()
	s.mu.Unlock()
	if unknown {
		// Before anything of it is read: another stream of the name may come after this one.
		if err := s.look(ctx); err != nil {
			s.miss()
			return err
		}
	}
	s.mu.Lock()
	unknown = s.unknown()
	after := s.queue().Received()
	s.mu.Unlock()
	if unknown {
		return nil
	}
	if err := s.recall(ctx); err != nil {
		s.miss()
		return err
	}
	r := s.pager.bound(s.behind(after, limit))
	page, next, err := s.page(ctx, r)
	if err == nil && next == after+1 && s.opts.Filter.IsZero() { // the end, unless what is behind it was hard deleted
		page, next, err = s.fetchFiltered(ctx, s.hub.reads, r)
	}
	if err != nil {
		s.miss()
		s.pager.halve(r, err) // it is read again after RetryInterval
		return err
	}
	s.pager.learn(r, page)
	if next > after+1 {
		ok := false
		if page, next, ok, err = s.confirm(ctx, page, next); err != nil || !ok {
			s.miss()
			return err
		}
	}
	if next > after+1 {
		s.miss()
	}
	if err := s.prove(ctx); err != nil {
		return err
	}
	return s.accept(ctx, fedPage{events: page, last: next - 1}, false)
}

// accept takes a page, unless it is of another stream of that name, which is looked at then.
func (s *subscription) accept(ctx context.Context, p fedPage, fed bool) error {
	err := s.take(p, fed)
	if err != nil && s.id.Stream != All {
		if _, same, e := s.same(ctx); e != nil || !same {
			s.miss()
			return e
		}
	}
	if err != nil {
		s.miss()
	}
	return s.judgeLoss(ctx, err)
}

// miss says that there is more in storage than in the inbox.
func (s *subscription) miss() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.emptyInbox(true)
}

// emptyInbox forgets what is in the inbox, and notes whether it is in storage alone. s.mu is held.
func (s *subscription) emptyInbox(missed bool) {
	s.missed, s.inbox, s.inboxSize, s.inboxBytes = missed, nil, 0, 0
}

// behind asks for the page behind a number. It begins with the event that has the number, which shows that it is the page
// that follows.
func (s *subscription) behind(after int64, limit int) ReadRequest {
	if s.readsAhead() {
		limit = s.pageSize()
	}
	r := ReadRequest{Stream: s.id.Stream, From: 1, Limit: limit}
	if after > 0 {
		r.From, r.Limit, r.Overlap = after, limit+1, true
	}
	if s.hub.replicated {
		r.StreamID = s.streamID // the replica may still have another stream of the name
	}
	return r
}

// after is the number that r asks for the page behind of.
func (r ReadRequest) after() int64 {
	if r.Overlap {
		return r.From
	}
	return r.From - 1
}

// readsAhead reports whether pages are read ahead: there is no need to save memory.
func (s *subscription) readsAhead() bool {
	return s.opts.pages == nil && s.opts.Filter.IsZero() && s.opts.MaxSize >= 2*readSize
}

// page reads what r asks for from storage. next is the number to go on from: that behind r.after() at the end of the stream.
func (s *subscription) page(ctx context.Context, r ReadRequest) (page []Recorded, next int64, err error) {
	switch after := r.after(); {
	case s.readsAhead():
		expected := s.ahead.expects(r)
		var part StreamPart
		part, err = s.ahead.fetch(s.hub.ctx, r, math.MaxInt, s.readPage)
		page = part.Events
		if next = behindPage(after, page); expected && next == after+1 && err == nil {
			part, err = s.readPage(ctx, r) // it was read too early: since then the feed may have offered what follows
			page = part.Events
			next = behindPage(after, page)
		}
		return page, next, err
	case s.opts.pages == nil:
		return s.fetch(ctx, r)
	default:
		return s.opts.pages.read(ctx, after+1, r.Limit-r.overlap(), func(limit int) ([]Recorded, int64, error) {
			r.Limit = limit + r.overlap()
			return s.fetch(ctx, r)
		})
	}
}

// behindPage returns the first number behind a page, which was read behind after.
func behindPage(after int64, page []Recorded) int64 {
	if len(page) == 0 {
		return after + 1
	}
	return max(page[len(page)-1].Number, after) + 1
}

// readPage is fetch with a time limit of its own, for a read that may be ahead of its time.
func (s *subscription) readPage(ctx context.Context, r ReadRequest) (StreamPart, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	page, err := s.fetched(ctx, func(ctx context.Context) ([]Recorded, error) { return s.readUnfiltered(ctx, r) })
	return StreamPart{Part: Part{Events: page}}, err
}

// fetch is page for a page that nobody shares.
func (s *subscription) fetch(ctx context.Context, r ReadRequest) (page []Recorded, next int64, err error) {
	if !s.opts.Filter.IsZero() {
		return s.fetchFiltered(ctx, s.hub.reads, r)
	}
	page, err = s.fetched(ctx, func(ctx context.Context) ([]Recorded, error) { return s.readUnfiltered(ctx, r) })
	return page, behindPage(r.after(), page), err
}

// fetchFiltered is fetch by ReadFiltered, whose next passes what was filtered out or hard deleted.
func (s *subscription) fetchFiltered(ctx context.Context, in SubscriptionStorage, r ReadRequest) (page []Recorded, next int64, err error) {
	page, err = s.fetched(ctx, func(ctx context.Context) (page []Recorded, err error) {
		page, next, err = in.ReadFiltered(ctx, r, s.opts.Filter)
		return page, err
	})
	return page, max(next, r.after()+1), err
}

func (s *subscription) readUnfiltered(ctx context.Context, r ReadRequest) ([]Recorded, error) {
	if r.Stream == All {
		part, err := s.hub.reads.ReadAll(ctx, r)
		return part.Events, err
	}
	part, err := s.hub.reads.ReadStream(ctx, r)
	return part.Events, err
}

// fetched reads a page. A stream that is not there has an empty one; one that is soft deleted ends the subscription. What the replica says
// of that may be out of date: the primary is asked at each look at the stream.
func (s *subscription) fetched(ctx context.Context, read func(context.Context) ([]Recorded, error)) ([]Recorded, error) {
	ctx, end := s.hub.observe(ctx, s.operation(OpFetch))
	page, err := read(ctx)
	end(Outcome{Err: err, Count: len(page)})
	switch {
	case errors.Is(err, ErrStreamNotFound), s.hub.replicated && isOfStream(err):
		return nil, nil
	case errors.Is(err, ErrStreamDeleted):
		s.mu.Lock()
		s.ending = err
		s.mu.Unlock()
		return nil, nil
	case err != nil:
		return nil, err
	}
	for i := range page {
		page[i].codec = s.hub.codec
	}
	return page, nil
}

// unpack adds what the feed has sent to the queue.
func (s *subscription) unpack(ctx context.Context, room int) error {
	s.mu.Lock()
	p := s.inbox[0]
	if len(p.events) > room {
		s.inbox[0] = fedPage{events: p.events[room:], last: p.last}
		p.events, p.last = p.events[:room], 0
	} else {
		s.inbox[0] = fedPage{}
		s.inbox = s.inbox[1:]
	}
	s.inboxSize -= len(p.events)
	s.inboxBytes -= sizeOf(p.events)
	s.mu.Unlock()
	return s.accept(ctx, p, true)
}

// follows returns a PositionLostError if the page has another event in the place of the last one that was seen. Otherwise
// it notes the last event of the page as seen, if that is further on.
func (s *subscription) follows(p fedPage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, last := p.before, p.before
	if n := len(p.events); n > 0 {
		last = SeenEvent{p.events[n-1].Number, p.events[n-1].ID}
		if first := p.events[0].Number; s.seen.Number >= first { // it is nearly always the first one
			i, ok := slices.BinarySearchFunc(p.events, s.seen.Number, func(e Recorded, number int64) int { return cmp.Compare(e.Number, number) })
			if ok {
				at = SeenEvent{p.events[i].Number, p.events[i].ID}
			}
		}
	}
	if !s.seen.IsZero() && !at.IsZero() && at.Number == s.seen.Number && at.ID != s.seen.ID {
		return &PositionLostError{Stream: s.id.Stream, After: s.seen.Number, Head: max(last.Number, p.last), Replaced: true}
	}
	if last.Number > s.seen.Number {
		s.seen = last
	}
	return nil
}

// take asks the callbacks about a page, adds what they choose to the queue, and notes that everything up to its last number
// was read. What the filter does not choose is left out here. A page of the feed, or of a projection, is not the
// subscription's own.
func (s *subscription) take(p fedPage, fed bool) error {
	page := p.events
	if err := s.follows(p); err != nil {
		return err
	}
	s.mu.Lock()
	received, number, streamID := s.queue().Received(), int64(0), s.streamID
	if fed && received < p.after { // the end that was read was that of a standby which lags more than the one that the feed has read
		s.emptyInbox(true)
		s.mu.Unlock()
		return nil
	}
	chosen := s.queue().Batch(len(page))
	s.mu.Unlock()
	asks := s.opts.Selector != nil || s.opts.PartitionBy != nil || s.opts.choose != nil
	gap := false
	for i := range page {
		e := &page[i]
		if e.Number <= received {
			continue
		}
		if fed && s.id.Stream != All && e.Number > received+1 {
			gap = true // links, which the feed does not see
			break
		}
		received, number = e.Number, e.Number
		if !s.opts.Filter.Matches(e) {
			continue
		}
		selected, key, failure := true, "", (*CallbackError)(nil)
		if asks {
			selected, key, failure = s.opts.ask(streamID, e)
		}
		if selected {
			put(chosen, e, key, failure)
		}
	}
	if !fed {
		chosen.Page = page
	}
	var few *queue.Batch[Recorded]
	if chosen.Len() < len(page)/4 { // then they must not keep the whole page
		few = chosen.Move((*Recorded).clone)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue().Add(chosen)
	if few != nil {
		s.queue().Add(few)
	}
	if fed && s.id.Stream == All || !fed {
		number = max(number, p.last)
	}
	s.queue().Skip(number)
	if gap {
		s.emptyInbox(true)
	}
	s.noteProgress()
	s.desk.Stir()
	return nil
}

// put adds an event to a batch.
func put(b *queue.Batch[Recorded], e *Recorded, key string, failure *CallbackError) {
	if failure != nil {
		b.Put(e, e.Number, key, failure)
	} else {
		b.Put(e, e.Number, key, nil)
	}
}

// clone returns a copy that shares no memory with the page that r was read with.
func (r *Recorded) clone() *Recorded {
	c := *r
	c.Data, c.Metadata = bytes.Clone(r.Data), bytes.Clone(r.Metadata)
	c.Type, c.Stream = strings.Clone(r.Type), strings.Clone(r.Stream)
	return &c
}

// ask runs the callbacks of an event that is to be queued.
func (o *SubscribeOptions) ask(streamID int64, e *Recorded) (selected bool, key string, failure *CallbackError) {
	selected = true
	if o.choose != nil {
		failure = called("PartitionBy", *e, func() error {
			selected = o.choose(streamID, e)
			return nil
		})
		return selected, "", failure
	}
	if selected, failure = o.selects(e); failure != nil || !selected {
		return selected, e.Stream, failure
	}
	if o.PartitionBy != nil {
		key = e.Stream // if there is no answer, the nearest thing to one
		failure = called("PartitionBy", *e, func() error {
			key = o.PartitionBy(*e)
			return nil
		})
	}
	return true, key, failure
}

// selects asks the Selector. An event that it fails on is selected.
func (o *SubscribeOptions) selects(e *Recorded) (selected bool, failure *CallbackError) {
	if o.Selector == nil {
		return true, nil
	}
	failure = called("Selector", *e, func() error {
		selected = o.Selector(*e)
		return nil
	})
	return selected || failure != nil, failure
}
