package conformance

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

// acquiring makes every request for a lease change.
func acquiring(change func(r *store.LeaseRequest)) func(b *broken) {
	return func(b *broken) {
		b.acquire = func(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
			change(&r)
			return b.SubscriptionStorage.AcquireLease(ctx, r)
		}
	}
}

// identified makes every call change the id of its subscription.
func identified(change func(id store.SubscriptionID) store.SubscriptionID) func(b *broken) {
	return func(b *broken) {
		acquiring(func(r *store.LeaseRequest) { r.ID = change(r.ID) })(b)
		b.checkpoint = func(ctx context.Context, r store.CheckpointRequest) error {
			r.ID = change(r.ID)
			return b.SubscriptionStorage.SaveCheckpoint(ctx, r)
		}
		b.remove = func(ctx context.Context, id store.SubscriptionID) error {
			return b.SubscriptionStorage.DeleteSubscription(ctx, change(id))
		}
	}
}

// writing replaces the writes of an epoch: save does what the write really does.
func (b *broken) writing(change func(ctx context.Context, r store.CheckpointRequest, write func(store.CheckpointRequest) error) error) {
	b.checkpoint = func(ctx context.Context, r store.CheckpointRequest) error {
		return change(ctx, r, func(r store.CheckpointRequest) error { return b.SubscriptionStorage.SaveCheckpoint(ctx, r) })
	}
	b.release = func(ctx context.Context, r store.CheckpointRequest) error {
		return change(ctx, r, func(r store.CheckpointRequest) error { return b.SubscriptionStorage.ReleaseLease(ctx, r) })
	}
	b.problem = func(ctx context.Context, id store.SubscriptionID, epoch int64, text string, number int64) error {
		return change(ctx, store.CheckpointRequest{ID: id, Epoch: epoch}, func(r store.CheckpointRequest) error {
			return b.SubscriptionStorage.SaveError(ctx, id, r.Epoch, text, number)
		})
	}
}

// errorsStay makes checkpoints leave the last error as it is.
func errorsStay(b *broken) {
	b.writing(func(ctx context.Context, r store.CheckpointRequest, write func(store.CheckpointRequest) error) error {
		before, _ := b.subscription(ctx, r.ID)
		err := write(r)
		if now, ok := b.subscription(ctx, r.ID); ok && before.LastError != "" && now.LastError == "" && r.Checkpoint > 0 {
			_ = b.SubscriptionStorage.SaveError(ctx, r.ID, r.Epoch, before.LastError, before.LastErrorNumber)
		}
		return err
	})
}

var leaseFaults = []fault{
	{name: "start-ignored", what: "a new subscription begins at the origin, whatever was asked for", storage: acquiring(func(r *store.LeaseRequest) {
		r.Checkpoint, r.StreamID = 0, 0
	})},
	{name: "always-created", what: "a subscription is created by whoever asks for its lease", storage: acquiring(func(r *store.LeaseRequest) { r.Create = true })},
	{name: "acquire-overwrites", what: "a subscription begins anew whenever its lease is taken", storage: func(b *broken) {
		b.acquire = func(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
			l, err := b.SubscriptionStorage.AcquireLease(ctx, r)
			if err == nil && r.Create && l.Checkpoint != r.Checkpoint {
				if err := b.SubscriptionStorage.ResetSubscription(ctx, r.ID, r.Checkpoint, r.StreamID); err != nil {
					return l, err
				}
				return b.SubscriptionStorage.AcquireLease(ctx, r)
			}
			return l, err
		}
	}},
	{name: "lease-not-looked-at", what: "a lease is taken from whoever holds it", storage: func(b *broken) {
		b.acquire = func(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
			l, err := b.SubscriptionStorage.AcquireLease(ctx, r)
			if i, ok := b.subscription(ctx, r.ID); ok && errors.Is(err, store.ErrLeaseHeld) {
				if err := b.SubscriptionStorage.ReleaseLease(ctx, store.CheckpointRequest{ID: r.ID, Epoch: i.Epoch, Checkpoint: i.Checkpoint, StreamID: i.StreamID}); err != nil {
					return l, err
				}
				return b.SubscriptionStorage.AcquireLease(ctx, r)
			}
			return l, err
		}
	}},
	{name: "epoch-kept", what: "an owner that takes its lease again stays in its epoch", storage: func(b *broken) {
		b.acquire = func(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
			if i, ok := b.subscription(ctx, r.ID); ok && i.Owner == r.Owner && i.Held {
				return store.Lease{ID: r.ID, Epoch: i.Epoch, Checkpoint: i.Checkpoint, StreamID: i.StreamID}, nil
			}
			return b.SubscriptionStorage.AcquireLease(ctx, r)
		}
	}},
	{name: "subscription-names-folded", what: "names of subscriptions that differ in case are one", storage: identified(func(id store.SubscriptionID) store.SubscriptionID {
		id.Name = strings.ToLower(id.Name)
		return id
	})},
	{name: "never-expires", what: "a lease lasts until it is given up", storage: acquiring(func(r *store.LeaseRequest) { r.TTL = long })},
	{name: "expires-early", what: "a lease lasts half as long as it should", storage: acquiring(func(r *store.LeaseRequest) { r.TTL /= 2 })},
	{name: "renewal-forgotten", what: "a renewed lease lasts as long as it did before", storage: func(b *broken) {
		b.renew = func(ctx context.Context, owner string, _ time.Duration) ([]store.Lease, error) {
			var mine []store.Lease
			list, err := b.SubscriptionStorage.ListSubscriptions(ctx)
			for _, i := range list {
				if i.Owner == owner && i.Held {
					mine = append(mine, store.Lease{ID: i.SubscriptionID, Epoch: i.Epoch, Checkpoint: i.Checkpoint, StreamID: i.StreamID})
				}
			}
			return mine, err
		}
	}},
	{name: "renewal-of-one", what: "one lease of an owner is renewed", storage: renewing(func(_ context.Context, _ string, list []store.Lease) []store.Lease {
		return list[:min(1, len(list))]
	})},
	{name: "renewal-hides-losses", what: "a renewal returns what the owner ever held", storage: func(b *broken) {
		var mu sync.Mutex
		ever := map[string]map[store.SubscriptionID]store.Lease{}
		b.acquire = func(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
			l, err := b.SubscriptionStorage.AcquireLease(ctx, r)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				if ever[r.Owner] == nil {
					ever[r.Owner] = map[store.SubscriptionID]store.Lease{}
				}
				ever[r.Owner][r.ID] = l
			}
			return l, err
		}
		renewing(func(_ context.Context, owner string, list []store.Lease) []store.Lease {
			mu.Lock()
			defer mu.Unlock()
			for id, l := range ever[owner] {
				if !slices.ContainsFunc(list, func(l store.Lease) bool { return l.ID == id }) {
					list = append(list, l)
				}
			}
			return list
		})(b)
	}},
	{name: "held-counts-as-free", what: "leases that are held are among the free ones", storage: func(b *broken) {
		b.free = func(ctx context.Context) (ids []store.SubscriptionID, err error) {
			list, err := b.SubscriptionStorage.ListSubscriptions(ctx)
			for _, i := range list {
				ids = append(ids, i.SubscriptionID)
			}
			return ids, err
		}
	}},
	{name: "reset-counts-as-held", what: "a lease that a reset ended is not among the free ones", storage: func(b *broken) {
		b.free = func(ctx context.Context) ([]store.SubscriptionID, error) {
			list, err := b.SubscriptionStorage.FreeLeases(ctx)
			return slices.DeleteFunc(list, func(id store.SubscriptionID) bool { return id.Name == "reset" }), err
		}
	}},
	{name: "release-waits", what: "a lease that was given up is free when its time is over", storage: func(b *broken) {
		b.release = func(ctx context.Context, r store.CheckpointRequest) error {
			return b.SubscriptionStorage.SaveCheckpoint(ctx, r)
		}
	}},
	{name: "release-forgets", what: "the last checkpoint before a lease is given up is lost", storage: func(b *broken) {
		b.release = func(ctx context.Context, r store.CheckpointRequest) error {
			if i, ok := b.subscription(ctx, r.ID); ok {
				r.Checkpoint, r.StreamID = i.Checkpoint, i.StreamID
			}
			return b.SubscriptionStorage.ReleaseLease(ctx, r)
		}
	}},
	{name: "no-fencing", what: "writes of any epoch go through", storage: func(b *broken) {
		b.writing(func(ctx context.Context, r store.CheckpointRequest, write func(store.CheckpointRequest) error) error {
			if i, ok := b.subscription(ctx, r.ID); ok {
				r.Epoch = i.Epoch
			}
			return write(r)
		})
	}},
	{name: "loss-not-told", what: "writes of an epoch that is over are left out without a word", storage: func(b *broken) {
		b.writing(func(_ context.Context, r store.CheckpointRequest, write func(store.CheckpointRequest) error) error {
			if err := write(r); !errors.Is(err, store.ErrLeaseLost) {
				return err
			}
			return nil
		})
	}},
	{name: "fenced-by-owner-only", what: "epochs count from 1 again when a subscription is created again", storage: func(b *broken) {
		var mu sync.Mutex
		first := map[store.SubscriptionID]int64{} // the real epoch that counts as 1
		b.acquire = func(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
			l, err := b.SubscriptionStorage.AcquireLease(ctx, r)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && first[r.ID] == 0 {
				first[r.ID] = l.Epoch
			}
			l.Epoch -= first[r.ID] - 1
			return l, err
		}
		real := func(r store.CheckpointRequest) store.CheckpointRequest {
			mu.Lock()
			defer mu.Unlock()
			r.Epoch += max(first[r.ID]-1, 0)
			return r
		}
		b.writing(func(_ context.Context, r store.CheckpointRequest, write func(store.CheckpointRequest) error) error {
			return write(real(r))
		})
		b.remove = func(ctx context.Context, id store.SubscriptionID) error {
			mu.Lock()
			defer mu.Unlock()
			delete(first, id)
			return b.SubscriptionStorage.DeleteSubscription(ctx, id)
		}
	}},
	{name: "reset-in-epoch", what: "a reset leaves the lease with whoever holds it", storage: func(b *broken) {
		b.reset = func(ctx context.Context, id store.SubscriptionID, checkpoint, streamID int64) error {
			i, ok := b.subscription(ctx, id)
			if !ok {
				return b.SubscriptionStorage.ResetSubscription(ctx, id, checkpoint, streamID)
			}
			r := store.CheckpointRequest{ID: id, Epoch: i.Epoch, Checkpoint: checkpoint, StreamID: streamID}
			return b.SubscriptionStorage.SaveCheckpoint(ctx, r)
		}
	}},
	{name: "delete-leaves-row", what: "a delete only sets a subscription back", storage: func(b *broken) {
		b.remove = func(ctx context.Context, id store.SubscriptionID) error {
			return b.SubscriptionStorage.ResetSubscription(ctx, id, 0, 0)
		}
	}},
	{name: "lease-context-not-looked-at", what: "calls for subscriptions go on whatever their context says", storage: func(b *broken) {
		acquire, reset := b.SubscriptionStorage.AcquireLease, b.SubscriptionStorage.ResetSubscription
		b.acquire = func(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
			return acquire(context.WithoutCancel(ctx), r)
		}
		b.reset = func(ctx context.Context, id store.SubscriptionID, checkpoint, streamID int64) error {
			return reset(context.WithoutCancel(ctx), id, checkpoint, streamID)
		}
	}},
	{name: "look-before-lease", what: "whether a lease is free is looked at before it is taken", storage: func(b *broken) {
		var mu sync.Mutex
		asking := 0
		b.acquire = func(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
			mu.Lock()
			asking++
			mu.Unlock()
			i, ok := b.subscription(ctx, r.ID)
			for range 1000 { // until others have looked, too
				mu.Lock()
				others := asking > 1
				mu.Unlock()
				if others {
					break
				}
				runtime.Gosched()
			}
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				asking--
			}()
			free := !ok || !i.Held || i.Owner == r.Owner
			l, err := b.SubscriptionStorage.AcquireLease(ctx, r)
			for free && errors.Is(err, store.ErrLeaseHeld) {
				if now, there := b.subscription(ctx, r.ID); there {
					_ = b.SubscriptionStorage.ReleaseLease(ctx, store.CheckpointRequest{ID: r.ID, Epoch: now.Epoch, Checkpoint: now.Checkpoint, StreamID: now.StreamID})
				}
				l, err = b.SubscriptionStorage.AcquireLease(ctx, r)
			}
			return l, err
		}
	}},
	{name: "checkpoint-is-last-write", what: "a checkpoint is what was written last", storage: func(b *broken) {
		back := func(ctx context.Context, r store.CheckpointRequest, write func(context.Context, store.CheckpointRequest) error) error {
			i, ok := b.subscription(ctx, r.ID)
			if !ok || i.Epoch != r.Epoch || r.Checkpoint >= i.Checkpoint || r.StreamID != i.StreamID {
				return write(ctx, r)
			}
			elsewhere := r
			elsewhere.StreamID = -1
			return errors.Join(b.SubscriptionStorage.SaveCheckpoint(ctx, elsewhere), write(ctx, r))
		}
		b.checkpoint = func(ctx context.Context, r store.CheckpointRequest) error {
			return back(ctx, r, b.SubscriptionStorage.SaveCheckpoint)
		}
		b.release = func(ctx context.Context, r store.CheckpointRequest) error {
			return back(ctx, r, b.SubscriptionStorage.ReleaseLease)
		}
	}},
	{name: "stream-id-ignored", what: "a checkpoint does not go back, whatever stream it counts in", storage: func(b *broken) {
		b.writing(func(ctx context.Context, r store.CheckpointRequest, write func(store.CheckpointRequest) error) error {
			if i, ok := b.subscription(ctx, r.ID); ok && i.StreamID != 0 {
				r.StreamID = i.StreamID
			}
			return write(r)
		})
	}},
	{name: "seen-unchecked", what: "a checkpoint is saved whatever event is in the place of the one that was seen", storage: func(b *broken) {
		b.writing(func(_ context.Context, r store.CheckpointRequest, write func(store.CheckpointRequest) error) error {
			r.Seen = store.SeenEvent{}
			return write(r)
		})
	}},
	{name: "end-unchecked", what: "a checkpoint above the end of the stream is reported as saved", storage: func(b *broken) {
		b.writing(func(_ context.Context, r store.CheckpointRequest, write func(store.CheckpointRequest) error) error {
			var lost *store.PositionLostError
			if err := write(r); !errors.As(err, &lost) || lost.Replaced {
				return err
			}
			return nil
		})
	}},
	{name: "known-ignored", what: "a checkpoint is saved even if the database has gone back behind the last one", storage: func(b *broken) {
		b.writing(func(_ context.Context, r store.CheckpointRequest, write func(store.CheckpointRequest) error) error {
			r.Known = 0
			return write(r)
		})
	}},
	{name: "refused-keeps-lease", what: "a lease whose checkpoint is refused is not given up", storage: func(b *broken) {
		b.release = func(ctx context.Context, r store.CheckpointRequest) error {
			if err := b.SubscriptionStorage.SaveCheckpoint(ctx, r); err != nil {
				return err
			}
			return b.SubscriptionStorage.ReleaseLease(ctx, r)
		}
	}},
	{name: "checkpoint-rounded", what: "checkpoints are kept in hundreds", storage: func(b *broken) {
		b.writing(func(_ context.Context, r store.CheckpointRequest, write func(store.CheckpointRequest) error) error {
			r.Checkpoint -= r.Checkpoint % 100
			return write(r)
		})
	}},
	{name: "error-once", what: "an error of a subscription is not replaced", storage: func(b *broken) {
		b.problem = func(ctx context.Context, id store.SubscriptionID, epoch int64, text string, number int64) error {
			if i, ok := b.subscription(ctx, id); ok && i.Epoch == epoch && i.LastError != "" {
				return nil
			}
			return b.SubscriptionStorage.SaveError(ctx, id, epoch, text, number)
		}
	}},
	{name: "error-stays", what: "an error of a subscription stays until it is said to be over", storage: errorsStay},
	{name: "error-over-early", what: "whatever checkpoint is saved clears the error of a subscription", storage: func(b *broken) {
		b.writing(func(ctx context.Context, r store.CheckpointRequest, write func(store.CheckpointRequest) error) error {
			err := write(r)
			if err == nil && r.Checkpoint > 0 {
				_ = b.SubscriptionStorage.SaveError(ctx, r.ID, r.Epoch, "", 0)
			}
			return err
		})
	}},
	{name: "error-about-nothing", what: "which event an error is about is forgotten", storage: func(b *broken) {
		b.problem = func(ctx context.Context, id store.SubscriptionID, epoch int64, text string, _ int64) error {
			return b.SubscriptionStorage.SaveError(ctx, id, epoch, text, 0)
		}
	}},
	{name: "owner-folded", what: "owners that differ in case are one", storage: func(b *broken) {
		acquiring(func(r *store.LeaseRequest) { r.Owner = strings.ToLower(r.Owner) })(b)
		b.renew = func(ctx context.Context, owner string, ttl time.Duration) ([]store.Lease, error) {
			return b.SubscriptionStorage.RenewLeases(ctx, strings.ToLower(owner), ttl)
		}
	}},
	{name: "arrivals-created", what: "an event counts from its creation time", storage: func(b *broken) {
		b.arrivals = func(ctx context.Context, list []store.Behind) (store.Arrivals, error) {
			a, err := b.SubscriptionStorage.Arrivals(ctx, list)
			for i, l := range list {
				page, _, e := b.SubscriptionStorage.ReadFiltered(ctx, store.ReadRequest{Stream: l.Stream, From: l.Number + 1, Limit: 1}, store.EventFilter{})
				if e == nil && len(page) > 0 && err == nil {
					a.At[i] = page[0].CreatedAt
				}
			}
			return a, err
		}
	}},
	{name: "arrivals-of-the-first", what: "the first event of a stream stands for all behind it", storage: func(b *broken) {
		b.arrivals = func(ctx context.Context, list []store.Behind) (store.Arrivals, error) {
			changed := slices.Clone(list)
			for i := range changed {
				changed[i].Number = 0
			}
			return b.SubscriptionStorage.Arrivals(ctx, changed)
		}
	}},
	{name: "list-by-name", what: "subscriptions are listed by their names, whatever the stream", storage: func(b *broken) {
		b.listing = func(ctx context.Context) ([]store.SubscriptionInfo, error) {
			list, err := b.SubscriptionStorage.ListSubscriptions(ctx)
			slices.SortStableFunc(list, func(x, y store.SubscriptionInfo) int { return strings.Compare(x.Name, y.Name) })
			return list, err
		}
	}},
}

// renewing changes what a renewal returns.
func renewing(change func(ctx context.Context, owner string, list []store.Lease) []store.Lease) func(b *broken) {
	return func(b *broken) {
		b.renew = func(ctx context.Context, owner string, ttl time.Duration) ([]store.Lease, error) {
			list, err := b.SubscriptionStorage.RenewLeases(ctx, owner, ttl)
			return change(ctx, owner, list), err
		}
	}
}
