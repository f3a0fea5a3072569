package conformance

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

// errCut is what a storage returns that can't be reached.
var errCut = errors.New("the storage can't be reached")

// reads are the calls that read events.
var reads = []string{"ReadAll", "ReadStream", "ReadFiltered"}

// tap is a storage that counts its calls, and can be made to fail, or to wait. Closing a Store over it does not close
// the storage, which others share.
type tap struct {
	store.Storage
	subs store.SubscriptionStorage
	park store.ParkedStorage // nil if the storage keeps nothing that is parked
	over chan struct{}       // closed at the end of the case

	mu    sync.Mutex
	calls map[string]int                                   // by name
	read  map[string]int                                   // events that reads returned
	gate  func(ctx context.Context, call string) error     // what each call has to pass
	asked func(call string, r store.ReadRequest, page int) // is told of reads
}

func newTap(s store.Storage) *tap {
	t := &tap{Storage: s, subs: s.(store.SubscriptionStorage), over: make(chan struct{}), calls: map[string]int{}, read: map[string]int{}}
	t.park, _ = s.(store.ParkedStorage)
	return t
}

// pass counts a call and lets it through.
func (t *tap) pass(ctx context.Context, call string) error {
	t.mu.Lock()
	t.calls[call]++
	gate := t.gate
	t.mu.Unlock()
	if gate != nil {
		return gate(ctx, call)
	}
	return nil
}

// page counts events that were read. The one that a later page begins with was read before.
func (t *tap) page(call string, r store.ReadRequest, page []store.Recorded) {
	fresh := len(page)
	if fresh > 0 && r.From > 1 && page[0].Number == r.From {
		fresh--
	}
	t.mu.Lock()
	t.read[call] += fresh
	asked := t.asked
	t.mu.Unlock()
	if asked != nil {
		asked(call, r, len(page))
	}
}

// guard sets what each call has to pass; nil for nothing.
func (t *tap) guard(gate func(ctx context.Context, call string) error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gate = gate
}

// cut makes every call fail, or those of the given names.
func (t *tap) cut(calls ...string) {
	t.guard(func(_ context.Context, call string) error {
		for _, c := range calls {
			if c == call {
				return errCut
			}
		}
		if len(calls) == 0 {
			return errCut
		}
		return nil
	})
}

// count returns how often the calls were made.
func (t *tap) count(calls ...string) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, call := range calls {
		n += t.calls[call]
	}
	return n
}

// total returns how many calls there were.
func (t *tap) total() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, calls := range t.calls {
		n += calls
	}
	return n
}

// events returns how many events the calls have read.
func (t *tap) events(calls ...string) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, call := range calls {
		n += t.read[call]
	}
	return n
}

// Tick gives events their positions, where the storage does so after the commit.
func (t *tap) Tick(ctx context.Context) (int64, error) {
	if err := t.pass(ctx, "Tick"); err != nil {
		return 0, err
	}
	if s, ok := t.Storage.(interface {
		Tick(ctx context.Context) (int64, error)
	}); ok {
		return s.Tick(ctx)
	}
	return 0, nil
}

func (t *tap) Append(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
	if err := t.pass(ctx, "Append"); err != nil {
		return store.AppendResult{}, err
	}
	return t.Storage.Append(ctx, r)
}

func (t *tap) ReadAll(ctx context.Context, r store.ReadRequest) (store.Part, error) {
	if err := t.pass(ctx, "ReadAll"); err != nil {
		return store.Part{}, err
	}
	page, err := t.Storage.ReadAll(ctx, r)
	t.page("ReadAll", r, page.Events)
	return page, err
}

func (t *tap) ReadStream(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
	if err := t.pass(ctx, "ReadStream"); err != nil {
		return store.StreamPart{}, err
	}
	page, err := t.Storage.ReadStream(ctx, r)
	t.page("ReadStream", r, page.Events)
	return page, err
}

func (t *tap) ReadFiltered(ctx context.Context, r store.ReadRequest, filter store.EventFilter) ([]store.Recorded, int64, error) {
	if err := t.pass(ctx, "ReadFiltered"); err != nil {
		return nil, r.From, err
	}
	page, next, err := t.subs.ReadFiltered(ctx, r, filter)
	t.page("ReadFiltered", r, page)
	return page, next, err
}

func (t *tap) Head(ctx context.Context) (int64, error) {
	if err := t.pass(ctx, "Head"); err != nil {
		return 0, err
	}
	return t.Storage.Head(ctx)
}

func (t *tap) StreamVersions(ctx context.Context, streams []string) (map[string]store.StreamInfo, error) {
	if err := t.pass(ctx, "StreamVersions"); err != nil {
		return nil, err
	}
	return t.subs.StreamVersions(ctx, streams)
}

func (t *tap) AcquireLease(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
	if err := t.pass(ctx, "AcquireLease"); err != nil {
		return store.Lease{}, err
	}
	return t.subs.AcquireLease(ctx, r)
}

func (t *tap) RenewLeases(ctx context.Context, owner string, ttl time.Duration) ([]store.Lease, error) {
	if err := t.pass(ctx, "RenewLeases"); err != nil {
		return nil, err
	}
	return t.subs.RenewLeases(ctx, owner, ttl)
}

func (t *tap) FreeLeases(ctx context.Context) ([]store.SubscriptionID, error) {
	if err := t.pass(ctx, "FreeLeases"); err != nil {
		return nil, err
	}
	return t.subs.FreeLeases(ctx)
}

func (t *tap) SaveCheckpoint(ctx context.Context, r store.CheckpointRequest) error {
	if err := t.pass(ctx, "SaveCheckpoint"); err != nil {
		return err
	}
	return t.subs.SaveCheckpoint(ctx, r)
}

func (t *tap) SaveError(ctx context.Context, id store.SubscriptionID, epoch int64, text string, number int64) error {
	if err := t.pass(ctx, "SaveError"); err != nil {
		return err
	}
	return t.subs.SaveError(ctx, id, epoch, text, number)
}

func (t *tap) Arrivals(ctx context.Context, list []store.Behind) (store.Arrivals, error) {
	if err := t.pass(ctx, "Arrivals"); err != nil {
		return store.Arrivals{}, err
	}
	return t.subs.Arrivals(ctx, list)
}

func (t *tap) ReleaseLease(ctx context.Context, r store.CheckpointRequest) error {
	if err := t.pass(ctx, "ReleaseLease"); err != nil {
		return err
	}
	return t.subs.ReleaseLease(ctx, r)
}

func (t *tap) ResetSubscription(ctx context.Context, id store.SubscriptionID, checkpoint, streamID int64) error {
	if err := t.pass(ctx, "ResetSubscription"); err != nil {
		return err
	}
	return t.subs.ResetSubscription(ctx, id, checkpoint, streamID)
}

func (t *tap) DeleteSubscription(ctx context.Context, id store.SubscriptionID) error {
	if err := t.pass(ctx, "DeleteSubscription"); err != nil {
		return err
	}
	return t.subs.DeleteSubscription(ctx, id)
}

func (t *tap) ListSubscriptions(ctx context.Context) ([]store.SubscriptionInfo, error) {
	if err := t.pass(ctx, "ListSubscriptions"); err != nil {
		return nil, err
	}
	return t.subs.ListSubscriptions(ctx)
}

// observe sets what is told of reads; nil for nothing.
func (t *tap) observe(asked func(call string, r store.ReadRequest, page int)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked = asked
}

// hang makes the first n calls of a name wait until their context ends, or the case.
func (t *tap) hang(name string, n int64) {
	var hung atomic.Int64
	t.guard(func(ctx context.Context, call string) error {
		if call != name || hung.Add(1) > n {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.over:
			return errCut
		}
	})
}

// storage returns the tap as a storage that can do what the one under it can.
func (t *tap) storage() store.Storage {
	b, batches := t.subs.(store.CheckpointBatcher)
	switch {
	case batches && t.park != nil:
		return batchParkedTap{batchTap{t, b}, parkedCalls{t}}
	case batches:
		return batchTap{t, b}
	case t.park != nil:
		return parkedTap{t, parkedCalls{t}}
	}
	return t
}

// batchTap is a tap on a storage that saves checkpoints in batches.
type batchTap struct {
	*tap
	batcher store.CheckpointBatcher
}

func (t batchTap) SaveCheckpoints(ctx context.Context, list []store.CheckpointRequest) ([]error, error) {
	if err := t.pass(ctx, "SaveCheckpoint"); err != nil {
		return nil, err
	}
	return t.batcher.SaveCheckpoints(ctx, list)
}
