package conformance

import (
	"context"
	"sync"

	"github.com/eventstore-go/eventstore/store"
)

var orderFaults = []fault{
	{name: "version-gap", what: "version 3 is left out", storage: func(b *broken) {
		b.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
			page, err := b.Storage.ReadStream(ctx, r)
			for i := range page.Events {
				if page.Events[i].Number >= 3 {
					page.Events[i].Number++
				}
			}
			return page, err
		}
	}},
	{name: "position-gap", what: "position 2 is left out", storage: func(b *broken) {
		b.readAll = func(ctx context.Context, r store.ReadRequest) (store.Part, error) {
			page, err := b.Storage.ReadAll(ctx, r)
			for i := range page.Events {
				if page.Events[i].Number >= 2 {
					page.Events[i].Number++
				}
			}
			return page, err
		}
	}},
	{name: "position-used-by-failure", what: "an append that fails uses up positions", storage: func(b *broken) {
		var mu sync.Mutex
		used := int64(0)
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			res, err := b.Storage.Append(ctx, r)
			if err != nil && ctx.Err() == nil {
				mu.Lock()
				defer mu.Unlock()
				used++
			}
			return res, err
		}
		b.head = func(ctx context.Context) (int64, error) {
			head, err := b.Storage.Head(ctx)
			mu.Lock()
			defer mu.Unlock()
			return head + used, err
		}
	}},
	{name: "positions-renumbered", what: "a hard delete closes the gap that it leaves", storage: func(b *broken) {
		b.rearranged(func(_ context.Context, list []store.Recorded) []store.Recorded { return renumbered(list) })
	}},
	{name: "tail-positions-reused", what: "positions at the end that were hard deleted are given out again", storage: func(b *broken) {
		b.head = func(ctx context.Context) (int64, error) {
			list, err := everything(ctx, b)
			return int64(len(list)), err
		}
	}},
	{name: "reordered", what: "the third and fourth event change places", storage: func(b *broken) {
		b.rearranged(func(_ context.Context, list []store.Recorded) []store.Recorded {
			if len(list) > 3 {
				list[2], list[3] = list[3], list[2]
				list[2].Number, list[3].Number = list[3].Number, list[2].Number
			}
			return list
		})
	}},
	{name: "not-adjacent", what: "the last event of an append comes after the next append", storage: func(b *broken) {
		b.rearranged(func(_ context.Context, list []store.Recorded) []store.Recorded {
			for i := 1; i+1 < len(list); i++ {
				if list[i-1].Stream == list[i].Stream && list[i].Stream != list[i+1].Stream {
					list[i], list[i+1] = list[i+1], list[i]
					list[i].Number, list[i+1].Number = list[i+1].Number, list[i].Number
					break
				}
			}
			return list
		})
	}},
	{name: "position-before-commit", what: "a slow writer's event appears at a position that readers have passed", storage: func(b *broken) {
		var mu sync.Mutex
		seen := int64(0)
		b.readAll = func(ctx context.Context, r store.ReadRequest) (store.Part, error) {
			page, err := b.Storage.ReadAll(ctx, r)
			mu.Lock()
			defer mu.Unlock()
			var shown []store.Recorded
			for _, e := range page.Events {
				if e.Number%5 != 0 || seen > e.Number {
					shown = append(shown, e)
				}
			}
			for _, e := range page.Events {
				seen = max(seen, e.Number)
			}
			page.Events = shown
			return page, err
		}
	}},
	{name: "read-behind", what: "a read of all events misses the newest", storage: func(b *broken) {
		b.readAll = func(ctx context.Context, r store.ReadRequest) (store.Part, error) {
			head, err := b.Storage.Head(ctx)
			if err != nil {
				return store.Part{}, err
			}
			page, err := b.Storage.ReadAll(ctx, r)
			if n := len(page.Events); n > 0 && !r.Backward && page.Events[n-1].Number == head {
				page.Events = page.Events[:n-1]
			}
			return page, err
		}
	}},
	{name: "head-behind", what: "the head is one less than it is", storage: func(b *broken) {
		b.head = func(ctx context.Context) (int64, error) {
			head, err := b.Storage.Head(ctx)
			return max(head-1, 0), err
		}
	}},
	{name: "head-of-nothing", what: "the head of an empty store is 1", storage: func(b *broken) {
		b.head = func(ctx context.Context) (int64, error) {
			head, err := b.Storage.Head(ctx)
			return max(head, 1), err
		}
	}},
	{name: "all-is-one-stream", what: "events in $all have their position as version", storage: func(b *broken) {
		b.readAll = func(ctx context.Context, r store.ReadRequest) (store.Part, error) {
			page, err := b.Storage.ReadAll(ctx, r)
			for i := range page.Events {
				page.Events[i].Version = page.Events[i].Number
			}
			return page, err
		}
	}},
	{name: "all-hides-deleted", what: "$all leaves out soft-deleted streams", storage: func(b *broken) {
		b.rearranged(func(ctx context.Context, list []store.Recorded) []store.Recorded {
			var shown []store.Recorded
			for _, e := range list {
				if info, _ := b.Storage.StreamInfo(ctx, e.Stream); info.Status() == store.Active {
					shown = append(shown, e)
				}
			}
			return shown
		})
	}},
	{name: "all-shows-links", what: "a link counts as an event in $all", storage: func(b *broken) {
		var mu sync.Mutex
		links := int64(0)
		b.link = func(ctx context.Context, r store.LinkRequest) (store.AppendResult, error) {
			res, err := b.Storage.Link(ctx, r)
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				links += int64(len(r.Events))
			}
			return res, err
		}
		b.head = func(ctx context.Context) (int64, error) {
			head, err := b.Storage.Head(ctx)
			mu.Lock()
			defer mu.Unlock()
			return head + links, err
		}
	}},
}

// rearranged makes a read of all events give a page of a changed list. It leaves a long list as it is, to be quick.
func (b *broken) rearranged(change func(ctx context.Context, list []store.Recorded) []store.Recorded) {
	b.readAll = func(ctx context.Context, r store.ReadRequest) (store.Part, error) {
		if head, _ := b.Storage.Head(ctx); head > 1000 {
			return b.Storage.ReadAll(ctx, r)
		}
		list, err := everything(ctx, b)
		return cutPage(change(ctx, list), r), err
	}
}

// everything returns all events in order.
func everything(ctx context.Context, b *broken) ([]store.Recorded, error) {
	head, err := b.Storage.Head(ctx)
	if err != nil {
		return nil, err
	}
	page, err := b.Storage.ReadAll(ctx, store.ReadRequest{From: 1, Limit: int(head) + 1})
	return page.Events, err
}

// renumbered gives events positions as if none had been hard deleted.
func renumbered(list []store.Recorded) []store.Recorded {
	for i := range list {
		list[i].Number = int64(i + 1)
	}
	return list
}

// cutPage returns the page of a list of all events that a request asks for.
func cutPage(list []store.Recorded, r store.ReadRequest) (page store.Part) {
	bytes := 0
	for i := range list {
		e := list[i]
		if r.Backward {
			e = list[len(list)-1-i]
		}
		if (!r.Backward && e.Number >= r.From || r.Backward && e.Number <= r.From) && len(page.Events) < r.Limit {
			if !r.Fits(len(page.Events), bytes, e.Size()) {
				page.More = true
				break
			}
			page.Events = append(page.Events, e)
			bytes += e.Size()
		}
	}
	return page
}
