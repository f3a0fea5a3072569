package store

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"time"
)

// readSize is how many events are read from storage at a time.
const readSize = 1000

// pageSize is readSize, or less where the queue is small.
func (s *subscription) pageSize() int { return min(readSize, (s.opts.MaxSize+1)/2) }

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
		s.void()
		s.queue = newQueue(0)
		s.streamID, s.saved, s.dirty, s.asked, s.refused = info.ID, -1, time.Now(), false, nil
		s.missed, s.inbox, s.inboxSize = true, nil, 0
	case info.Version < s.queue.received:
		return &PositionLostError{Stream: s.id.Stream, After: s.queue.received, Head: info.Version}
	default:
		s.streamID = info.ID
		if info.Version > s.queue.received {
			s.missed = true
		}
	}
	return nil
}

// same reports whether the stream is there, and still the one that the subscription's numbers count in. If it isn't, it is to be
// looked at before anything else.
func (s *subscription) same(ctx context.Context) (bool, error) {
	info, exists, err := s.streamInfo(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	same := err == nil && exists && info.ID == s.streamID
	if !same {
		s.looked = false
	}
	return same, err
}

// read adds a page from storage to the queue.
func (s *subscription) read(ctx context.Context, limit int) error {
	s.mu.Lock()
	// What comes to the inbox from now on follows the page, if the page is the last one.
	s.missed, s.inbox, s.inboxSize = false, nil, 0
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
	from := s.queue.received + 1
	s.mu.Unlock()
	if unknown {
		return nil
	}
	page, next, err := s.page(ctx, from, limit)
	if err != nil || next > from {
		s.miss()
	}
	if err != nil {
		return err
	}
	if next > from && s.id.Stream != All {
		// The page was read by the stream's name. If that is still the one whose numbers are counted, it was all the time.
		if same, err := s.same(ctx); err != nil || !same {
			return err
		}
	}
	s.take(page, false, next-1)
	return nil
}

// miss says that there is more in storage than in the inbox.
func (s *subscription) miss() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.missed, s.inbox, s.inboxSize = true, nil, 0
}

// page reads from storage. next is the number to go on from: from at the end of the stream.
func (s *subscription) page(ctx context.Context, from int64, limit int) (page []Recorded, next int64, err error) {
	switch {
	case s.opts.pages == nil && s.opts.Filter.IsZero() && s.opts.MaxSize >= 2*readSize: // there is no need to save memory
		r := ReadRequest{Stream: s.id.Stream, From: from, Limit: s.pageSize()}
		expected := s.ahead.expects(r)
		var part StreamPart
		part, err = s.ahead.fetch(s.hub.ctx, r, math.MaxInt, s.readPage)
		page = part.Events
		if expected && len(page) == 0 && err == nil {
			part, err = s.readPage(ctx, r) // it was read too early: since then the feed may have offered what follows
			page = part.Events
		}
		if next = from; len(page) > 0 {
			next = page[len(page)-1].Number + 1
		}
		return page, next, err
	case s.opts.pages == nil:
		return s.fetch(ctx, from, limit)
	}
	return s.opts.pages.read(ctx, from, limit, func(limit int) ([]Recorded, int64, error) { return s.fetch(ctx, from, limit) })
}

// readPage is fetch with a time limit of its own, for a read that may be ahead of its time.
func (s *subscription) readPage(ctx context.Context, r ReadRequest) (StreamPart, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	page, _, err := s.fetch(ctx, r.From, r.Limit)
	return StreamPart{Events: page}, err
}

// fetch is page for a page that nobody shares.
func (s *subscription) fetch(ctx context.Context, from int64, limit int) (page []Recorded, next int64, err error) {
	r := ReadRequest{Stream: s.id.Stream, From: from, Limit: limit}
	ctx, end := s.hub.observe(ctx, s.operation(OpFetch))
	switch {
	case !s.opts.Filter.IsZero():
		page, next, err = s.hub.storage.ReadFiltered(ctx, r, s.opts.Filter)
	case s.id.Stream == All:
		page, err = s.hub.storage.ReadAll(ctx, r)
	default:
		var part StreamPart
		part, err = s.hub.storage.ReadStream(ctx, r)
		page = part.Events
	}
	end(Outcome{Err: err, Count: len(page)})
	switch {
	case errors.Is(err, ErrStreamNotFound):
		return nil, from, nil
	case errors.Is(err, ErrStreamDeleted):
		s.mu.Lock()
		s.ending = err
		s.mu.Unlock()
		return nil, from, nil
	case err != nil:
		return nil, from, err
	}
	for i := range page {
		page[i].codec = s.hub.codec
	}
	if s.opts.Filter.IsZero() {
		next = from
		if n := len(page); n > 0 {
			next = page[n-1].Number + 1
		}
	}
	return page, next, nil
}

// unpack adds what the feed has sent to the queue.
func (s *subscription) unpack(room int) {
	s.mu.Lock()
	page := s.inbox[0]
	if len(page) > room {
		s.inbox[0], page = page[room:], page[:room]
	} else {
		s.inbox[0] = nil
		s.inbox = s.inbox[1:]
	}
	s.inboxSize -= len(page)
	s.mu.Unlock()
	s.take(page, true, 0)
}

// take asks the callbacks about a page, adds what they choose to the queue, and notes that everything up to last was
// read. Events of the feed are filtered here. A page of the feed, or of a projection, is not the subscription's own.
func (s *subscription) take(page []Recorded, fed bool, last int64) {
	s.mu.Lock()
	received, number, streamID := s.queue.received, int64(0), s.streamID
	chosen := s.queue.newBatch(len(page))
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
		if fed && !s.opts.Filter.matches(e) {
			continue
		}
		selected, key, failure := true, "", (*CallbackError)(nil)
		if asks {
			selected, key, failure = s.opts.ask(streamID, e)
		}
		if selected {
			chosen.items = append(chosen.items, item{event: e, key: key, failure: failure})
		}
	}
	if s.recycler != nil && !fed && s.opts.pages == nil {
		chosen.page, chosen.recycler = page, s.recycler
	}
	var few *batch
	if len(chosen.items) < len(page)/4 { // then they must not keep the whole page
		few = chosen.clone()
		clear(chosen.items)
		chosen.items = chosen.items[:0]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue.add(chosen)
	if few != nil {
		s.queue.add(few)
	}
	s.queue.skip(max(number, last))
	if gap {
		s.missed, s.inbox, s.inboxSize = true, nil, 0
	}
	s.noteProgress()
	s.wake()
}

// clone returns a batch that is no larger than it must be, and shares no memory with the page.
func (b *batch) clone() *batch {
	c := &batch{items: slices.Clone(b.items)}
	for i := range c.items {
		c.items[i].event = c.items[i].event.clone()
	}
	return c
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
	if o.Selector != nil {
		failure = called("Selector", *e, func() error {
			selected = o.Selector(*e)
			return nil
		})
		if failure != nil || !selected {
			return failure != nil, e.Stream, failure
		}
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
