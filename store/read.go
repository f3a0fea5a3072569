package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
)

// End is behind every number. A backward read with [ReadOptions].Before set to End, which is the default, begins at the last event.
const End = math.MaxInt64

// ReadOptions of a read. Numbers are versions, or positions when reading [All].
type ReadOptions struct {
	// From is the first number that a forward read returns. Default: the first event. If it is past the end of the stream, the read
	// returns nothing. Not allowed with Backward.
	From int64
	// After is the number of the last event that the reader has dealt with, its checkpoint: reading starts behind it,
	// and fails with [ErrPositionLost] if the store does not reach that far. Not together with From or Backward.
	After int64
	// Backward reads from high numbers to low. It begins at the last event, or below Before.
	Backward bool
	// Before is the number that a backward read begins below: the read returns events with lower numbers only. To read the next page
	// backward, set it to the number of the last event of the page before; below the first event a page is empty. Default: End. Only
	// with Backward.
	Before int64
	// Limit is how many events are wanted at most. Default: all.
	Limit int
	// StreamID is the [StreamInfo].ID of the stream to read. The read fails with [ErrStreamReplaced] if the name belongs to
	// another stream or to none. Default: the stream that has the name when the read begins. Not allowed with All.
	StreamID int64
	// Filter chooses events in the database: the others are not fetched, and do not count for Limit and PageSize. The database
	// looks at every event between From and the last one wanted, without its data; for rare types in All, a backend's
	// IndexTypes makes an index that appends pay for. It is a condition on the event: of a link, on the stream that its event
	// was appended to. The read ends where the stream ended when the read began. Default: all events.
	Filter EventFilter
	// Seen, if not nil, receives what the read covered: for [Seen.Expected], and for After of the next read. Stream sets it
	// when the sequence ends without an error, Page when it returns. It is zero after an error, including
	// ErrStreamNotFound, and after a loop that the caller left early.
	Seen *Seen
	// PageSize is how many events are fetched at a time, at most MaxPageSize. Default: DefaultPageSize, to which Stream
	// and All add one, so that a stream of a round number of events needs no second look for its end.
	PageSize int
}

// Stream reads one stream, or [All]. The sequence ends at the end of the stream, after Limit events, or with an error,
// which comes at most once, last, with a zero event: [ErrInvalid], [ErrStreamNotFound], [ErrStreamDeleted],
// [ErrStreamReplaced], [ErrPositionLost], ctx's error, or the database's.
//
// Events are fetched a page at a time, and no connection is held for the caller's code; so the sequence is not one
// snapshot, and events appended meanwhile may appear at its end. All events belong to one stream: if it is hard
// deleted before the read ends, the sequence ends with [ErrStreamReplaced], even if a new stream has the name. Where a whole page was read and more is likely, the next
// ones are fetched, on other connections, while the caller's code runs, unless the Store is bound to a transaction; a
// loop that is left waits for those on their way. Ranging again reads again from the start.
func (s *Store) Stream(ctx context.Context, stream string, opts *ReadOptions) iter.Seq2[Recorded, error] {
	return func(yield func(Recorded, error) bool) {
		r, err := s.reader(stream, opts, DefaultPageSize+1)
		if err != nil {
			yield(Recorded{}, err)
			return
		}
		r.ahead = &ahead{storage: s.reads}
		defer r.ahead.wait()
		recycler, _ := s.reads.(Recycler)
		var seen *Seen
		if opts != nil && opts.Seen != nil {
			seen, *opts.Seen = opts.Seen, Seen{}
		}
		for !r.done {
			page, err := r.next(ctx)
			if err != nil {
				yield(Recorded{}, err)
				return
			}
			for _, e := range page {
				if err := ctx.Err(); err != nil {
					yield(Recorded{}, err)
					return
				}
				if !yield(e, nil) {
					return
				}
			}
			if recycler != nil {
				recycler.Recycle(page)
			}
		}
		if seen != nil {
			*seen = r.seen
		}
	}
}

// All reads all events in their global order. It is [Store.Stream] of the stream [All].
//
// Once an event has been seen, no event can appear before it. All sees every event that was committed before the call,
// and those of one stream in the order of their versions.
func (s *Store) All(ctx context.Context, opts *ReadOptions) iter.Seq2[Recorded, error] {
	return s.Stream(ctx, All, opts)
}

// Page reads one page of a stream, or of [All]: at most PageSize events, or Limit if that is less. Fewer than that
// means that the stream ends there. The events are returned together, however large they are; they are fetched by
// [Options].PageBytes at a time. With a Filter, Page looks at as many events as it takes to find a page of those that the
// filter chooses, and returns fewer only where the stream ended when the call began; [ReadOptions].Seen says how far it has
// looked. Errors are those of [Store.Stream].
func (s *Store) Page(ctx context.Context, stream string, opts *ReadOptions) ([]Recorded, error) {
	r, err := s.reader(stream, opts, DefaultPageSize)
	if err != nil {
		return nil, err
	}
	if opts != nil && opts.Seen != nil {
		*opts.Seen = Seen{}
	}
	r.left = min(r.left, r.pageSize)
	page, err := r.next(ctx)
	for err == nil && !r.done {
		var more []Recorded
		more, err = r.next(ctx)
		page = append(page, more...)
	}
	if err != nil {
		return nil, err
	}
	if opts != nil && opts.Seen != nil {
		*opts.Seen = r.seen
	}
	return page, nil
}

// reader is one read on its way.
type reader struct {
	store    *Store
	request  ReadRequest
	pager    pager
	pageSize int
	left     int    // how many events are still wanted
	ahead    *ahead // nil: one page is wanted
	after    int64  // the checkpoint to be checked before the first page
	seen     Seen   // of the last page; of a backward read, the first page
	done     bool

	sifting *sifting // nil unless the read has a filter, or is to say what it has seen of All
}

func (s *Store) reader(stream string, opts *ReadOptions, pageSize int) (*reader, error) {
	if opts == nil {
		opts = &ReadOptions{}
	}
	if stream != All {
		if err := checkStream(stream); err != nil {
			return nil, err
		}
	}
	if err := checkRead(stream, opts); err != nil {
		return nil, err
	}
	r := &reader{
		store:    s,
		request:  ReadRequest{Stream: stream, StreamID: opts.StreamID, From: opts.From, Backward: opts.Backward},
		pager:    pager{most: s.bytes},
		pageSize: cmp.Or(opts.PageSize, pageSize),
		left:     opts.Limit,
		after:    opts.After,
	}
	if !opts.Filter.IsZero() || stream == All && opts.Seen != nil {
		r.sifting = &sifting{filter: opts.Filter.clone()}
	}
	if r.left == 0 {
		r.left = math.MaxInt
	}
	switch {
	case opts.Backward:
		r.request.From = cmp.Or(opts.Before, End) - 1 // 0: see page
	case opts.After > 0:
		r.request.From = opts.After + 1
	case opts.From == 0:
		r.request.From = 1
	}
	return r, nil
}

func checkRead(stream string, o *ReadOptions) error {
	for _, f := range []struct {
		name string
		n    int64
	}{{"from", o.From}, {"after", o.After}, {"before", o.Before}, {"limit", int64(o.Limit)}, {"page_size", int64(o.PageSize)}, {"stream_id", o.StreamID}} {
		if f.n < 0 {
			return &InvalidError{Field: f.name, Reason: fmt.Sprintf("%d is negative", f.n)}
		}
	}
	switch {
	case o.PageSize > MaxPageSize:
		return &InvalidError{Field: "page_size", Reason: fmt.Sprintf("%d is more than %d", o.PageSize, MaxPageSize)}
	case o.Backward && o.From > 0:
		return &InvalidError{Field: "from", Reason: "can't be given when reading backward: set before to the number that the read begins below"}
	case o.Before > 0 && !o.Backward:
		return &InvalidError{Field: "before", Reason: "can be given only when reading backward"}
	case o.After > 0 && o.From > 0:
		return &InvalidError{Field: "after", Reason: "can't be given together with from"}
	case o.After > 0 && o.Backward:
		return &InvalidError{Field: "after", Reason: "can't be given when reading backward"}
	case stream == All && o.StreamID > 0:
		return &InvalidError{Field: "stream_id", Reason: "can't be given when reading " + All}
	case o.After == math.MaxInt64:
		return &InvalidError{Field: "after", Reason: "is beyond every number"}
	}
	return checkFilter(o.Filter.Types, o.Filter.StreamPrefix)
}

// next returns the next page and sets done behind the last.
func (r *reader) next(ctx context.Context) ([]Recorded, error) {
	if r.sifting != nil && r.request.From > 0 { // below the first event there is nothing to choose from
		return r.nextChosen(ctx)
	}
	request, part, err := r.part(ctx)
	for err != nil && ctx.Err() == nil && !r.store.inTx && r.pager.halve(request, err) {
		request, part, err = r.part(ctx)
	}
	if err != nil {
		return nil, err
	}
	r.pager.learn(request, part.Events)
	if !r.request.Backward || r.seen.StreamID == 0 {
		r.seen = part.Seen
	}
	r.request.StreamID = part.StreamID
	page := part.Events
	r.left -= len(page)
	r.done = len(page) < request.Limit && !part.More || r.left <= 0
	if len(page) == 0 {
		return nil, nil
	}
	return page, r.advance(page[len(page)-1].Number)
}

// part reads the next page, unless that is on its way already, and returns what was asked for.
func (r *reader) part(ctx context.Context) (request ReadRequest, part StreamPart, err error) {
	request = r.request
	request.Limit = min(r.pageSize, r.left)
	request = r.pager.bound(request)
	if r.ahead != nil {
		part, err = r.ahead.fetch(ctx, request, r.left-request.Limit, r.read)
	} else {
		part, err = r.read(ctx, request)
	}
	return request, part, err
}

// read reads a page. After the first it may be called concurrently.
func (r *reader) read(ctx context.Context, request ReadRequest) (StreamPart, error) {
	ctx, end := r.store.observe(ctx, Operation{Kind: OpRead, Stream: request.Stream})
	page, err := r.page(ctx, request)
	end(Outcome{Err: err, Count: len(page.Events)})
	return page, err
}

func (r *reader) page(ctx context.Context, request ReadRequest) (page StreamPart, err error) {
	if err := r.store.usable(ctx); err != nil {
		return page, err
	}
	if _, lags, err := r.checkCheckpoint(ctx, &request); err != nil || lags {
		return StreamPart{Seen: Seen{StreamID: request.StreamID, Version: r.after}}, err
	}
	if request.Backward && request.From == 0 { // there is nothing below the first event, but the stream must be readable
		info, err := r.end(ctx, r.store.reads)
		return StreamPart{Seen: Seen{StreamID: info.ID}}, err
	}
	if request.Stream == All {
		page.Part, err = r.store.reads.ReadAll(ctx, request)
		if err == nil && !page.More && len(page.Events) < request.Limit {
			r.store.placeSoon()
		}
	} else {
		page, err = r.store.reads.ReadStream(ctx, request)
	}
	for i := range page.Events {
		page.Events[i].codec = r.store.codec
	}
	return page, err
}

// advance goes on behind the last event read. A storage that goes back would be read for ever.
func (r *reader) advance(last int64) error {
	if r.request.Backward {
		if last > r.request.From {
			return fmt.Errorf("eventstore: the storage returned number %d reading backward from %d", last, r.request.From)
		}
		r.request.From = last - 1
		r.done = r.done || last == 1
		return nil
	}
	if last < r.request.From {
		return fmt.Errorf("eventstore: the storage returned number %d reading from %d", last, r.request.From)
	}
	r.request.From = last + 1
	return nil
}

// checkCheckpoint fails if the reader claims to have read what the store does not have. It pins the request to the stream
// that it looked at, and returns where that ends. It reports whether a replica lags behind what was read: then nothing is
// behind that yet. Without a checkpoint it does nothing.
func (r *reader) checkCheckpoint(ctx context.Context, request *ReadRequest) (info StreamInfo, lags bool, err error) {
	if r.after == 0 {
		return info, false, nil
	}
	info, err = r.end(ctx, r.store.reads)
	if r.store.replicated && (err == nil && r.after > info.Version || isOfStream(err)) { // the primary alone can say that it is lost
		info, err = r.end(ctx, r.store.storage)
		lags = err == nil && r.after <= info.Version
	}
	if err != nil {
		return info, false, err
	}
	request.StreamID = info.ID
	if r.after > info.Version {
		return info, false, &PositionLostError{Stream: request.Stream, After: r.after, Head: info.Version}
	}
	if !lags {
		r.after = 0
	}
	return info, lags, nil
}

// end returns where the stream ends now.
func (r *reader) end(ctx context.Context, in Storage) (StreamInfo, error) {
	if r.request.Stream == All {
		head, err := in.Head(ctx)
		return StreamInfo{Version: head}, err
	}
	info, err := in.StreamInfo(ctx, r.request.Stream)
	if err == nil || errors.Is(err, ErrStreamNotFound) {
		err = r.request.Judge(info)
	}
	return info, err
}

// sifting is a read with a filter. It asks first where the stream ends, and comes no further than the page that passes that
// place: a store that grows as fast as the filter leaves out events would keep it looking for ever. A page without events is no end.
type sifting struct {
	filter EventFilter
	last   int64     // where the stream ended when the read began
	begun  bool      // last is set
	index  TypeIndex // finds the events, or nil
	rest   any       // what it wants to be given for the next page
}

// farEnough is how many positions there must be to look at for a read to ask for an index of types: looking at fewer costs no more.
const farEnough = 20_000

// nextChosen returns the next page of a read with a filter, which may be empty, and sets done behind the last.
func (r *reader) nextChosen(ctx context.Context) ([]Recorded, error) {
	if !r.sifting.begun {
		if err := r.begin(ctx); err != nil || r.done {
			return nil, err
		}
	}
	request, page, next, err := r.readChosen(ctx)
	for err != nil && ctx.Err() == nil && !r.store.inTx && r.pager.halve(request, err) {
		request, page, next, err = r.readChosen(ctx)
	}
	if err != nil {
		return nil, err
	}
	r.pager.learn(request, page)
	r.left -= len(page)
	return page, r.passed(page, next)
}

// begin finds out where the stream ends, and pins the read to that stream.
func (r *reader) begin(ctx context.Context) error {
	if err := r.store.usable(ctx); err != nil {
		return err
	}
	checked := r.after > 0
	info, lags, err := r.checkCheckpoint(ctx, &r.request)
	if err == nil && !checked {
		info, err = r.end(ctx, r.store.reads)
	}
	if err != nil {
		return err
	}
	if r.request.Stream == All {
		r.store.placeSoon() // what a replica does not show yet
	}
	r.sifting.begun, r.sifting.last, r.request.StreamID = true, info.Version, info.ID
	r.seen.StreamID = info.ID
	switch {
	case lags:
		r.seen.Version, r.done = r.after, true
	case r.request.Backward:
		r.request.From = min(r.request.From, r.sifting.last)
		r.seen.Version, r.done = r.request.From, r.sifting.last == 0
	default:
		r.seen.Version, r.done = min(r.request.From-1, r.sifting.last), r.request.From > r.sifting.last
	}
	far := r.sifting.last - r.request.From + 1
	if r.request.Backward {
		far = r.request.From
	}
	if r.request.Stream == All && len(r.sifting.filter.Types) > 0 && far > farEnough {
		r.sifting.index, _ = r.store.reads.(TypeIndex)
	}
	return nil
}

// readChosen reads the next page, and returns what was asked for.
func (r *reader) readChosen(ctx context.Context) (request ReadRequest, page []Recorded, next int64, err error) {
	request = r.request
	request.Limit, request.ChosenOnly = min(r.pageSize, r.left), true
	request = r.pager.bound(request)
	ctx, end := r.store.observe(ctx, Operation{Kind: OpRead, Stream: request.Stream})
	page, next, err = r.chosen(ctx, request)
	end(Outcome{Err: err, Count: len(page)})
	return request, page, next, err
}

func (r *reader) chosen(ctx context.Context, request ReadRequest) (page []Recorded, next int64, err error) {
	if err := r.store.usable(ctx); err != nil {
		return nil, request.From, err
	}
	if r.sifting.index != nil {
		page, next, err = r.typed(ctx, request)
	}
	if r.sifting.index == nil && err == nil {
		page, next, err = r.store.readFiltered(ctx, request, r.sifting)
	}
	for i := range page {
		page[i].codec = r.store.codec
	}
	return page, next, err
}

// typed reads a page by the index of types, or lets go of that if it does not suit.
func (r *reader) typed(ctx context.Context, request ReadRequest) (page []Recorded, next int64, err error) {
	s := r.sifting
	part, err := s.index.ReadTyped(ctx, TypedRequest{
		Types: s.filter.sorted(), StreamPrefix: s.filter.StreamPrefix,
		From: request.From, Backward: request.Backward, Limit: request.Limit, Bytes: request.Bytes, Rest: s.rest,
	})
	if err != nil {
		if s.rest == nil && timedOut(err) {
			s.index = nil // half a page would take as long
		}
		return nil, request.From, err
	}
	s.rest = part.Rest
	if part.Unsuited {
		s.index = nil
	}
	return part.Events, part.Next, nil
}

// readFiltered reads a page by looking at events one after the other. A storage that has no filtered reads returns them all, and those that
// the filter chooses are kept.
func (s *Store) readFiltered(ctx context.Context, request ReadRequest, by *sifting) (page []Recorded, next int64, err error) {
	if storage, ok := s.reads.(SubscriptionStorage); ok {
		return storage.ReadFiltered(ctx, request, by.filter)
	}
	var part Part
	if request.Stream == All {
		part, err = s.reads.ReadAll(ctx, request)
	} else {
		var of StreamPart
		of, err = s.reads.ReadStream(ctx, request)
		part = of.Part
	}
	if err != nil {
		return nil, request.From, err
	}
	n := len(part.Events)
	ended := n < request.Limit && !part.More
	switch {
	case request.Backward && ended:
		next = 0
	case request.Backward:
		next = part.Events[n-1].Number - 1
	case ended:
		next = max(by.last, request.From-1) + 1
		if n > 0 {
			next = max(next, part.Events[n-1].Number+1)
		}
	default:
		next = part.Events[n-1].Number + 1
	}
	for _, e := range part.Events {
		if by.filter.Matches(&e) {
			page = append(page, e)
		}
	}
	return page, next, nil
}

// passed goes on at next, the first number that a page has not looked at. A storage that stands still would be read for ever.
func (r *reader) passed(page []Recorded, next int64) error {
	from, n := r.request.From, len(page)
	r.request.From = next
	if r.request.Backward {
		if next >= from || n > 0 && (page[0].Number > from || page[n-1].Number <= next) {
			return fmt.Errorf("eventstore: the storage returned a page backward from %d to %d with other numbers", from, next+1)
		}
		r.done = next < 1 || r.left <= 0
		return nil
	}
	if next < from || n > 0 && (page[0].Number < from || page[n-1].Number >= next) {
		return fmt.Errorf("eventstore: the storage returned a page from %d to %d with other numbers", from, next-1)
	}
	r.seen.Version = max(r.seen.Version, next-1)
	r.done = next > r.sifting.last || next == from || r.left <= 0
	return nil
}

// Types lists the types of all events, the most frequent first and those of the same frequency by name, byte by byte. Events of
// soft-deleted streams count, hard-deleted events do not, and an event counts once, however many streams link to it. Every event is
// covered that was committed before the call, and in a transaction those that have a position.
//
// No index serves Types. PostgreSQL and SQLite look at every event once, without its data, in one statement that waits for no
// writer: about a second of a CPU for each million events. Call it for an overview, not in a request. Other backends read all events.
func (s *Store) Types(ctx context.Context) ([]TypeInfo, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.placeSoon()
	if storage, ok := s.reads.(TypeStorage); ok {
		return storage.ListTypes(ctx)
	}
	return s.countTypes(ctx)
}

// countTypes is Types of a storage that does not list them.
func (s *Store) countTypes(ctx context.Context) ([]TypeInfo, error) {
	byType := map[string]*TypeInfo{}
	for e, err := range s.All(ctx, nil) {
		if err != nil {
			return nil, err
		}
		t := byType[e.Type]
		if t == nil {
			t = &TypeInfo{Type: e.Type, First: e.Number, FirstAt: e.CreatedAt}
			byType[e.Type] = t
		}
		t.Events++
		t.Last, t.LastAt = e.Number, e.CreatedAt
	}
	list := make([]TypeInfo, 0, len(byType))
	for _, t := range byType {
		list = append(list, *t)
	}
	slices.SortFunc(list, func(a, b TypeInfo) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.Type, b.Type))
	})
	return list, nil
}
