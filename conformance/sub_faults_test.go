package conformance

import (
	"context"
	"errors"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// subFault is one broken promise about subscriptions, and the cases that must notice. Others may notice, too: what a
// subscription does when is not the same each time, and all cases under all faults would take too long.
type subFault struct {
	name  string
	what  string
	cases []string // a case stands for its subcases
	tap   func(t *tap)
	subs  func(c *carelessSubs, t *tap)
}

// breaks returns the trial with the fault built in.
func (f subFault) breaks(r trial) trial {
	r.breakTap = f.tap
	if f.subs != nil {
		r.wrapSubs = func(s subFace, t *tap) subFace {
			c := &carelessSubs{subFace: s}
			f.subs(c, t)
			return c
		}
	}
	return r
}

func isSub(name string) bool { return strings.HasPrefix(name, "sub/") }

// TestSubFaults: every case of subscriptions is green over memory, and turned red by the faults that name it. It runs many at
// once, and so not beside other tests.
func TestSubFaults(t *testing.T) {
	byName := map[string]testCase{}
	for _, c := range cases() {
		if isSub(c.name) {
			byName[c.name] = c
		}
	}
	over := Harness{Name: "memory", New: func(testing.TB) store.Storage { return memory.New() }}
	var mu sync.Mutex
	seen := map[string]bool{}
	slots := make(chan struct{}, 32) // most of the time they wait
	run := func(r trial, title string, note func(name string, failed bool)) {
		slots <- struct{}{}
		defer func() { <-slots }()
		record(t, title, note, func(rec *recorder) { r.run(rec, rec.sub) })
	}
	var wg sync.WaitGroup
	for name, c := range byName {
		wg.Go(func() {
			run(trial{Harness: over, testCase: c}, name, func(name string, failed bool) {
				assert.False(t, failed, "%s is red without a fault", name)
				mu.Lock()
				defer mu.Unlock()
				seen[name] = seen[name] || false
			})
		})
	}
	wg.Wait()
	withSubs := map[string]bool{} // they are red by their subcases: what comes before those may just have taken too long
	for sub := range seen {
		withSubs[sub[:strings.LastIndex(sub, "/")]] = true
	}
	for _, f := range subFaults {
		for _, name := range f.cases {
			parent := name
			if strings.Count(name, "/") > 1 {
				parent = name[:strings.LastIndex(name, "/")]
			}
			c, ok := byName[parent]
			if !assert.True(t, ok, "%s names %s, which is not there", f.name, name) {
				continue
			}
			wg.Go(func() {
				red := false
				for attempt := 0; attempt < 10 && !red; attempt++ { // a busy machine hides what is a matter of time
					run(f.breaks(trial{Harness: over, testCase: c, impatient: time.Second}), parent, func(sub string, failed bool) {
						if failed && (sub == name && !withSubs[name] || strings.HasPrefix(sub, name+"/")) {
							mu.Lock()
							defer mu.Unlock()
							red, seen[sub] = true, true
						}
					})
				}
				assert.True(t, red, "%s (%s) does not turn %s red", f.name, f.what, name)
			})
		}
	}
	wg.Wait()
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		assert.True(t, seen[name], "no fault turns %s red", name)
	}
}

func TestSubFaultNames(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range subFaults {
		assert.False(t, seen[f.name], "two faults are called %s", f.name)
		seen[f.name] = true
		assert.NotEmpty(t, f.what)
		assert.NotEmpty(t, f.cases)
	}
}

// subFaults are all faults of subscriptions, on top of memory.
var subFaults = slices.Concat(subOptionFaults, subDeliveryFaults, subAckFaults, subStorageFaults, subManageFaults, subWatchFaults, subConsumeFaults, subParkFaults)

var subOptionFaults = []subFault{
	{name: "starts-at-end", what: "a subscription begins with what is new", cases: []string{"sub/start-origin"},
		subs: optioned(func(o *store.SubscribeOptions) { o.Start = store.StartCurrent })},
	{name: "starts-at-origin", what: "a subscription begins with the first event", cases: []string{"sub/start-current", "sub/start-after"},
		subs: optioned(func(o *store.SubscribeOptions) { o.Start = store.StartOrigin })},
	{name: "buffer-size-ignored", what: "a subscriber is sent what there is", cases: []string{"sub/buffer-size/1", "sub/buffer-size/3", "sub/round-robin"},
		subs: optioned(func(o *store.SubscribeOptions) { o.BufferSize = 1000 })},
	{name: "buffer-size-default", what: "a buffer is a hundred at most, however large it is to be", cases: []string{"sub/buffer-size/100"},
		subs: optioned(func(o *store.SubscribeOptions) {
			if o.BufferSize == 100 {
				o.BufferSize = 101
			}
		})},
	{name: "max-size-ignored", what: "a subscription reads ahead as it likes", cases: []string{"sub/max-size/1", "sub/max-size/3"},
		subs: optioned(func(o *store.SubscribeOptions) { o.MaxSize = 0 })},
	{name: "checkpoint-each", what: "every acknowledgement is written", cases: []string{"sub/checkpoint-threshold"},
		subs: optioned(func(o *store.SubscribeOptions) { o.CheckpointThreshold = 1 })},
	{name: "checkpoint-never", what: "checkpoints are written at the end only", cases: []string{"sub/checkpoint-after", "sub/selector-none", "sub/checkpoint-in-catch-up"},
		subs: optioned(func(o *store.SubscribeOptions) { o.CheckpointThreshold, o.CheckpointAfter = math.MaxInt32, -1 })},
	{name: "limit-ignored", what: "any number may subscribe", cases: []string{"sub/concurrency-limit"},
		subs: optioned(func(o *store.SubscribeOptions) { o.ConcurrencyLimit = 100 })},
	{name: "one-lane", what: "only one subscriber is sent events at a time",
		cases: []string{"sub/share", "sub/slow-one", "sub/ack-out-of-order", "sub/lease-lost-competing", "sub/round-robin", "sub/turns-keys"},
		subs: optioned(func(o *store.SubscribeOptions) {
			if o.ConcurrencyLimit > 1 {
				o.PartitionBy = func(store.Recorded) string { return "all" }
			}
		})},
	{name: "no-lanes", what: "partition keys are ignored",
		cases: []string{"sub/partition", "sub/partition-random", "sub/partition-closes", "sub/partition-by-panics", "sub/consume-partitions"},
		subs:  optioned(func(o *store.SubscribeOptions) { o.PartitionBy = nil })},
	{name: "selector-ignored", what: "every event is selected",
		cases: []string{"sub/selector", "sub/selector-none", "sub/filter-and-selector", "sub/filtered-behind-open", "sub/selector-panics"},
		subs:  optioned(func(o *store.SubscribeOptions) { o.Selector = nil })},
	{name: "mapper-ignored", what: "events are sent as they are", cases: []string{"sub/mapper", "sub/mapper-fails/error", "sub/mapper-fails/panic", "sub/consume-callback"},
		subs: optioned(func(o *store.SubscribeOptions) { o.Mapper = nil })},
	{name: "filter-ignored", what: "every event passes the filter", cases: []string{"sub/filter-types", "sub/filter-prefix", "sub/filter-and-selector"},
		subs: optioned(func(o *store.SubscribeOptions) { o.Filter = store.EventFilter{} })},
	{name: "filter-here", what: "events are fetched and then filtered", cases: []string{"sub/many-filtered"},
		subs: optioned(func(o *store.SubscribeOptions) {
			types := o.Filter.Types
			o.Filter = store.EventFilter{}
			o.Selector = func(e store.Recorded) bool { return slices.Contains(types, e.Type) }
		})},
	{name: "transient-kept", what: "a transient subscription has a checkpoint", cases: []string{"sub/transient"},
		subs: optioned(func(o *store.SubscribeOptions) { o.Transient = false })},
	{name: "waits-never", what: "Subscribe does not wait for the lease", cases: []string{"sub/wait-for-lease"},
		subs: optioned(func(o *store.SubscribeOptions) { o.WaitForLease = false })},
	{name: "waits-always", what: "Subscribe waits for the lease, asked to or not", cases: []string{"sub/one-runs", "sub/states"},
		subs: optioned(func(o *store.SubscribeOptions) { o.WaitForLease = true })},
	{name: "no-timeout", what: "a call of the database may take for ever", cases: []string{"sub/timeout"},
		subs: optioned(func(o *store.SubscribeOptions) { o.Timeout = time.Hour })},
	{name: "retries-at-once", what: "a call that failed is tried again at once", cases: []string{"sub/few-retries"},
		subs: optioned(func(o *store.SubscribeOptions) { o.RetryInterval = 1 })},
	{name: "retries-never", what: "a call that failed is not tried again", cases: []string{"sub/reads-fail", "sub/few-retries", "sub/timeout"},
		subs: optioned(func(o *store.SubscribeOptions) { o.RetryInterval = time.Hour })},
	{name: "contradiction-ignored", what: "a later subscriber's options are ignored", cases: []string{"sub/contradiction"},
		subs: func(c *carelessSubs, _ *tap) {
			var mu sync.Mutex
			var first *store.SubscribeOptions
			c.options = func(o *store.SubscribeOptions) {
				mu.Lock()
				defer mu.Unlock()
				if first == nil {
					of := *o
					first = &of
				}
				own := *o
				*o = *first
				o.BufferSize, o.WaitForLease, o.OnState = own.BufferSize, own.WaitForLease, own.OnState
			}
		}},
	{name: "states-of-first-only", what: "only the first subscriber hears of changes of state", cases: []string{"sub/own-states"},
		subs: func(c *carelessSubs, _ *tap) {
			var others atomic.Bool
			c.options = func(o *store.SubscribeOptions) {
				if others.Swap(true) {
					o.OnState = nil
				}
			}
		}},
	{name: "states-not-told", what: "nobody hears of changes of state", cases: []string{"sub/states"},
		subs: optioned(func(o *store.SubscribeOptions) { o.OnState = nil })},
}

// repeating sends the first event of each batch again with the next.
func repeating() func(batch []store.Recorded) []store.Recorded {
	var mu sync.Mutex
	var last []store.Recorded
	return func(batch []store.Recorded) []store.Recorded {
		mu.Lock()
		defer mu.Unlock()
		again := append(slices.Clone(last), batch...)
		last = batch[:1]
		return again
	}
}

var subDeliveryFaults = []subFault{
	{name: "event-repeated", what: "an event comes twice",
		cases: []string{
			"sub/catch-up-all", "sub/absent-stream", "sub/large-append", "sub/hint-late", "sub/hint-repeated", "sub/checkpoint-in-catch-up", "sub/hint-lost",
			"sub/hint-woken", "sub/hint-in-process", "sub/listen-fails", "sub/feed-fails",
		},
		subs: func(c *carelessSubs, t *tap) { batched(repeating())(c, t) }},
	{name: "event-lost", what: "one event in seven is left out",
		cases: []string{"sub/catch-up-all", "sub/catch-up-stream", "sub/catch-up-links", "sub/large-append", "sub/subscriber-closes"},
		tap: paging(func(page []store.Recorded, _ int64) []store.Recorded {
			return slices.DeleteFunc(slices.Clone(page), func(e store.Recorded) bool { return e.Number%7 == 0 })
		})},
	{name: "batch-reversed", what: "a batch is the wrong way round", cases: []string{"sub/catch-up-all", "sub/catch-up-stream", "sub/catch-up-links", "sub/nack"},
		subs: batched(func(batch []store.Recorded) []store.Recorded {
			batch = slices.Clone(batch)
			slices.Reverse(batch)
			return batch
		})},
	{name: "batch-empty", what: "a batch may be empty", cases: []string{"sub/watch-filter", "sub/selector-none"},
		subs: func(c *carelessSubs, t *tap) {
			next := func(real func(ctx context.Context) ([]store.Recorded, error)) func(ctx context.Context) ([]store.Recorded, error) {
				return func(ctx context.Context) ([]store.Recorded, error) {
					ctx, cancel := context.WithTimeout(ctx, glance/4)
					defer cancel()
					batch, err := real(ctx)
					if errors.Is(err, context.DeadlineExceeded) {
						return nil, nil
					}
					return batch, err
				}
			}
			subscribed(func(s *carelessSubscriber) { s.next = next(s.subscriber.Next) })(c, t)
			c.watcher = func(w watcher) watcher { return &carelessWatcher{w, next(w.Next)} }
		}},
	{name: "metadata-lost", what: "events lose their metadata", cases: []string{"sub/recorded"},
		tap: paging(func(page []store.Recorded, _ int64) []store.Recorded {
			page = slices.Clone(page)
			for i := range page {
				page[i].Metadata = nil
			}
			return page
		})},
	{name: "last-come-first-served", what: "the last to subscribe is sent everything", cases: []string{"sub/turns"},
		subs: func(c *carelessSubs, t *tap) {
			var last atomic.Int64
			subscribed(func(s *carelessSubscriber) {
				me := last.Add(1)
				s.next = func(ctx context.Context) ([]store.Recorded, error) {
					if me < last.Load() {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					return s.subscriber.Next(ctx)
				}
			})(c, t)
		}},
	{name: "read-once", what: "what was read once is not found again", cases: []string{"sub/poison-key", "sub/consume-poison"},
		tap: func(t *tap) {
			var seen atomic.Int64
			paging(func(page []store.Recorded, _ int64) []store.Recorded {
				most := seen.Load()
				page = slices.DeleteFunc(slices.Clone(page), func(e store.Recorded) bool { return e.Number < most })
				if len(page) > 0 {
					seen.Store(page[len(page)-1].Number)
				}
				return page
			})(t)
		}},
	{name: "alone", what: "every subscriber reads for itself, hears of nothing and does not poll",
		cases: []string{"sub/many", "sub/hint-woken", "sub/hint-lost"},
		subs:  alone},
	{name: "decoded-for-all", what: "an event that does not decode ends the subscriber", cases: []string{"sub/undecodable"},
		subs: subscribed(func(s *carelessSubscriber) {
			s.next = func(ctx context.Context) ([]store.Recorded, error) {
				batch, err := s.subscriber.Next(ctx)
				for _, e := range batch {
					var data []byte
					if e.Type == "bad" {
						err = errors.Join(err, e.Decode(&data))
					}
				}
				return batch, err
			}
		})},
	{name: "callback-error-hidden", what: "an event that a callback fails on is left out",
		cases: []string{"sub/selector-panics", "sub/partition-by-panics", "sub/mapper-fails/error", "sub/mapper-fails/panic"},
		subs: subscribed(func(s *carelessSubscriber) {
			s.next = func(ctx context.Context) ([]store.Recorded, error) {
				for {
					batch, err := s.subscriber.Next(ctx)
					var failed *store.CallbackError
					if !errors.As(err, &failed) {
						return batch, err
					}
					_ = s.subscriber.Ack(ctx, failed.Event)
				}
			}
		})},
	{name: "end-runs-away", what: "at the end there always is more to read", cases: []string{"sub/hard-deleted-tail", "sub/hint-spurious"},
		tap: tapping(func(b *broken) {
			b.filtered = func(ctx context.Context, r store.ReadRequest, f store.EventFilter) ([]store.Recorded, int64, error) {
				page, next, err := b.SubscriptionStorage.ReadFiltered(ctx, r, f)
				if len(page) <= 1 {
					next += 2
				}
				return page, next, err
			}
		})},
	{name: "gone-is-end", what: "a stream ends at its last event, however far its numbers go", cases: []string{"sub/end-gone"},
		tap: tapping(func(b *broken) {
			b.filtered = func(ctx context.Context, r store.ReadRequest, f store.EventFilter) ([]store.Recorded, int64, error) {
				page, next, err := b.SubscriptionStorage.ReadFiltered(ctx, r, f)
				if len(page) > 0 {
					next = page[len(page)-1].Number + 1
				}
				return page, next, err
			}
		})},
	{name: "gap-is-end", what: "nothing is read behind a gap", cases: []string{"sub/hard-deleted-middle", "sub/links-gone"},
		tap: paging(func(page []store.Recorded, from int64) []store.Recorded {
			for i, e := range page {
				if e.Number != from+int64(i) {
					return page[:i]
				}
			}
			return page
		})},
}

var subAckFaults = []subFault{
	{name: "ack-of-nothing", what: "an acknowledgement is forgotten",
		cases: []string{"sub/ack", "sub/close-flushes", "sub/checkpoint-threshold", "sub/slow-one", "sub/ack-order-sent"},
		subs: subscribed(func(s *carelessSubscriber) {
			s.ack = func(context.Context, []int64) error { return nil }
		})},
	{name: "ack-any-delivery", what: "an acknowledgement goes by the number, whichever delivery it is of", cases: []string{"sub/ack-late"},
		subs: subscribed(func(s *carelessSubscriber) { // its Ack is AckNumber
			s.events = func(iter.Seq2[store.Recorded, error]) iter.Seq2[store.Recorded, error] { return byNumber(s) }
		})},
	{name: "ack-by-number", what: "an acknowledgement covers lower numbers, not what was sent before", cases: []string{"sub/ack-order-sent"},
		subs: subscribed(func(s *carelessSubscriber) {
			var sent inFlight
			s.next = func(ctx context.Context) ([]store.Recorded, error) {
				batch, err := s.subscriber.Next(ctx)
				sent.add(batch)
				return batch, err
			}
			s.ack = func(ctx context.Context, numbers []int64) error {
				return s.subscriber.AckNumber(ctx, sent.upTo(slices.Max(numbers))...)
			}
		})},
	{name: "ack-unknown-passes", what: "a number that is not in flight is acknowledged", cases: []string{"sub/ack-unknown", "sub/nack", "sub/lease-lost"},
		subs: unfailing(store.ErrUnexpectedAck)},
	{name: "ack-unknown-harms", what: "an unknown number acknowledges what there is", cases: []string{"sub/ack-unknown/harmless"},
		subs: subscribed(func(s *carelessSubscriber) {
			var sent inFlight
			s.next = func(ctx context.Context) ([]store.Recorded, error) {
				batch, err := s.subscriber.Next(ctx)
				sent.add(batch)
				return batch, err
			}
			s.ack = func(ctx context.Context, numbers []int64) error {
				err := s.subscriber.AckNumber(ctx, numbers...)
				if errors.Is(err, store.ErrUnexpectedAck) {
					for _, n := range sent.upTo(math.MaxInt64) {
						_ = s.subscriber.AckNumber(ctx, n)
					}
				}
				return err
			}
		})},
	{name: "ack-none-passes", what: "to acknowledge nothing is fine", cases: []string{"sub/ack-unknown/none", "sub/invalid", "sub/start-after"},
		subs: unfailing(store.ErrInvalid)},
	{name: "nack-is-ack", what: "what is given back is acknowledged", cases: []string{"sub/nack", "sub/ack-order-sent", "sub/mapper"},
		subs: subscribed(func(s *carelessSubscriber) {
			s.nack = func(ctx context.Context, events []store.Recorded) error { return s.subscriber.Ack(ctx, events...) }
		})},
	{name: "close-leaves-open", what: "a closed subscriber keeps what it has, and its lease",
		cases: []string{"sub/close-flushes", "sub/takeover-close", "sub/subscriber-closes", "sub/partition-closes", "sub/wait-for-lease", "sub/transient", "sub/events"},
		subs: subscribed(func(s *carelessSubscriber) {
			s.close = func() error { return nil }
		})},
	{name: "close-waits-for-others", what: "Close returns when nobody else is subscribed", cases: []string{"sub/close-revived"},
		subs: func(c *carelessSubs, t *tap) {
			var open atomic.Int64
			c.subscribe = func(ctx context.Context, stream, name string, o *store.SubscribeOptions) (subscriber, error) {
				open.Add(1) // as soon as it comes
				return c.subFace.Subscribe(ctx, stream, name, o)
			}
			subscribed(func(s *carelessSubscriber) {
				s.close = sync.OnceValue(func() error {
					err := s.subscriber.Close()
					open.Add(-1)
					tick := time.NewTicker(time.Millisecond)
					defer tick.Stop()
					for open.Load() > 0 {
						select {
						case <-tick.C:
						case <-t.over:
							return err
						}
					}
					return err
				})
			})(c, t)
		}},
	{name: "sequence-errs-twice", what: "a sequence yields its error twice", cases: []string{"sub/events"},
		subs: subscribed(func(s *carelessSubscriber) {
			s.events = func(seq iter.Seq2[store.Recorded, error]) iter.Seq2[store.Recorded, error] {
				return func(yield func(store.Recorded, error) bool) {
					for e, err := range seq {
						if !yield(e, err) || err != nil && !yield(e, err) {
							return
						}
					}
				}
			}
		})},
	{name: "state-made-up", what: "a subscription always says that it is live",
		cases: []string{"sub/one-runs", "sub/checkpoint-write-fails", "sub/reads-fail", "sub/soft-deleted", "sub/keeps-lease"},
		subs: subscribed(func(s *carelessSubscriber) {
			s.state = func() store.SubscriptionState { return store.SubscriptionState{Phase: store.Live} }
		})},
	{name: "loss-not-told", what: "subscribers are not told that the lease is lost",
		cases: []string{"sub/lease-lost", "sub/lease-lost-competing", "sub/late-write", "sub/crash", "sub/reset", "sub/reset-elsewhere"},
		subs:  unfailing(store.ErrLeaseLost)},
}

var subStorageFaults = []subFault{
	{name: "begins-anew", what: "a subscription begins anew each time", cases: []string{"sub/start-once", "sub/close-flushes", "sub/unsubscribe", "sub/lease-lost", "sub/undeleted"},
		tap: tapping(func(b *broken) {
			b.acquire = func(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
				l, err := b.SubscriptionStorage.AcquireLease(ctx, r)
				l.Checkpoint = r.Checkpoint
				return l, err
			}
		})},
	{name: "anybody-runs", what: "any process may take a lease", cases: []string{"sub/one-runs", "sub/keeps-lease", "sub/wait-for-lease", "sub/states"},
		tap: tapping(func(b *broken) {
			b.acquire = func(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
				l, err := b.SubscriptionStorage.AcquireLease(ctx, r)
				if errors.Is(err, store.ErrLeaseHeld) {
					return store.Lease{ID: r.ID, Epoch: 1}, nil
				}
				return l, err
			}
		})},
	{name: "lease-for-ever", what: "a lease does not expire", cases: []string{"sub/takeover-crash", "sub/crash"},
		tap: tapping(func(b *broken) {
			b.acquire = func(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
				r.TTL = time.Hour
				return b.SubscriptionStorage.AcquireLease(ctx, r)
			}
			b.renew = func(ctx context.Context, owner string, _ time.Duration) ([]store.Lease, error) {
				return b.SubscriptionStorage.RenewLeases(ctx, owner, time.Hour)
			}
		})},
	{name: "not-renewed", what: "renewing a lease does nothing", cases: []string{"sub/keeps-lease"},
		tap: tapping(func(b *broken) {
			b.renew = func(ctx context.Context, owner string, _ time.Duration) ([]store.Lease, error) { return nil, ctx.Err() }
		})},
	{name: "lease-not-given-up", what: "the lease is kept when a subscription ends",
		cases: []string{"sub/close-flushes", "sub/takeover-close", "sub/close-store", "sub/unsubscribe", "sub/position-lost", "sub/consume", "sub/consume-stops", "sub/consume-panics",
			"sub/consume-cancelled"},
		tap: tapping(func(b *broken) {
			b.release = func(ctx context.Context, r store.CheckpointRequest) error {
				return b.SubscriptionStorage.SaveCheckpoint(ctx, r)
			}
		})},
	{name: "not-flushed", what: "the last checkpoint is not written", cases: []string{"sub/close-flushes", "sub/close-store", "sub/checkpoint-after", "sub/unsubscribe", "sub/consume-skips"},
		tap: tapping(func(b *broken) {
			b.release = func(ctx context.Context, r store.CheckpointRequest) error {
				r.Checkpoint = 0
				return b.SubscriptionStorage.ReleaseLease(ctx, r)
			}
		})},
	{name: "checkpoint-too-far", what: "a checkpoint covers the next event, too",
		cases: []string{"sub/ack", "sub/crash", "sub/checkpoint-threshold", "sub/late-write", "sub/checkpoint-write-fails"},
		tap: tapping(func(b *broken) {
			b.checkpoint = func(ctx context.Context, r store.CheckpointRequest) error {
				r.Checkpoint++
				return b.SubscriptionStorage.SaveCheckpoint(ctx, r)
			}
		})},
	{name: "unfenced", what: "who lost the lease writes on", cases: []string{"sub/late-write", "sub/delete-elsewhere", "sub/lease-lost"},
		tap: tapping(func(b *broken) {
			var mu sync.Mutex
			mine := map[store.SubscriptionID]store.Lease{}
			b.acquire = func(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
				l, err := b.SubscriptionStorage.AcquireLease(ctx, r)
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					mine[r.ID] = l
				}
				return l, err
			}
			b.renew = func(ctx context.Context, owner string, ttl time.Duration) ([]store.Lease, error) {
				_, err := b.SubscriptionStorage.RenewLeases(ctx, owner, ttl)
				mu.Lock()
				defer mu.Unlock()
				return slices.Collect(maps.Values(mine)), err
			}
			b.checkpoint = func(ctx context.Context, r store.CheckpointRequest) error {
				list, err := b.SubscriptionStorage.ListSubscriptions(ctx)
				for _, i := range list {
					if i.SubscriptionID == r.ID {
						mu.Lock()
						l := mine[r.ID]
						l.Checkpoint, l.StreamID = r.Checkpoint, r.StreamID
						mine[r.ID] = l
						mu.Unlock()
						r.Epoch = i.Epoch
						return b.SubscriptionStorage.SaveCheckpoint(ctx, r)
					}
				}
				return err
			}
		})},
	{name: "end-unjudged", what: "a checkpoint above the end of the store is accepted", cases: []string{"sub/position-lost"},
		tap: tapping(func(b *broken) {
			b.checkpoint = func(ctx context.Context, r store.CheckpointRequest) error {
				if err := b.SubscriptionStorage.SaveCheckpoint(ctx, r); !errors.Is(err, store.ErrPositionLost) {
					return err
				}
				return nil
			}
		})},
	{name: "one-incarnation", what: "a stream that is created again is the same", cases: []string{"sub/created-again", "sub/created-again-longer", "sub/created-again-read", "sub/created-again-stopped", "sub/lag-created-again", "sub/watch-created-again"},
		tap: looking(func(i *store.StreamInfo) { i.ID = 1 })},
	{name: "streams-never-change", what: "a stream stays as it was first seen", cases: []string{"sub/watch-links", "sub/hint-lost", "sub/soft-deleted"},
		tap: func(t *tap) { looking(frozen())(t) }},
	{name: "deletion-not-seen", what: "a soft-deleted stream looks as if it went on", cases: []string{"sub/watch-deleted", "sub/soft-deleted", "sub/soft-deleted-refused", "sub/undeleted"},
		tap: looking(func(i *store.StreamInfo) { i.DeletedAt = time.Time{} })},
	{name: "absent-is-error", what: "a stream that is not there can't be looked at", cases: []string{"sub/absent-stream"},
		tap: tapping(func(b *broken) {
			b.versions = func(ctx context.Context, streams []string) (map[string]store.StreamInfo, error) {
				infos, err := b.SubscriptionStorage.StreamVersions(ctx, streams)
				if err == nil && len(infos) < len(streams) {
					err = store.ErrStreamNotFound
				}
				return infos, err
			}
		})},
}

var subManageFaults = []subFault{
	{name: "close-does-nothing", what: "a closed Store goes on", cases: []string{
		"sub/closed-store/subscribe", "sub/closed-store/watch", "sub/closed-store/list", "sub/closed-store/consume", "sub/closed-store/unsubscribe",
		"sub/closed-store/delete", "sub/closed-store/reset", "sub/closed-store/next", "sub/close-store", "sub/consume-ends/closed", "sub/listens-once",
	}, subs: func(c *carelessSubs, _ *tap) { c.close = func() error { return nil } }},
	{name: "invalid-passes", what: "what can't be meant is done", cases: []string{
		"sub/invalid/buffer-size", "sub/invalid/max-size", "sub/invalid/threshold", "sub/invalid/limit", "sub/invalid/buffer-too-large", "sub/invalid/max-too-large",
		"sub/invalid/retry", "sub/invalid/timeout", "sub/invalid/start", "sub/invalid/type", "sub/invalid/prefix", "sub/invalid/no-name", "sub/invalid/no-stream",
		"sub/invalid/name-too-long", "sub/invalid/name-not-utf8", "sub/invalid/watch", "sub/invalid/consume",
	}, subs: unfailing(store.ErrInvalid)},
	{name: "context-not-looked-at", what: "an ended context does not matter", cases: []string{"sub/invalid/cancelled"},
		subs: func(c *carelessSubs, _ *tap) {
			c.subscribe = func(ctx context.Context, stream, name string, o *store.SubscribeOptions) (subscriber, error) {
				return c.subFace.Subscribe(context.WithoutCancel(ctx), stream, name, o)
			}
		}},
	{name: "unsubscribe-does-nothing", what: "Unsubscribe ends nobody", cases: []string{"sub/unsubscribe", "sub/states", "sub/consume-ends/unsubscribed"},
		subs: func(c *carelessSubs, _ *tap) { c.unsubscribe = func() error { return nil } }},
	{name: "delete-does-nothing", what: "DeleteSubscription deletes nothing", cases: []string{"sub/delete", "sub/delete-elsewhere", "sub/consume-ends/deleted"},
		subs: func(c *carelessSubs, _ *tap) { c.remove = func() error { return nil } }},
	{name: "reset-does-nothing", what: "ResetSubscription resets nothing", cases: []string{"sub/reset", "sub/reset-elsewhere"},
		subs: func(c *carelessSubs, _ *tap) { c.reset = func() error { return nil } }},
	{name: "lag-unknown", what: "the list knows no heads", cases: []string{"sub/list"},
		subs: func(c *carelessSubs, _ *tap) {
			c.list = func(list []store.SubscriptionInfo) {
				for i := range list {
					list[i].Head = 0
				}
			}
		}},
	{name: "errors-not-kept", what: "the last error is not kept", cases: []string{"sub/list", "sub/soft-deleted"},
		tap: tapping(func(b *broken) {
			b.problem = func(ctx context.Context, _ store.SubscriptionID, _ int64, _ string, _ int64) error { return ctx.Err() }
		})},
	{name: "error-kept-for-ever", what: "an error that is over is kept", cases: []string{"sub/consume-retries"},
		tap: tapping(func(b *broken) {
			errorsStay(b)
			b.problem = func(ctx context.Context, id store.SubscriptionID, epoch int64, text string, number int64) error {
				if text == "" {
					return nil
				}
				return b.SubscriptionStorage.SaveError(ctx, id, epoch, text, number)
			}
		})},
}

var subWatchFaults = []subFault{
	{name: "watcher-is-a-subscription", what: "a watcher has a name, a checkpoint, and all the time it needs",
		cases: []string{"sub/watch", "sub/watch-leaves-nothing", "sub/watch-too-slow"},
		subs: func(c *carelessSubs, _ *tap) {
			var mu sync.Mutex
			name := ""
			c.watch = func(ctx context.Context, stream string, o *store.WatchOptions) (watcher, error) {
				mu.Lock()
				name += "w"
				this := name
				mu.Unlock()
				r, err := c.subFace.Subscribe(ctx, stream, this, &store.SubscribeOptions{Filter: o.Filter, Selector: o.Selector})
				if err != nil {
					return nil, err
				}
				return lasting{r}, nil
			}
		}},
	{name: "watcher-chooses-nothing", what: "a watcher gets everything", cases: []string{"sub/watch-filter", "sub/watch-selector-panics"},
		subs: func(c *carelessSubs, _ *tap) {
			c.watching = func(o *store.WatchOptions) { o.Filter, o.Selector = store.EventFilter{}, nil }
		}},
	{name: "watcher-waits", what: "a watcher may be as slow as it likes", cases: []string{"sub/watch-too-slow"},
		subs: func(c *carelessSubs, _ *tap) {
			c.watching = func(o *store.WatchOptions) { o.MaxSize = 1000 }
		}},
	{name: "watcher-not-closed", what: "closing a watcher does nothing", cases: []string{"sub/watch-close"},
		subs: func(c *carelessSubs, _ *tap) {
			c.watcher = func(w watcher) watcher { return leftOpen{w} }
		}},
}

var subConsumeFaults = []subFault{
	{name: "handled-beside", what: "an event is acknowledged before its handler has returned",
		cases: []string{"sub/consume", "sub/consume-retries", "sub/consume-skips", "sub/consume-stops", "sub/consume-panics", "sub/consume-lease-lost"},
		subs: func(c *carelessSubs, _ *tap) {
			c.handler = func(h store.Handler) store.Handler {
				if h == nil {
					return nil
				}
				return func(ctx context.Context, e store.Recorded) error {
					go func() {
						defer func() { _ = recover() }()
						_ = h(ctx, e)
					}()
					return nil
				}
			}
		}},
	{name: "handler-called-for-ever", what: "a handler is called until it succeeds, whatever becomes of the event", cases: []string{"sub/consume-created-again", "sub/consume-poison"},
		subs: func(c *carelessSubs, _ *tap) {
			c.handler = func(h store.Handler) store.Handler {
				return func(ctx context.Context, e store.Recorded) (err error) {
					for err = h(ctx, e); err != nil && ctx.Err() == nil; err = h(ctx, e) {
					}
					return err
				}
			}
		}},
	{name: "handlers-one-by-one", what: "only one event is handled at a time",
		cases: []string{"sub/consume-busy", "sub/consume-hangs", "sub/consume-partitions"},
		subs: func(c *carelessSubs, _ *tap) {
			turn := make(chan struct{}, 1)
			c.handler = func(h store.Handler) store.Handler {
				return func(ctx context.Context, e store.Recorded) error {
					select {
					case turn <- struct{}{}:
						defer func() { <-turn }()
						return h(ctx, e)
					case <-ctx.Done():
						return ctx.Err()
					}
				}
			}
		}},
	{name: "handler-not-told", what: "a handler's context does not end", cases: []string{"sub/consume-lease-lost"},
		subs: func(c *carelessSubs, _ *tap) {
			c.handler = func(h store.Handler) store.Handler {
				return func(ctx context.Context, e store.Recorded) error { return h(context.WithoutCancel(ctx), e) }
			}
		}},
	{name: "handler-panics-silently", what: "a panic in a handler ends nothing", cases: []string{"sub/consume-panics"},
		subs: func(c *carelessSubs, _ *tap) {
			c.handler = func(h store.Handler) store.Handler {
				return func(ctx context.Context, e store.Recorded) (err error) {
					defer func() {
						if p := recover(); p != nil {
							err = errStop
						}
					}()
					return h(ctx, e)
				}
			}
		}},
	{name: "error-passes", what: "an error of a handler does not matter", cases: []string{"sub/consume-retries", "sub/consume-skips", "sub/consume-stops", "sub/list"},
		subs: func(c *carelessSubs, _ *tap) {
			c.handler = func(h store.Handler) store.Handler {
				return func(ctx context.Context, e store.Recorded) error {
					_ = h(ctx, e)
					return nil
				}
			}
		}},
	{name: "ends-without-reason", what: "Consume does not say why it ended",
		cases: []string{"sub/consume", "sub/consume-stops", "sub/consume-ends/unsubscribed", "sub/consume-ends/deleted", "sub/consume-ends/closed"},
		subs:  func(c *carelessSubs, _ *tap) { c.failure = func(error) error { return nil } }},
}
