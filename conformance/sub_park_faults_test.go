package conformance

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// brokenParker is a storage of what is parked of which a part is broken. A nil field leaves the call as it is.
type brokenParker struct {
	store.ParkedStorage
	save    func(ctx context.Context, r store.ParkedChange) (int64, error)
	read    func(ctx context.Context, r store.ParkedRequest) ([]store.ParkedEvent, error)
	look    func(ctx context.Context, id store.SubscriptionID, known int64) (int64, []string, error)
	replay  func(ctx context.Context, id store.SubscriptionID, ids []uuid.UUID) (int64, error)
	discard func(ctx context.Context, id store.SubscriptionID, ids []uuid.UUID) (int64, error)
	counts  func(ctx context.Context) (map[store.SubscriptionID]int64, error)
}

func (b *brokenParker) SaveParked(ctx context.Context, r store.ParkedChange) (int64, error) {
	return or(b.save, b.ParkedStorage.SaveParked, ctx, r)
}

func (b *brokenParker) ReadParked(ctx context.Context, r store.ParkedRequest) ([]store.ParkedEvent, error) {
	return or(b.read, b.ParkedStorage.ReadParked, ctx, r)
}

func (b *brokenParker) LookParked(ctx context.Context, id store.SubscriptionID, known int64) (int64, []string, error) {
	if b.look != nil {
		return b.look(ctx, id, known)
	}
	return b.ParkedStorage.LookParked(ctx, id, known)
}

func (b *brokenParker) ReplayParked(ctx context.Context, id store.SubscriptionID, ids []uuid.UUID) (int64, error) {
	if b.replay != nil {
		return b.replay(ctx, id, ids)
	}
	return b.ParkedStorage.ReplayParked(ctx, id, ids)
}

func (b *brokenParker) DiscardParked(ctx context.Context, id store.SubscriptionID, ids []uuid.UUID) (int64, error) {
	if b.discard != nil {
		return b.discard(ctx, id, ids)
	}
	return b.ParkedStorage.DiscardParked(ctx, id, ids)
}

func (b *brokenParker) ParkedCounts(ctx context.Context) (map[store.SubscriptionID]int64, error) {
	if b.counts != nil {
		return b.counts(ctx)
	}
	return b.ParkedStorage.ParkedCounts(ctx)
}

// parker breaks the storage of what is parked.
func parker(change func(b *brokenParker)) func(t *tap) {
	return func(t *tap) {
		b := &brokenParker{ParkedStorage: t.park}
		change(b)
		t.park = b
	}
}

// saved changes what is to be parked and removed.
func saved(change func(r *store.ParkedChange)) func(t *tap) {
	return parker(func(b *brokenParker) {
		b.save = func(ctx context.Context, r store.ParkedChange) (int64, error) {
			change(&r)
			return b.ParkedStorage.SaveParked(ctx, r)
		}
	})
}

// eachParked changes each event that is to be parked.
func eachParked(change func(e *store.ParkedEvent)) func(t *tap) {
	return saved(func(r *store.ParkedChange) {
		r.Park = append([]store.ParkedEvent(nil), r.Park...)
		for i := range r.Park {
			change(&r.Park[i])
		}
	})
}

var subParkFaults = []subFault{
	{name: "park-gone-counted", what: "an event that is not parked, since it is gone, counts as parked", cases: []string{"sub/park-gone"},
		tap: parker(func(b *brokenParker) {
			b.save = func(ctx context.Context, r store.ParkedChange) (int64, error) {
				_, err := b.ParkedStorage.SaveParked(ctx, r)
				return int64(len(r.Park)), err
			}
		})},
	{name: "park-again-anyway", what: "an event is parked again after it was discarded", cases: []string{"sub/park-gone"},
		tap: saved(func(r *store.ParkedChange) { r.Again = false })},
	{name: "park-any-stream", what: "an event of a stream that was deleted and created again is parked", cases: []string{"sub/park-gone"},
		tap: func(t *tap) {
			parker(func(b *brokenParker) {
				b.save = func(ctx context.Context, r store.ParkedChange) (int64, error) {
					infos, err := t.subs.StreamVersions(ctx, []string{r.ID.Stream})
					if err != nil {
						return 0, err
					}
					r.StreamID = infos[r.ID.Stream].ID
					return b.ParkedStorage.SaveParked(ctx, r)
				}
			})(t)
		}},
	{name: "park-forgets", what: "nothing is parked", cases: []string{"sub/park", "sub/park-kept"},
		tap: saved(func(r *store.ParkedChange) { r.Park = nil })},
	{name: "park-keeps-removed", what: "what was handled stays parked", cases: []string{"sub/park-kept", "sub/park-epoch", "sub/park-takeover"},
		tap: saved(func(r *store.ParkedChange) { r.Remove = nil })},
	{name: "park-any-epoch", what: "a process that has lost the lease parks", cases: []string{"sub/park-epoch"},
		tap: func(t *tap) {
			parker(func(b *brokenParker) {
				b.save = func(ctx context.Context, r store.ParkedChange) (int64, error) {
					list, err := t.subs.ListSubscriptions(ctx)
					for _, i := range list {
						if i.SubscriptionID == r.ID {
							r.Epoch = i.Epoch
						}
					}
					if err != nil {
						return 0, err
					}
					return b.ParkedStorage.SaveParked(ctx, r)
				}
			})(t)
		}},
	{name: "park-replaces", what: "an event that came again replaces what has failed", cases: []string{"sub/park-crash", "sub/park-kept"},
		tap: saved(func(r *store.ParkedChange) {
			for _, e := range r.Park {
				r.Remove = append(r.Remove, e.ID)
			}
		})},
	{name: "park-no-error", what: "the error is not kept", cases: []string{"sub/park", "sub/park-kept"},
		tap: eachParked(func(e *store.ParkedEvent) { e.Error = "" })},
	{name: "park-no-attempts", what: "the attempts are not kept", cases: []string{"sub/park", "sub/park-again"},
		tap: eachParked(func(e *store.ParkedEvent) { e.Attempts = 0 })},
	{name: "park-one-key", what: "all events have one key", cases: []string{"sub/park", "sub/park-kept"},
		tap: eachParked(func(e *store.ParkedEvent) { e.Key = "k" })},
	{name: "park-none-failed", what: "what has failed is ready at once", cases: []string{"sub/park-again", "sub/park"},
		tap: eachParked(func(e *store.ParkedEvent) { e.Failed = false })},
	{name: "park-keys-lost", what: "a new owner does not know which keys are parked", cases: []string{"sub/park-crash", "sub/park-kept"},
		tap: parker(func(b *brokenParker) {
			b.look = func(ctx context.Context, id store.SubscriptionID, known int64) (int64, []string, error) {
				changes, _, err := b.ParkedStorage.LookParked(ctx, id, known)
				return changes, nil, err
			}
		})},
	{name: "park-changes-unseen", what: "nobody sees that what is parked was changed", cases: []string{"sub/park-again", "sub/park-forgotten"},
		tap: parker(func(b *brokenParker) {
			b.look = func(ctx context.Context, id store.SubscriptionID, _ int64) (int64, []string, error) {
				_, keys, err := b.ParkedStorage.LookParked(ctx, id, -1)
				return 0, keys, err
			}
		})},
	{name: "park-out-of-order", what: "what is behind a failed event is ready", cases: []string{"sub/park-kept", "sub/park-again"},
		tap: parker(func(b *brokenParker) {
			b.read = func(ctx context.Context, r store.ParkedRequest) ([]store.ParkedEvent, error) {
				if !r.Ready {
					return b.ParkedStorage.ReadParked(ctx, r)
				}
				r.Ready, r.ToNumber = false, 1<<62
				list, err := b.ParkedStorage.ReadParked(ctx, r)
				var ready []store.ParkedEvent
				for _, e := range list {
					if !e.Failed {
						ready = append(ready, e)
					}
				}
				return ready, err
			}
		})},
	{name: "park-no-exception", what: "events of keys that are to be left out are ready", cases: []string{"sub/park-kept", "sub/park-pages"},
		tap: parker(func(b *brokenParker) {
			b.read = func(ctx context.Context, r store.ParkedRequest) ([]store.ParkedEvent, error) {
				r.ExceptKeys = nil
				return b.ParkedStorage.ReadParked(ctx, r)
			}
		})},
	{name: "park-all-listed", what: "all that is parked is listed, whatever is asked for", cases: []string{"sub/park", "sub/park-kept"},
		tap: parker(func(b *brokenParker) {
			b.read = func(ctx context.Context, r store.ParkedRequest) ([]store.ParkedEvent, error) {
				r.Keys, r.Numbers = nil, nil
				return b.ParkedStorage.ReadParked(ctx, r)
			}
		})},
	{name: "park-not-replayed", what: "what is replayed stays failed", cases: []string{"sub/park", "sub/park-takeover", "sub/park-keys", "sub/park-kept"},
		tap: parker(func(b *brokenParker) {
			b.replay = func(_ context.Context, _ store.SubscriptionID, ids []uuid.UUID) (int64, error) {
				return int64(len(ids)), nil
			}
		})},
	{name: "park-not-discarded", what: "what is discarded stays", cases: []string{"sub/park-discarded", "sub/park-kept"},
		tap: parker(func(b *brokenParker) {
			b.discard = func(_ context.Context, _ store.SubscriptionID, ids []uuid.UUID) (int64, error) {
				return int64(len(ids)), nil
			}
		})},
	{name: "park-not-counted", what: "what is parked is not counted", cases: []string{"sub/park", "sub/park-kept"},
		tap: parker(func(b *brokenParker) {
			b.counts = func(context.Context) (map[store.SubscriptionID]int64, error) { return nil, nil }
		})},
	{name: "park-for-ever", what: "what is parked stays after a reset, a deletion or a hard delete", cases: []string{"sub/park-forgotten"},
		tap: parker(func(b *brokenParker) {
			var mu sync.Mutex
			kept := map[store.SubscriptionID][]store.ParkedEvent{}
			b.save = func(ctx context.Context, r store.ParkedChange) (int64, error) {
				mu.Lock()
				defer mu.Unlock()
				kept[r.ID] = append(kept[r.ID], r.Park...)
				return b.ParkedStorage.SaveParked(ctx, r)
			}
			b.read = func(_ context.Context, r store.ParkedRequest) ([]store.ParkedEvent, error) {
				mu.Lock()
				defer mu.Unlock()
				return kept[r.Subscription], nil
			}
		})},
}
