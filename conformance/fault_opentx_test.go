package conformance

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// txs knows which transactions are open.
type txs struct {
	mu   sync.Mutex
	open []store.Storage
}

func (t *txs) bind(_ *sql.Tx, bound *broken) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open = append(t.open, bound.Storage)
}

// any reports whether a transaction is open.
func (t *txs) any(ctx context.Context) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.open {
		if _, err := s.StreamInfo(ctx, "?"); !errors.Is(err, sql.ErrTxDone) {
			return true
		}
	}
	return false
}

var errLocked = errors.New("lock timeout")

var openTxFaults = []fault{
	{name: "one-writer", what: "appends to other streams wait for every open transaction until they give up", tx: func(b *brokenTx) {
		open := &txs{}
		var mu sync.Mutex
		concerned := map[any]bool{} // streams and ids that have to wait anyhow
		b.bind = func(tx *sql.Tx, bound *broken) {
			open.bind(tx, bound)
			bound.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
				mu.Lock()
				concerned[r.Stream], concerned[r.Events[0].ID] = true, true
				mu.Unlock()
				return bound.Storage.Append(ctx, r)
			}
		}
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			mu.Lock()
			waits := concerned[r.Stream] || concerned[r.Events[0].ID]
			mu.Unlock()
			if !waits && open.any(ctx) {
				return store.AppendResult{}, errLocked
			}
			return b.Storage.Append(ctx, r)
		}
	}},
	{name: "each-waits", what: "appends to other streams give up while several wait for one", tx: func(b *brokenTx) {
		var mu sync.Mutex
		held := map[string]bool{}
		waiting := 0
		b.bind = func(_ *sql.Tx, bound *broken) {
			bound.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
				mu.Lock()
				held[r.Stream] = true
				mu.Unlock()
				return bound.Storage.Append(ctx, r)
			}
		}
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			mu.Lock()
			waits, usedUp := held[r.Stream], waiting >= 8
			if waits {
				waiting++
			}
			mu.Unlock()
			if !waits && usedUp {
				return store.AppendResult{}, errLocked
			}
			res, err := b.Storage.Append(ctx, r)
			if waits {
				mu.Lock()
				waiting--
				mu.Unlock()
			}
			return res, err
		}
	}},
	{name: "lock-kept", what: "a stream that a transaction wrote to takes no more events when it has ended", tx: func(b *brokenTx) {
		var mu sync.Mutex
		locked := map[string]bool{}
		b.bind = func(_ *sql.Tx, bound *broken) {
			bound.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
				mu.Lock()
				locked[r.Stream] = true
				mu.Unlock()
				return bound.Storage.Append(ctx, r)
			}
		}
		kept := func(stream string) bool {
			mu.Lock()
			defer mu.Unlock()
			return locked[stream]
		}
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			if kept(r.Stream) {
				return store.AppendResult{}, errLocked
			}
			return b.Storage.Append(ctx, r)
		}
		b.delete = func(ctx context.Context, r store.DeleteRequest) error {
			if kept(r.Stream) {
				return errLocked
			}
			return b.Storage.Delete(ctx, r)
		}
	}},
	{name: "tx-ignored", what: "what is done in a transaction is done at once", tx: func(b *brokenTx) {
		b.bind = func(_ *sql.Tx, bound *broken) { bound.Storage = b.Storage }
	}},
	{name: "late-not-seen", what: "an event that committed behind others is never shown", tx: func(b *brokenTx) {
		var mu sync.Mutex
		late := map[uuid.UUID]bool{}
		b.bind = func(_ *sql.Tx, bound *broken) {
			bound.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
				mu.Lock()
				late[r.Events[0].ID] = true
				mu.Unlock()
				return bound.Storage.Append(ctx, r)
			}
		}
		b.rearranged(func(_ context.Context, list []store.Recorded) []store.Recorded {
			mu.Lock()
			defer mu.Unlock()
			var shown []store.Recorded
			for _, e := range list {
				if !late[e.ID] {
					shown = append(shown, e)
				}
			}
			return shown
		})
	}},
	{name: "tx-is-one-append", what: "the appends of a transaction are put together in $all", tx: func(b *brokenTx) {
		b.rearranged(func(_ context.Context, list []store.Recorded) []store.Recorded {
			for i := range list {
				for j := i + 1; j < len(list); j++ {
					if list[i].Stream == "a" && list[j].Stream == "b" {
						list[i], list[j] = list[j], list[i]
						list[i].Number, list[j].Number = list[j].Number, list[i].Number
						return list
					}
				}
			}
			return list
		})
	}},
	{name: "judged-before-lock", what: "a write that waited is judged by what was there before", tx: func(b *brokenTx) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			r.Expected = store.Any
			return b.Storage.Append(ctx, r)
		}
		b.delete = func(ctx context.Context, r store.DeleteRequest) error {
			r.Expected = store.Any
			return b.Storage.Delete(ctx, r)
		}
		b.bind = func(_ *sql.Tx, bound *broken) {
			bound.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
				r.Expected = store.Any
				return bound.Storage.Append(ctx, r)
			}
		}
	}},
	{name: "retry-refused-after-wait", what: "a retry that waited for the first attempt is a duplicate", tx: func(b *brokenTx) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			res, err := b.Storage.Append(ctx, r)
			if res.Retried {
				return store.AppendResult{}, &store.DuplicateEventError{Stream: r.Stream, ID: r.Events[0].ID}
			}
			return res, err
		}
	}},
	{name: "duplicate-passes", what: "an append with ids that another transaction committed says that all is well", tx: func(b *brokenTx) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			res, err := b.Storage.Append(ctx, r)
			if errors.Is(err, store.ErrDuplicateEvent) {
				return store.AppendResult{Stream: r.Stream, First: 1, Last: 2}, nil
			}
			return res, err
		}
	}},
	{name: "ids-kept-by-rollback", what: "the ids of a transaction that rolled back stay taken", tx: func(b *brokenTx) {
		var mu sync.Mutex
		used := map[uuid.UUID]bool{}
		b.bind = func(_ *sql.Tx, bound *broken) {
			bound.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
				mu.Lock()
				used[r.Events[0].ID] = true
				mu.Unlock()
				return bound.Storage.Append(ctx, r)
			}
		}
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			mu.Lock()
			taken := used[r.Events[0].ID]
			mu.Unlock()
			if taken {
				return store.AppendResult{}, &store.DuplicateEventError{Stream: r.Stream, ID: r.Events[0].ID}
			}
			return b.Storage.Append(ctx, r)
		}
	}},
	{name: "lost-race-aborts", what: "after a lost race the caller's transaction can't be used", tx: binding(abortedByErrors)},
}
