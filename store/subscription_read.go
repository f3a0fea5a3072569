package store

import (
	"context"
	"errors"
	"math"
	"time"
)

// look finds out whether the stream is still the one that the subscription's numbers count in.
func (s *subscription) look(ctx context.Context) error {
	info, exists, err := s.streamInfo(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.life.Doubt()
		return err
	}
	return s.life.Looked(found(info, exists), time.Now())
}

// same reports whether the stream is there, and still the one that the subscription's numbers count in. If it isn't, it is to be
// looked at before anything else.
func (s *subscription) same(ctx context.Context) (StreamInfo, bool, error) {
	info, exists, err := s.streamInfo(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	same := err == nil && exists && info.ID == s.life.Stream()
	if !same {
		s.life.Doubt()
	}
	return info, same, err
}

// read adds a page from storage to the queue.
func (s *subscription) read(ctx context.Context, limit int) error {
	s.mu.Lock()
	s.life.BeginRead()
	unknown := s.life.Unknown()
	s.mu.Unlock()
	if unknown {
		// Before anything of it is read: another stream of the name may come after this one.
		if err := s.look(ctx); err != nil {
			s.miss()
			return err
		}
	}
	s.mu.Lock()
	unknown = s.life.Unknown()
	after, streamID := s.life.Last(), s.life.Stream()
	s.mu.Unlock()
	if unknown {
		return nil
	}
	if err := s.recall(ctx); err != nil {
		s.miss()
		return err
	}
	r := s.pager.bound(s.behind(after, limit, streamID))
	page, next, err := s.page(ctx, r)
	if err == nil && next == after+1 && s.opts.Filter.IsZero() { // the end, unless what is behind it was hard deleted
		page, next, err = s.fetchFiltered(ctx, s.env.reads, r)
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
	return s.accept(ctx, fedPage{Events: page, Last: next - 1}, false)
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
	s.life.Miss()
}

// behind asks for the page behind a number. It begins with the event that has the number, which shows that it is the page
// that follows.
func (s *subscription) behind(after int64, limit int, streamID int64) ReadRequest {
	if s.readsAhead() {
		limit = s.pageSize()
	}
	r := ReadRequest{Stream: s.id.Stream, From: 1, Limit: limit}
	if after > 0 {
		r.From, r.Limit, r.Overlap = after, limit+1, true
	}
	if s.env.replicated {
		r.StreamID = streamID // the replica may still have another stream of the name
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
		part, err = s.ahead.fetch(s.env.ctx, r, math.MaxInt, s.readPage)
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
		return s.fetchFiltered(ctx, s.env.reads, r)
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
		part, err := s.env.reads.ReadAll(ctx, r)
		return part.Events, err
	}
	part, err := s.env.reads.ReadStream(ctx, r)
	return part.Events, err
}

// fetched reads a page. A stream that is not there has an empty one; one that is soft deleted ends the subscription. What the replica says
// of that may be out of date: the primary is asked at each look at the stream.
func (s *subscription) fetched(ctx context.Context, read func(context.Context) ([]Recorded, error)) ([]Recorded, error) {
	ctx, end := s.env.observe(ctx, s.operation(OpFetch))
	page, err := read(ctx)
	end(Outcome{Err: err, Count: len(page)})
	switch {
	case errors.Is(err, ErrStreamNotFound), s.env.replicated && isOfStream(err):
		return nil, nil
	case errors.Is(err, ErrStreamDeleted):
		s.mu.Lock()
		s.life.Ending(err)
		s.mu.Unlock()
		return nil, nil
	case err != nil:
		return nil, err
	}
	for i := range page {
		page[i].codec = s.env.codec
	}
	return page, nil
}
