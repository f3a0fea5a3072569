package store

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store/internal/intake"
	"github.com/eventstore-go/eventstore/store/internal/tail"
)

// fedPage is a part of what the feed has read.
type fedPage = intake.Page[Recorded]

// idAt returns the id of the event with a number, if the page shows it.
func idAt(p fedPage, number int64) tail.ID {
	if n := len(p.Events); n > 0 && p.Events[n-1].Number == number {
		return p.Events[n-1].ID
	}
	if p.Before.Number == number {
		return p.Before.ID
	}
	return tail.ID{}
}

// feedReader asks the database for the feed, and knows no members. Its methods are for the feed's goroutine, except own.
type feedReader struct {
	env    *env
	pager  pager
	shared *polled     // the polls of this feed and others; nil if the storage is no [Poller]
	lag    tail.Lag    // of the replica
	own    atomic.Bool // this process has committed since the last read
}

// share makes the reader poll together with others, until it calls what share returns.
func (r *feedReader) share() (end func()) {
	if r.env.poller == nil {
		return func() {}
	}
	key := r.env.poller.PollKey()
	r.shared = allPolls.join(key)
	return func() { allPolls.leave(r, key) }
}

// poll reports whether there is anything to read: new events, or others at the cursor. The answer is that of a poll which began at, less
// than age ago.
func (r *feedReader) poll(ctx context.Context, cursor tail.Cursor, age time.Duration) (news bool, at time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	ctx, end := r.env.observe(ctx, Operation{Kind: OpFetch, Stream: All})
	a, err := r.shared.ask(ctx, r.env.poller, cursor.Position(), age)
	end(Outcome{Err: err})
	return cursor.News(a.Head, a.ID), a.At, err
}

// end returns the end of All as a cursor.
func (r *feedReader) end(ctx context.Context) (tail.Cursor, error) {
	head, err := r.env.reads.Head(ctx)
	if err != nil || head == 0 {
		return tail.Cursor{}, err
	}
	end := tail.At(head, uuid.Nil)
	page, _, err := r.env.reads.ReadFiltered(ctx, ReadRequest{Stream: All, From: head, Limit: 1}, EventFilter{})
	if err == nil && len(page) > 0 && page[0].Number == head {
		end = tail.At(head, page[0].ID)
	}
	return end, err
}

// begin gives positions to what was committed, and returns up to where pages follow the cursor: with a replica, to where the primary ends,
// and otherwise to the end, wherever that is.
func (r *feedReader) begin(ctx context.Context, cursor tail.Cursor) (end int64, v tail.Verdict, err error) {
	own := r.own.Swap(false)
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	switch {
	case r.env.replicated:
		return r.askPrimary(ctx, cursor)
	case r.env.ticker == nil:
	case own: // there is something without a position: no need to look for it first
		_, err = r.env.place(ctx)
	default: // what others have committed gets its position; Head asks before it writes
		_, err = r.env.storage.Head(ctx)
	}
	return math.MaxInt64, tail.Follows, err
}

// askPrimary returns where the primary ends, which has given positions to what was committed, and whether it has what was read.
func (r *feedReader) askPrimary(ctx context.Context, cursor tail.Cursor) (end int64, v tail.Verdict, err error) {
	seen, held := SeenEvent{cursor.Position(), cursor.Last()}, true
	if end, err = r.env.storage.Head(ctx); err == nil && !seen.IsZero() && end >= seen.Number {
		held, err = r.env.holds(ctx, All, 0, seen)
	}
	switch {
	case err != nil:
		return 0, v, err
	case end < seen.Number:
		return end, tail.Short, nil
	case !held:
		v = tail.Replaced
	}
	r.env.end.Store(end)
	return end, v, nil
}

// page reads a page behind the cursor, up to end. The page begins with the last event that was read before: if another is in its place, the
// database has lost events, and the page does not follow. Page reports whether there may be more behind the page.
func (r *feedReader) page(ctx context.Context, cursor tail.Cursor, end int64) (p fedPage, more bool, v tail.Verdict, err error) {
	from, overlap := cursor.From()
	position := cursor.Position()
	request := r.pager.bound(ReadRequest{Stream: All, From: from, Limit: readSize, Overlap: overlap})
	page, next, err := r.fetch(ctx, request)
	if err != nil {
		return p, false, v, err
	}
	if cursor.Short(next) {
		if r.env.replicated { // it lags: nothing is new
			return fedPage{Before: intake.Seen{Number: position, ID: cursor.Last()}, Last: position, After: position}, false, tail.Follows, nil
		}
		return p, false, tail.Short, nil
	}
	if r.env.replicated && next > position+1 {
		if page, next, err = r.confirm(ctx, page, next, end); err != nil {
			return p, false, v, err
		}
	}
	p = fedPage{Events: page, Last: next - 1, After: position}
	more = next > position+1 && next <= end && !isEnd(request, page, next)
	first := intake.Seen{}
	if len(page) > 0 {
		first = intake.Seen{Number: page[0].Number, ID: page[0].ID}
	}
	switch v = cursor.Judge(first.Number, first.ID); {
	case v == tail.Replaced && r.env.replicated:
		return p, false, v, otherHistory(All, position) // than the primary, which was asked before the page was read
	case v == tail.Overlaps:
		p.Before, p.Events = first, page[1:]
	}
	for i := range p.Events {
		p.Events[i].codec = r.env.codec
	}
	return p, more, v, nil
}

// isEnd reports whether the page that r asked for, up to next, is so short that it ended where the store did when it was read: what has
// come since is found at the next look.
func isEnd(r ReadRequest, page []Recorded, next int64) bool {
	return len(page) > r.overlap() && next-r.From == int64(len(page)) && len(page) <= r.Limit/2 && (r.Bytes <= 0 || sizeOf(page) <= r.Bytes/4)
}

// fetch reads the page that q asks for, and returns the position to go on from.
func (r *feedReader) fetch(ctx context.Context, q ReadRequest) (page []Recorded, next int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	ctx, end := r.env.observe(ctx, Operation{Kind: OpFetch, Stream: All})
	page, next, err = r.env.reads.ReadFiltered(ctx, q, EventFilter{})
	end(Outcome{Err: err, Count: len(page)})
	if err != nil {
		r.pager.halve(q, err) // it is read again in the next round
		return nil, next, err
	}
	r.pager.learn(q, page)
	return page, next, nil
}

// confirm returns the part of a page that the primary has, too.
func (r *feedReader) confirm(ctx context.Context, page []Recorded, next, end int64) ([]Recorded, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	return r.env.confirm(ctx, All, 0, page, next, end)
}

// lost returns where the store ends after events were lost. The primary of a replica was asked before.
func (r *feedReader) lost(ctx context.Context, end int64) (int64, error) {
	if r.env.replicated {
		return end, nil
	}
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	return r.env.storage.Head(ctx)
}

// late returns an error if the replica has stood still at the cursor for a PollInterval, although the primary ends at end.
func (r *feedReader) late(cursor tail.Cursor, end int64) error {
	if !r.env.replicated {
		return nil
	}
	if head, late := r.lag.Look(cursor.Position(), end, r.env.pollEvery, time.Now()); late {
		return &ReplicaLagError{Position: cursor.Position(), Head: head}
	}
	return nil
}

// look returns where the store ends, and which of some streams exist. Unless they must be new, the end is the cursor, and the streams are as
// another feed may have found them.
func (r *feedReader) look(ctx context.Context, cursor tail.Cursor, names []string, anew bool) (head int64, infos map[string]StreamInfo, err error) {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	head = cursor.Position()
	if anew {
		if head, err = r.env.storage.Head(ctx); err != nil {
			return head, nil, err
		}
	}
	if r.shared != nil {
		allPolls.note(r.shared, r, names)
	}
	switch {
	case len(names) == 0:
	case r.shared == nil || anew:
		infos, err = r.env.storage.StreamVersions(ctx, names)
	default:
		infos, err = r.shared.look(ctx, r.env.storage, names, r.env.pollEvery)
	}
	return head, infos, err
}
