package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"

	"github.com/eventstore-go/eventstore/store"
)

// StreamVersions implements [store.SubscriptionStorage].
func (b *Backend) StreamVersions(ctx context.Context, streams []string) (map[string]store.StreamInfo, error) {
	if err := b.Check(ctx); err != nil {
		return nil, err
	}
	versions := make(map[string]store.StreamInfo, len(streams))
	err := b.each(ctx, "stream_versions", func(rows *sql.Rows) error {
		var f found
		var name string
		err := rows.Scan(&name, &f.id, &f.Version, &f.created, &f.deleted)
		versions[name] = f.info(name)
		return err
	}, textArray(streams))
	if err != nil {
		return nil, err
	}
	return versions, nil
}

// ReadFiltered implements [store.SubscriptionStorage].
func (b *Backend) ReadFiltered(ctx context.Context, r store.ReadRequest, f store.EventFilter) (page []store.Recorded, next int64, err error) {
	if err := b.Check(ctx); err != nil {
		return nil, r.From, err
	}
	switch {
	case r.Stream == store.All && r.Backward:
		page, next, err = b.readAllFilteredBackward(ctx, r, f)
	case r.Stream == store.All:
		page, next, err = b.readAllFiltered(ctx, r, f)
	default:
		page, next, err = b.readStreamFiltered(ctx, r, f)
	}
	if err != nil {
		return nil, r.From, err
	}
	return page, next, nil
}

// window is how many numbers a page looks at, at most.
func window(r store.ReadRequest) int64 {
	size := max(10*int64(r.Limit), 10_000)
	if r.Backward {
		return size
	}
	return min(size, math.MaxInt64-r.From)
}

// readAllFiltered looks at growing parts of the log until it has found a good part of a page: no more positions at a
// time than a page has events, unless what it has seen says that fewer of them match.
func (b *Backend) readAllFiltered(ctx context.Context, r store.ReadRequest, f store.EventFilter) (page []store.Recorded, next int64, err error) {
	next = r.From
	end := r.From + window(r)
	part := int64(r.Limit)
	found, left, full := 0, room{request: r}, false
	for caughtUp := false; !full && found < r.Limit && 2*beyond(page[:found], r.From) < r.Limit && next < end; {
		wants, to, err := b.readLog(ctx, next, int(min(part, end-next)))
		if err != nil {
			return nil, r.From, err
		}
		if len(wants.list) == 0 && to == next { // the log ended here when it was read
			if caughtUp || next > r.From {
				break
			}
			head, moved, more, err := b.catchUpSome(ctx)
			if err != nil || !moved && head < r.From {
				return nil, r.From, err
			}
			caughtUp = !more // and read again: this reader or another has placed events since
			continue
		}
		events, cut, err := b.readMatching(ctx, &left, wants, f)
		if err != nil {
			return nil, r.From, err
		}
		if full = cut; cut && left.n == 0 {
			page, found, next, full = nil, 0, r.From, false
			continue
		}
		page = appendPage(page[:found], events)
		if cut {
			to = page[len(page)-1].Number + 1
		}
		next = to
		if !r.ChosenOnly {
			page = slices.DeleteFunc(page, func(e store.Recorded) bool { // where the part begins
				return e.Number != r.From && e.Number != next-1 && !f.Matches(&e)
			})
		}
		found = len(page)
		if found > 1 && !f.Matches(&page[found-1]) {
			found-- // where the part ends: it stays only if the page ends there
		}
		left = roomBehind(r, page[:found])
		part = nextPart(part, next-r.From, found, r.Limit)
	}
	if len(page) > r.Limit {
		page = page[:r.Limit]
		next = page[r.Limit-1].Number + 1
	}
	return page, next, nil
}

// readAllFilteredBackward is the same downwards, without the events where the page begins and ends.
func (b *Backend) readAllFilteredBackward(ctx context.Context, r store.ReadRequest, f store.EventFilter) (page []store.Recorded, next int64, err error) {
	head, err := b.Head(ctx)
	if err != nil {
		return nil, r.From, err
	}
	from := min(r.From, head)
	end := max(from-window(r), 0)
	part, left := int64(r.Limit), room{request: r}
	for next = from; next > end && 2*len(page) < r.Limit; {
		wants, to, err := b.readLogBackward(ctx, next, int(min(part, next-end)))
		if err != nil {
			return nil, r.From, err
		}
		events, cut, err := b.readMatching(ctx, &left, wants, f)
		if err != nil {
			return nil, r.From, err
		}
		if cut && left.n == 0 {
			page, next = nil, from
			continue
		}
		page, next = appendPage(page, events), to
		if len(page) > r.Limit {
			page, cut = page[:r.Limit], true
		}
		if cut {
			return page, page[len(page)-1].Number - 1, nil
		}
		part = nextPart(part, from-next, len(page), r.Limit)
	}
	return page, next, nil
}

// beyond counts the events of a page that do not stand where it begins, which its reader may have read before.
func beyond(page []store.Recorded, from int64) int {
	if len(page) > 0 && page[0].Number == from {
		return len(page) - 1
	}
	return len(page)
}

// nextPart is how many positions to look at after a part: so many that they fill the page if as many match as did among
// those that were looked at, but no more than ten times as many as before.
func nextPart(part, looked int64, matched, limit int) int64 {
	missing := int64(max(limit-matched, 1))
	return min(10*part, missing*looked/int64(max(matched, 1)))
}

// readMatching reads those events of wanted that f chooses, in the order of the page, and fills them.
func (b *Backend) readMatching(ctx context.Context, left *room, wanted wanted, f store.EventFilter) (events []store.Recorded, cut bool, err error) {
	if len(wanted.list) == 0 {
		return nil, false, nil
	}
	if f.IsZero() { // by a statement that is planned once
		return b.readPart(ctx, left, wanted)
	}
	r := left.request
	var first, last want
	if !r.ChosenOnly { // both ends are read whatever f says
		first, last = wanted.list[0], wanted.list[len(wanted.list)-1]
	}
	args := append(filterArgs(f), first.seq, int64(first.lo), last.seq, int64(last.hi))
	p := placing{request: r, scanner: b.newPlacedScanner(r.Bytes), statement: "read_events_filtered", args: args, wants: wanted.list}
	if events, err = b.readWants(ctx, &p, wanted.era); err != nil {
		return nil, false, err
	}
	slices.SortFunc(events, func(x, y store.Recorded) int { return cmp.Compare(x.Number, y.Number) })
	if r.Backward {
		slices.Reverse(events)
	}
	return b.fill(ctx, left, events)
}

// filterArgs are the types and the prefix, null for all.
func filterArgs(f store.EventFilter) []any {
	var types, prefix any
	if len(f.Types) > 0 {
		types = textArray(f.Types)
	}
	if f.StreamPrefix != "" {
		prefix = f.StreamPrefix
	}
	return []any{types, prefix}
}

// readStreamFiltered looks up where the stream ends first: up to there, all is to be seen by the next statement.
func (b *Backend) readStreamFiltered(ctx context.Context, r store.ReadRequest, f store.EventFilter) (page []store.Recorded, next int64, err error) {
	stream, err := b.find(ctx, "find_stream", r.Stream)
	if err == nil {
		err = r.Judge(stream.info(r.Stream))
	}
	if err != nil || !r.Backward && stream.Version < r.From {
		return nil, r.From, err
	}
	statement, first, last := "read_stream_filtered", r.From, min(stream.Version, r.From+window(r)-1)
	if r.Backward {
		statement, last = "read_stream_filtered_backward", min(stream.Version, r.From)
		first = max(last-window(r)+1, 1)
	}
	args := append(append([]any{stream.id, first, int64(r.Limit), last}, filterArgs(f)...), inline(r, r.Limit))
	switch {
	case r.Backward:
		next = first - 1
	case r.ChosenOnly:
		next, args = last+1, append(args, int64(0), int64(0))
	default:
		next, args = last+1, append(args, first, last)
	}
	for range mostTries {
		part, err := b.readLinked(ctx, &room{request: r}, statement, args...)
		n := len(part.Events)
		switch {
		case err == nil && part.More && n == 0:
			continue // its first event was hard deleted
		case err == nil && (n == r.Limit || part.More) && r.Backward:
			next = part.Events[n-1].Number - 1
		case err == nil && (n == r.Limit || part.More):
			next = part.Events[n-1].Number + 1
		}
		return part.Events, next, err
	}
	return nil, r.From, fmt.Errorf("postgres: read %q: %w: the stream kept changing", r.Stream, store.ErrRetryTx)
}
