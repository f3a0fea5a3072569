package relay_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/relay"
	"github.com/eventstore-go/eventstore/store/storetest"
)

var errDown = errors.New("the broker is down")

// broker is a Publisher that keeps what it gets. fail, if set, is asked before.
type broker struct {
	fail func(topic string, m *message.Message) error

	mu       sync.Mutex
	messages []sent
}

type sent struct {
	topic string
	*message.Message
}

func (b *broker) Publish(topic string, messages ...*message.Message) error {
	for _, m := range messages {
		if b.fail != nil {
			if err := b.fail(topic, m); err != nil {
				return err
			}
		}
		b.mu.Lock()
		b.messages = append(b.messages, sent{topic, m})
		b.mu.Unlock()
	}
	return nil
}

func (*broker) Close() error { return nil }

func (b *broker) got() []sent {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]sent(nil), b.messages...)
}

// start runs a relay until the test ends, or stop is called, and checks how it ends.
func start(t *testing.T, es *store.Store, to message.Publisher, opts *relay.Options) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx, es, "to-broker", to, opts) }()
	return sync.OnceFunc(func() {
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

// fill appends n events to each of some streams, in turns, and returns the ids by stream.
func fill(t *testing.T, es *store.Store, streams, n int) map[string][]string {
	t.Helper()
	ids := map[string][]string{}
	for range n {
		for s := range streams {
			stream := fmt.Sprintf("order-%d", s)
			res, err := es.Append(t.Context(), stream, store.Any, store.Event{Type: "counted", Data: 1})
			require.NoError(t, err)
			page, err := es.Page(t.Context(), stream, &store.ReadOptions{From: res.Last})
			require.NoError(t, err)
			ids[stream] = append(ids[stream], page[0].ID.String())
		}
	}
	return ids
}

// TestRun: every event is published, in the order of its stream, whatever fails on the way.
func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		es := storetest.New(t)
		want := fill(t, es, 7, 20)
		random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
		var mu sync.Mutex
		b := &broker{fail: func(string, *message.Message) error {
			mu.Lock()
			takes, fails := time.Duration(random.IntN(50))*time.Millisecond, random.IntN(3) == 0
			mu.Unlock()
			time.Sleep(takes)
			if fails {
				return errDown
			}
			return nil
		}}
		stop := start(t, es, b, &relay.Options{Topic: func(e store.Recorded) string { return "of." + e.Stream }})
		storetest.WaitIdle(t, es)
		stop()
		got := map[string][]string{}
		for _, m := range b.got() {
			stream := m.Metadata.Get(relay.HeaderStream)
			assert.Equal(t, "of."+stream, m.topic)
			assert.Equal(t, stream, m.Metadata.Get(relay.HeaderKey))
			assert.Equal(t, m.UUID, m.Metadata.Get(relay.HeaderID))
			got[stream] = append(got[stream], m.UUID)
		}
		assert.Equal(t, want, got)
	})
}

// TestAgain: a second relay of the name publishes nothing again, and goes on.
func TestAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		es := storetest.New(t)
		b := &broker{}
		for n := range 3 {
			fill(t, es, 1, 2)
			stop := start(t, es, b, nil)
			storetest.WaitIdle(t, es)
			stop()
			require.Len(t, b.got(), 2*(n+1))
		}
		for n, m := range b.got() {
			assert.Equal(t, relay.DefaultTopic, m.topic)
			assert.Equal(t, fmt.Sprint(n+1), m.Metadata.Get(relay.HeaderPosition))
		}
	})
}

// TestParallel: events of several streams are published at a time, those of one are not.
func TestParallel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		es := storetest.New(t)
		fill(t, es, 40, 3)
		var mu sync.Mutex
		under, most := map[string]int{}, 0
		b := &broker{fail: func(_ string, m *message.Message) error {
			stream := m.Metadata.Get(relay.HeaderStream)
			mu.Lock()
			under[stream]++
			assert.Equal(t, 1, under[stream], stream)
			all := 0
			for _, n := range under {
				all += n
			}
			most = max(most, all)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			under[stream]--
			mu.Unlock()
			return nil
		}}
		stop := start(t, es, b, nil)
		storetest.WaitIdle(t, es)
		stop()
		assert.Len(t, b.got(), 120)
		assert.Equal(t, relay.DefaultHandlers, most)
	})
}

// TestDown: while the broker is down, the relay says so in the list of subscriptions, loses nothing, and goes on when the broker is back.
func TestDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		es := storetest.New(t)
		want := fill(t, es, 1, 5)["order-0"]
		back := time.Now().Add(time.Hour)
		b := &broker{fail: func(string, *message.Message) error {
			if time.Now().Before(back) {
				return errDown
			}
			return nil
		}}
		stop := start(t, es, b, nil)
		time.Sleep(30 * time.Minute)
		list, err := es.Subscriptions(t.Context())
		require.NoError(t, err)
		require.Len(t, list, 1)
		assert.Equal(t, fmt.Sprintf("relay: publish event %s to %q: the broker is down", want[0], "events"), list[0].LastError)
		assert.EqualValues(t, 1, list[0].LastErrorNumber)
		assert.EqualValues(t, 5, list[0].Lag())
		assert.Greater(t, list[0].Stalled(), 29*time.Minute)
		time.Sleep(time.Until(back) + time.Minute)
		storetest.WaitIdle(t, es)
		stop()
		var got []string
		for _, m := range b.got() {
			got = append(got, m.UUID)
		}
		assert.Equal(t, want, got)
		list, err = es.Subscriptions(t.Context())
		require.NoError(t, err)
		assert.Empty(t, list[0].LastError)
	})
}

// TestPark: an event that can't be published is parked with those of its stream, others go on, and a replay publishes them in order.
func TestPark(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		es := storetest.New(t)
		want := fill(t, es, 2, 3)
		poison := want["order-0"][1]
		broken := true
		b := &broker{fail: func(_ string, m *message.Message) error {
			if m.UUID == poison && broken {
				return errDown
			}
			return nil
		}}
		var o relay.Options
		o.OnError = store.RetryThen(3, store.Park)
		stop := start(t, es, b, &o)
		storetest.WaitIdle(t, es)
		assert.Len(t, b.got(), 4)
		parked, err := es.Parked(t.Context(), "to-broker", &store.ParkedFilter{Stream: store.All})
		require.NoError(t, err)
		require.Len(t, parked, 2)
		assert.Contains(t, parked[0].Error, "the broker is down")
		stop()

		broken = false
		_, err = es.ReplayParked(t.Context(), "to-broker", &store.ParkedFilter{Stream: store.All})
		require.NoError(t, err)
		stop = start(t, es, b, &o)
		time.Sleep(time.Minute)
		stop()
		var got []string
		for _, m := range b.got() {
			if m.Metadata.Get(relay.HeaderStream) == "order-0" {
				got = append(got, m.UUID)
			}
		}
		assert.Equal(t, want["order-0"], got)
	})
}

// TestFormatFails: an event that can't be made a message is told apart from a broker that is down.
func TestFormatFails(t *testing.T) {
	t.Parallel()
	errBad := errors.New("bad")
	for name, test := range map[string]struct {
		opts relay.Options
		want string
	}{
		"format": {relay.Options{Format: func(store.Recorded) (*message.Message, error) { return nil, errBad }}, ": bad"},
		"none":   {relay.Options{Format: func(store.Recorded) (*message.Message, error) { return nil, nil }}, ": Format has returned no message"},
		"topic":  {relay.Options{Topic: relay.To("")}, ": the function Topic has returned an empty name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				es := storetest.New(t)
				fill(t, es, 1, 1)
				var failed error
				test.opts.OnError = func(_ store.Recorded, err error, _ int) store.Decision {
					failed = err
					return store.Stop
				}
				err := relay.Run(t.Context(), es, "to-broker", &broker{}, &test.opts)
				require.ErrorIs(t, err, relay.ErrFormat)
				require.ErrorIs(t, failed, relay.ErrFormat)
				assert.Equal(t, name == "format", errors.Is(err, errBad))
				assert.True(t, strings.HasSuffix(failed.Error(), test.want), failed)
				var format *relay.FormatError
				require.ErrorAs(t, err, &format)
				assert.Equal(t, "counted", format.Type)
			})
		})
	}
}

// TestPublishError: a failure of the publisher names the topic and the event.
func TestPublishError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		es := storetest.New(t)
		id := fill(t, es, 1, 1)["order-0"][0]
		o := relay.Options{Topic: relay.To("orders")}
		o.OnError = func(store.Recorded, error, int) store.Decision { return store.Stop }
		err := relay.Run(t.Context(), es, "to-broker", &broker{fail: func(string, *message.Message) error { return errDown }}, &o)
		require.ErrorIs(t, err, errDown)
		var failed *relay.PublishError
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, []string{"orders", id}, []string{failed.Topic, failed.ID.String()})
		assert.NotErrorIs(t, err, relay.ErrFormat)
	})
}

// TestOptions: what is wrong with the arguments is returned at once, and options of the subscription count.
func TestOptions(t *testing.T) {
	t.Parallel()
	es := storetest.New(t)
	require.ErrorIs(t, relay.Run(t.Context(), es, "r", nil, nil), store.ErrInvalid)
	require.ErrorIs(t, relay.Run(t.Context(), es, "", &broker{}, nil), store.ErrInvalid)
	bad := relay.Options{}
	bad.Handlers = -1
	require.ErrorIs(t, relay.Run(t.Context(), es, "r", &broker{}, &bad), store.ErrInvalid)

	synctest.Test(t, func(t *testing.T) {
		es := storetest.New(t)
		fill(t, es, 3, 2)
		b := &broker{}
		o := relay.Options{Stream: "order-1"}
		o.Start = store.StartAfter(1)
		o.PartitionBy = func(store.Recorded) string { return "one key" }
		stop := start(t, es, b, &o)
		storetest.WaitIdle(t, es)
		stop()
		got := b.got()
		require.Len(t, got, 1)
		assert.Equal(t, "2", got[0].Metadata.Get(relay.HeaderVersion))
		assert.Equal(t, "one key", got[0].Metadata.Get(relay.HeaderKey))
		assert.Empty(t, got[0].Metadata.Get(relay.HeaderPosition), "numbers are versions")
	})
}

// TestTakeover: when the process that publishes dies, another of the name goes on within the time of the lease, and no event is missing.
func TestTakeover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend := memory.New()
		es := storetest.Open(t, backend, nil)
		want := fill(t, es, 3, 10)
		dies, dead := context.WithCancel(t.Context())
		first := &broker{}
		n := 0
		first.fail = func(string, *message.Message) error {
			if n++; n > 11 { // it hangs, and its process renews nothing
				<-dies.Done()
				return errDown
			}
			return nil
		}
		dying := storetest.Open(t, frozen{backend, dies}, &store.Options{Logger: storetest.Logger(t)})
		ended := make(chan error, 1)
		var one relay.Options
		one.Handlers = 1
		go func() { ended <- relay.Run(dies, dying, "to-broker", first, &one) }()
		synctest.Wait()
		second := &broker{}
		stop := start(t, es, second, nil)
		synctest.Wait()
		dead()
		require.Error(t, <-ended)
		time.Sleep(2 * store.DefaultLeaseTTL)
		storetest.WaitIdle(t, es)
		stop()
		got := map[string]map[string]bool{}
		for _, m := range append(first.got(), second.got()...) {
			stream := m.Metadata.Get(relay.HeaderStream)
			if got[stream] == nil {
				got[stream] = map[string]bool{}
			}
			got[stream][m.UUID] = true
		}
		for stream, ids := range want {
			assert.Len(t, got[stream], len(ids), stream)
		}
		assert.NotEmpty(t, second.got())
		assert.Len(t, first.got(), 11)
	})
}

// frozen is the backend of a process that dies with a context: from then on nothing it writes arrives.
type frozen struct {
	*memory.Backend

	dead context.Context
}

var errDead = errors.New("the process is dead")

func (f frozen) ReleaseLease(ctx context.Context, r store.CheckpointRequest) error {
	if f.dead.Err() != nil {
		return errDead
	}
	return f.Backend.ReleaseLease(ctx, r)
}

func (f frozen) SaveCheckpoint(ctx context.Context, r store.CheckpointRequest) error {
	if f.dead.Err() != nil {
		return errDead
	}
	return f.Backend.SaveCheckpoint(ctx, r)
}

func (f frozen) RenewLeases(ctx context.Context, owner string, ttl time.Duration) ([]store.Lease, error) {
	if f.dead.Err() != nil {
		return nil, errDead
	}
	return f.Backend.RenewLeases(ctx, owner, ttl)
}
