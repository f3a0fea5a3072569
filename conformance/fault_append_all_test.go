package conformance

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

// oneByOne makes appends one after the other, up to the first that fails.
func oneByOne(s store.Storage) func(context.Context, []store.AppendRequest) ([]store.AppendResult, error) {
	return func(ctx context.Context, list []store.AppendRequest) (results []store.AppendResult, err error) {
		for _, r := range list {
			res, err := s.Append(ctx, r)
			if err != nil {
				return nil, err
			}
			results = append(results, res)
		}
		return results, nil
	}
}

// allOf returns the AppendAll of a storage that is not broken.
func allOf(s store.Storage) func(context.Context, []store.AppendRequest) ([]store.AppendResult, error) {
	return s.(store.MultiAppender).AppendAll
}

// allRequested changes what an AppendAll asks for.
func (b *broken) allRequested(change func(list []store.AppendRequest) []store.AppendRequest) {
	b.appendAll = func(ctx context.Context, list []store.AppendRequest) ([]store.AppendResult, error) {
		return allOf(b.Storage)(ctx, change(slices.Clone(list)))
	}
}

// allAnswered changes the answer to an AppendAll.
func (b *broken) allAnswered(change func(list []store.AppendRequest, results []store.AppendResult, err error) ([]store.AppendResult, error)) {
	b.appendAll = func(ctx context.Context, list []store.AppendRequest) ([]store.AppendResult, error) {
		results, err := allOf(b.Storage)(ctx, list)
		return change(list, results, err)
	}
}

var errBusy = errors.New("busy")

var appendAllFaults = []fault{
	{name: "all-one-by-one", what: "an append to several streams stops at the first that is refused", storage: func(b *broken) {
		b.appendAll = oneByOne(b.Storage)
	}},
	{name: "all-reversed", what: "the last append of a call comes first in $all", storage: func(b *broken) {
		b.appendAll = func(ctx context.Context, list []store.AppendRequest) ([]store.AppendResult, error) {
			list = slices.Clone(list)
			slices.Reverse(list)
			results, err := allOf(b.Storage)(ctx, list)
			slices.Reverse(results)
			return results, err
		}
	}},
	{name: "all-results-reversed", what: "the results are not in the order of the appends", storage: func(b *broken) {
		b.allAnswered(func(_ []store.AppendRequest, results []store.AppendResult, err error) ([]store.AppendResult, error) {
			slices.Reverse(results)
			return results, err
		})
	}},
	{name: "all-conflict-elsewhere", what: "a conflict names the first stream of the call", storage: func(b *broken) {
		b.allAnswered(func(list []store.AppendRequest, results []store.AppendResult, err error) ([]store.AppendResult, error) {
			var conflict *store.WrongExpectedVersionError
			if errors.As(err, &conflict) {
				conflict.Stream = list[0].Stream
			}
			return results, err
		})
	}},
	{name: "all-deleted-elsewhere", what: "the error for a deleted stream names the first stream of the call", storage: func(b *broken) {
		b.allAnswered(func(list []store.AppendRequest, results []store.AppendResult, err error) ([]store.AppendResult, error) {
			var deleted *store.StreamError
			if errors.As(err, &deleted) {
				deleted.Stream = list[0].Stream
			}
			return results, err
		})
	}},
	{name: "all-retry-refused", what: "a retry of an append to several streams is a duplicate", storage: func(b *broken) {
		b.allAnswered(func(list []store.AppendRequest, results []store.AppendResult, err error) ([]store.AppendResult, error) {
			if err == nil && results[0].Retried {
				return nil, &store.DuplicateEventError{Stream: list[0].Stream, ID: list[0].Events[0].ID}
			}
			return results, err
		})
	}},
	{name: "all-retry-not-told", what: "a retry of an append to several streams does not say that it is one", storage: func(b *broken) {
		b.allAnswered(func(_ []store.AppendRequest, results []store.AppendResult, err error) ([]store.AppendResult, error) {
			for i := range results {
				results[i].Retried = false
			}
			return results, err
		})
	}},
	{name: "all-retry-by-the-first", what: "an append to several streams is a retry if that to the first is one", storage: func(b *broken) {
		b.allAnswered(func(list []store.AppendRequest, results []store.AppendResult, err error) ([]store.AppendResult, error) {
			if !errors.Is(err, store.ErrDuplicateEvent) {
				return results, err
			}
			first, failed := b.Storage.Append(context.Background(), list[0])
			if failed != nil || !first.Retried {
				return results, err
			}
			for _, r := range list {
				results = append(results, store.AppendResult{Stream: r.Stream, First: 1, Last: int64(len(r.Events)), Retried: true})
			}
			return results, nil
		})
	}},
	{name: "all-duplicates-first", what: "a known id is reported before a conflict", storage: func(b *broken) {
		b.appendAll = func(ctx context.Context, list []store.AppendRequest) ([]store.AppendResult, error) {
			results, err := allOf(b.Storage)(ctx, list)
			if errors.Is(err, store.ErrWrongExpectedVersion) {
				for _, r := range list {
					for _, e := range r.Events {
						if _, missing := b.Storage.ReadEvent(ctx, e.ID); missing == nil {
							return nil, &store.DuplicateEventError{Stream: r.Stream, ID: e.ID}
						}
					}
				}
			}
			return results, err
		}
	}},
	{name: "all-any", what: "expected versions of an append to several streams do not count", storage: func(b *broken) {
		b.allRequested(func(list []store.AppendRequest) []store.AppendRequest {
			for i := range list {
				list[i].Expected = store.Any
			}
			return list
		})
	}},
	{name: "all-at-most-100", what: "of the streams of a call 100 are written", storage: func(b *broken) {
		b.allRequested(func(list []store.AppendRequest) []store.AppendRequest { return list[:min(len(list), 100)] })
	}},
	{name: "all-cut", what: "of each append of a call 1,000 events are written", storage: func(b *broken) {
		b.allRequested(func(list []store.AppendRequest) []store.AppendRequest {
			for i := range list {
				list[i].Events = list[i].Events[:min(len(list[i].Events), 1000)]
			}
			return list
		})
	}},
	{name: "all-busy", what: "an append to several streams fails while another is under way", storage: func(b *broken) {
		var mu sync.Mutex
		b.appendAll = func(ctx context.Context, list []store.AppendRequest) ([]store.AppendResult, error) {
			if !mu.TryLock() {
				return nil, errBusy
			}
			defer mu.Unlock()
			time.Sleep(time.Millisecond)
			return allOf(b.Storage)(ctx, list)
		}
	}},
	{name: "all-of-one-refused", what: "a call with one append is refused", store: func(c *careless) {
		c.all = func(ctx context.Context, appends []store.StreamAppend) ([]store.AppendResult, error) {
			if len(appends) == 1 {
				return nil, errBusy
			}
			return c.face.AppendAll(ctx, appends...)
		}
	}},
	{name: "all-last-of-a-stream", what: "of two appends to one stream in a call the last counts", store: func(c *careless) {
		c.all = func(ctx context.Context, appends []store.StreamAppend) ([]store.AppendResult, error) {
			var list []store.StreamAppend
			for i, a := range appends {
				if !slices.ContainsFunc(appends[i+1:], func(later store.StreamAppend) bool { return later.Stream == a.Stream }) {
					list = append(list, a)
				}
			}
			return c.face.AppendAll(ctx, list...)
		}
	}},
	{name: "all-context-not-looked-at", what: "an append to several streams goes on whatever its context says", store: func(c *careless) {
		c.all = func(ctx context.Context, appends []store.StreamAppend) ([]store.AppendResult, error) {
			return c.face.AppendAll(context.WithoutCancel(ctx), appends...)
		}
	}},
}

// appendAllTxFaults break an AppendAll in a caller's transaction.
var appendAllTxFaults = []fault{
	{name: "all-one-by-one-in-tx", what: "an append to several streams that is refused leaves a part in the transaction", tx: binding(func(_ *sql.Tx, bound *broken) {
		bound.appendAll = oneByOne(bound.Storage)
	})},
	{name: "all-cut-in-tx", what: "in a transaction the first 1,000 events of each append of a call are written", tx: binding(func(_ *sql.Tx, bound *broken) {
		bound.allRequested(func(list []store.AppendRequest) []store.AppendRequest {
			for i := range list {
				list[i].Events = list[i].Events[:min(len(list[i].Events), 1000)]
			}
			return list
		})
	})},
}

// appendAllOpenTxFaults break an AppendAll beside open transactions.
var appendAllOpenTxFaults = []fault{
	{name: "all-holds", what: "a call that waits for one stream holds its other streams", tx: func(b *brokenTx) {
		var mu sync.Mutex
		held := map[string]int{}
		hold := func(list []store.AppendRequest, n int) {
			mu.Lock()
			defer mu.Unlock()
			for _, r := range list {
				held[r.Stream] += n
			}
		}
		b.appendAll = func(ctx context.Context, list []store.AppendRequest) ([]store.AppendResult, error) {
			hold(list, 1)
			defer hold(list, -1)
			return allOf(b.Storage)(ctx, list)
		}
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			mu.Lock()
			waits := held[r.Stream] > 0
			mu.Unlock()
			if waits {
				return store.AppendResult{}, errLocked
			}
			return b.Storage.Append(ctx, r)
		}
	}},
	{name: "all-any-version", what: "a call that is refused is written without regard to versions", tx: func(b *brokenTx) {
		b.appendAll = func(ctx context.Context, list []store.AppendRequest) ([]store.AppendResult, error) {
			results, err := allOf(b.Storage)(ctx, list)
			if !errors.Is(err, store.ErrWrongExpectedVersion) {
				return results, err
			}
			list = slices.Clone(list)
			for i := range list {
				list[i].Expected = store.Any
			}
			return allOf(b.Storage)(ctx, list)
		}
	}},
	{name: "all-gives-up", what: "of two transactions that append to the same streams one gives up", tx: func(b *brokenTx) {
		var mu sync.Mutex
		taken := map[string]*sql.Tx{}
		b.bind = func(tx *sql.Tx, bound *broken) {
			bound.appendAll = func(ctx context.Context, list []store.AppendRequest) ([]store.AppendResult, error) {
				mu.Lock()
				defer mu.Unlock()
				for _, r := range list {
					if other := taken[r.Stream]; other != nil && other != tx {
						return nil, store.ErrRetryTx
					}
				}
				for _, r := range list {
					taken[r.Stream] = tx
				}
				return allOf(bound.Storage)(ctx, list)
			}
		}
	}},
}
