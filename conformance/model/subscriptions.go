package model

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/eventstore-go/eventstore/store"
)

// RunSubscriptions lets subscribers come, take, acknowledge, give back, leave and die at random, while events are
// appended, linked and removed, and compares what each is sent, and every checkpoint, with a list of what is open. ttl is
// the time of leases, for which the heir of one that died has to wait. With a ttl of 0 each history runs in a bubble of
// testing/synctest, where waiting takes no time; the storage must not wait for anything outside of it then.
func RunSubscriptions(t *testing.T, ttl time.Duration, newStorage func(tb testing.TB) store.Storage) {
	t.Helper()
	checkSubscriptions(t, t, ttl, newStorage)
}

func checkSubscriptions(failures rapid.TB, t *testing.T, ttl time.Duration, newStorage func(tb testing.TB) store.Storage) {
	deaths := 6 // in all, since each takes the time of a lease
	rapid.Check(failures, func(rt *rapid.T) {
		if ttl > 0 {
			subscriptions(rt, t, ttl, &deaths, newStorage)
			return
		}
		deaths := 2
		var failure any // rapid's, which has to arrive on its own goroutine
		synctest.Test(t, func(t *testing.T) {
			defer func() { failure = recover() }()
			subscriptions(rt, t, store.DefaultLeaseTTL, &deaths, newStorage)
		})
		if failure != nil {
			panic(failure)
		}
	})
}

// subscriptions runs one history.
func subscriptions(rt *rapid.T, t testing.TB, ttl time.Duration, deaths *int, newStorage func(tb testing.TB) store.Storage) {
	tb := &scope{TB: t}
	defer tb.end()
	h := newParty(rt, t.Context(), ttl, newStorage(tb))
	h.deaths = deaths
	defer h.close()
	rt.Repeat(map[string]func(*rapid.T){
		"append":      h.append,
		"link":        h.link,
		"hard delete": h.hardDelete,
		"subscribe":   h.subscribe,
		"next":        h.next,
		"take":        h.next, // as often as all else
		"ack":         h.ack,
		"ack unknown": h.ackUnknown,
		"nack":        h.nack,
		"leave":       h.leave,
		"restart":     h.restart,
		"die":         h.die,
		"reset":       h.reset,
		"":            h.check,
	})
	h.drain(rt)
}

const (
	reader   = "reader"
	patience = 20 * time.Second
)

// The streams of events, one that is never removed, and one that holds links.
const (
	kept, gone, mixed = "kept", "gone", "mixed"
)

// party is a subscription, the process that runs it, and what ought to be true of it.
type party struct {
	ctx     context.Context
	storage store.Storage
	keeper  store.SubscriptionStorage
	writer  *store.Store // appends; not the process that subscribes
	ttl     time.Duration
	stream  string
	opts    store.SubscribeOptions
	deaths  *int // how many may still die

	process *store.Store
	cable   *cable
	readers []*member

	seen  int64 // the number of the last event that the model knows
	open  []*delivery
	known int64 // a checkpoint that was seen in the database
}

// delivery is an event that the subscription owes.
type delivery struct {
	number  int64
	stream  string
	key     string
	holder  *member // nil: nobody
	acked   bool
	removed bool // by a hard delete: it may be delivered or not
}

// member is a subscriber and what it has in flight, in the order it was sent.
type member struct {
	*store.Subscriber
	held []*delivery
}

func newParty(rt *rapid.T, ctx context.Context, ttl time.Duration, storage store.Storage) *party {
	h := &party{
		ctx: ctx, storage: storage, keeper: storage.(store.SubscriptionStorage), ttl: ttl,
		writer: store.New(storage, &store.Options{HardDelete: true}),
		stream: rapid.SampledFrom([]string{store.All, store.All, kept, mixed}).Draw(rt, "stream"),
	}
	h.opts = store.SubscribeOptions{
		BufferSize:          rapid.SampledFrom([]int{1, 2, 5, 100}).Draw(rt, "buffer"),
		MaxSize:             rapid.SampledFrom([]int{0, 1, 3, 10}).Draw(rt, "most"),
		CheckpointThreshold: rapid.SampledFrom([]int{0, 1, 2, 7}).Draw(rt, "threshold"),
		CheckpointAfter:     rapid.SampledFrom([]time.Duration{-1, 0}).Draw(rt, "after"),
		ConcurrencyLimit:    3,
		RetryInterval:       pause(ttl),
		WaitForLease:        true,
		Filter: store.EventFilter{
			Types:        rapid.SampledFrom([][]string{nil, nil, {"a"}, {"a", "b"}}).Draw(rt, "types"),
			StreamPrefix: rapid.SampledFrom([]string{"", "", "k"}).Draw(rt, "prefix"),
		},
	}
	if rapid.Bool().Draw(rt, "partitions") {
		h.opts.PartitionBy = key
		h.opts.MaxSize = 0 // a queue full of events of one key keeps others from coming
	}
	if rapid.Bool().Draw(rt, "selector") {
		h.opts.Selector = odd
	}
	h.start()
	return h
}

// key partitions by a letter of the data, and leaves some events without.
func key(e store.Recorded) string {
	if k := string(e.Data); k != `"-"` {
		return k
	}
	return ""
}

// odd leaves out a third of all events.
func odd(e store.Recorded) bool { return e.Number%3 != 0 }

func (h *party) chosen(e store.Recorded) bool {
	f := h.opts.Filter
	return (len(f.Types) == 0 || slices.Contains(f.Types, e.Type)) && strings.HasPrefix(e.Stream, f.StreamPrefix) &&
		(h.opts.Selector == nil || h.opts.Selector(e))
}

// start starts a process.
func (h *party) start() {
	h.cable = &cable{SubscriptionStorage: h.keeper, Storage: h.storage}
	h.process = store.New(h.cable, &store.Options{LeaseTTL: h.ttl, PollInterval: pause(h.ttl)})
}

// pause is how long a process waits before it looks again. In a bubble, where leases last long, it is not short either: each
// look costs, and waiting does not.
func pause(ttl time.Duration) time.Duration {
	if ttl >= store.DefaultLeaseTTL {
		return ttl / 50
	}
	return 10 * time.Millisecond
}

func (h *party) close() {
	h.cable.cut.Store(false)
	_ = h.process.Close() // what did not end well was told before
}

func (h *party) append(rt *rapid.T) {
	stream := rapid.SampledFrom([]string{kept, gone, mixed}).Draw(rt, "stream")
	events := make([]store.Event, rapid.IntRange(1, 6).Draw(rt, "events"))
	for i := range events {
		events[i].Type = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "type")
		events[i].Data = rapid.SampledFrom([]string{"-", "x", "y"}).Draw(rt, "key")
	}
	if _, err := h.writer.Append(h.ctx, stream, store.Any, events...); err != nil {
		rt.Fatalf("append: %v", err)
	}
	h.look(rt)
}

// link links the last event of a stream.
func (h *party) link(rt *rapid.T) {
	page, err := h.writer.Page(h.ctx, rapid.SampledFrom([]string{kept, gone}).Draw(rt, "source"), &store.ReadOptions{Backward: true, Limit: 1})
	if err != nil || len(page) == 0 {
		rt.Skip("nothing to link")
	}
	_, err = h.writer.Link(h.ctx, mixed, store.Any, page[0].ID)
	if err != nil && !errors.Is(err, store.ErrDuplicateEvent) {
		rt.Fatalf("link: %v", err)
	}
	h.look(rt)
}

func (h *party) hardDelete(rt *rapid.T) {
	err := h.writer.Delete(h.ctx, gone, store.Any, store.HardDelete)
	if errors.Is(err, store.ErrStreamNotFound) {
		rt.Skip("not there")
	}
	if err != nil {
		rt.Fatalf("hard delete: %v", err)
	}
	for _, d := range h.open {
		d.removed = d.removed || d.stream == gone
	}
}

// look takes over what was written.
func (h *party) look(rt *rapid.T) {
	for e, err := range h.writer.Stream(h.ctx, h.stream, &store.ReadOptions{From: h.seen + 1}) {
		if errors.Is(err, store.ErrStreamNotFound) {
			return
		}
		if err != nil {
			rt.Fatalf("read %s: %v", h.stream, err)
		}
		h.seen = e.Number
		if h.chosen(e) {
			d := &delivery{number: e.Number, stream: e.Stream}
			if h.opts.PartitionBy != nil {
				d.key = key(e)
			}
			h.open = append(h.open, d)
		}
	}
}

func (h *party) subscribe(rt *rapid.T) {
	if len(h.readers) == h.opts.ConcurrencyLimit {
		_, err := h.process.Subscribe(h.ctx, h.stream, reader, &h.opts)
		if !errors.Is(err, store.ErrTooManySubscribers) {
			rt.Fatalf("one subscriber too many: %v", err)
		}
		return
	}
	h.join(rt)
}

func (h *party) join(rt *rapid.T) {
	ctx, cancel := context.WithTimeout(h.ctx, patience+h.ttl)
	defer cancel()
	r, err := h.process.Subscribe(ctx, h.stream, reader, &h.opts)
	if err != nil {
		rt.Fatalf("subscribe: %v", err)
	}
	if len(h.readers) == 0 {
		h.resumed(rt)
	}
	h.readers = append(h.readers, &member{Subscriber: r})
}

// one draws a subscriber.
func (h *party) one(rt *rapid.T) *member {
	if len(h.readers) == 0 {
		rt.Skip("nobody is there")
	}
	return rapid.SampledFrom(h.readers).Draw(rt, "subscriber")
}

// owed returns what a subscriber may be sent, in order: as much as its buffer has room for.
func (h *party) owed(m *member) (list []*delivery) {
	busy := map[string]*member{}
	for _, d := range h.open {
		if !d.acked && d.holder != nil && d.key != "" {
			busy[d.key] = d.holder
		}
	}
	for _, d := range h.open {
		if d.acked || d.holder != nil || d.key != "" && busy[d.key] != nil && busy[d.key] != m {
			continue
		}
		if d.key != "" {
			busy[d.key] = m
		}
		list = append(list, d)
	}
	return list
}

// sure reports whether one of the events must come.
func sure(list []*delivery) bool {
	return slices.ContainsFunc(list, func(d *delivery) bool { return !d.removed })
}

func (h *party) next(rt *rapid.T) { h.nextOf(rt, h.one(rt)) }

func (h *party) nextOf(rt *rapid.T, m *member) {
	owed := h.owed(m)
	room := h.opts.BufferSize - len(m.held)
	wait := patience
	if !sure(owed) || room == 0 {
		wait = 2 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(h.ctx, wait)
	defer cancel()
	events, err := m.Next(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		if sure(owed) && room > 0 {
			rt.Fatalf("nothing was sent in %v; %s", wait, h.text())
		}
		return
	case err != nil:
		rt.Fatalf("next: %v; %s", err, h.text())
	}
	if len(events) > room {
		rt.Fatalf("%d events were sent to a buffer with room for %d", len(events), room)
	}
	for _, e := range events {
		at := slices.IndexFunc(owed, func(d *delivery) bool { return d.number == e.Number })
		if at < 0 || !h.inTurn(m, owed[:at], owed[at]) {
			rt.Fatalf("%d was sent out of turn; %s", e.Number, h.text())
		}
		owed[at].holder = m
		m.held = append(m.held, owed[at])
		owed = append(slices.DeleteFunc(owed[:at], func(d *delivery) bool { return d.removed }), owed[at+1:]...)
	}
}

// inTurn reports whether a subscriber may be sent d before others that it may be sent. Those that were removed need not come. What any
// subscriber may be sent can be left for another one with room, while this one goes on with a key that it has.
func (h *party) inTurn(m *member, before []*delivery, d *delivery) bool {
	others := slices.ContainsFunc(h.readers, func(o *member) bool { return o != m && len(o.held) < h.opts.BufferSize })
	return !slices.ContainsFunc(before, func(b *delivery) bool {
		left := others && m.has(d.key) && !m.has(b.key)
		return !b.removed && !left
	})
}

// has reports whether events of a key are in flight at the subscriber.
func (m *member) has(key string) bool {
	return key != "" && slices.ContainsFunc(m.held, func(d *delivery) bool { return d.key == key })
}

func (h *party) ack(rt *rapid.T) {
	m := h.one(rt)
	if len(m.held) == 0 {
		rt.Skip("nothing in flight")
	}
	places := rapid.SliceOfNDistinct(rapid.IntRange(0, len(m.held)-1), 1, 2, rapid.ID).Draw(rt, "places")
	numbers := make([]int64, len(places))
	for i, place := range places {
		numbers[i] = m.held[place].number
	}
	if err := m.AckNumber(h.ctx, numbers...); err != nil {
		rt.Fatalf("ack of %v: %v; %s", numbers, err, h.text())
	}
	last := slices.Max(places)
	for _, d := range m.held[:last+1] {
		d.acked, d.holder = true, nil
	}
	m.held = slices.Delete(m.held, 0, last+1)
}

// ackUnknown acknowledges a number that is not in flight, alone or beside one that is.
func (h *party) ackUnknown(rt *rapid.T) {
	m := h.one(rt)
	number := rapid.Int64Range(0, h.seen+5).Draw(rt, "number")
	if slices.ContainsFunc(m.held, func(d *delivery) bool { return d.number == number }) {
		rt.Skip("it is in flight")
	}
	numbers := []int64{number}
	if len(m.held) > 0 {
		numbers = append(numbers, m.held[0].number)
	}
	var unexpected *store.UnexpectedAckError
	if err := m.AckNumber(h.ctx, numbers...); !errors.As(err, &unexpected) || unexpected.Number != number {
		rt.Fatalf("ack of %v: %v; %s", numbers, err, h.text())
	}
	if err := m.Nack(h.ctx, store.Recorded{Number: number}); !errors.As(err, &unexpected) || unexpected.Number != number {
		rt.Fatalf("nack of %d: %v; %s", number, err, h.text())
	}
}

func (h *party) nack(rt *rapid.T) {
	m := h.one(rt)
	if len(m.held) == 0 {
		rt.Skip("nothing in flight")
	}
	place := rapid.IntRange(0, len(m.held)-1).Draw(rt, "place")
	if err := m.Nack(h.ctx, store.Recorded{Number: m.held[place].number}); err != nil {
		rt.Fatalf("nack: %v", err)
	}
	m.held[place].holder = nil
	m.held = slices.Delete(m.held, place, place+1)
}

func (h *party) leave(rt *rapid.T) {
	m := h.one(rt)
	if err := m.Close(); err != nil {
		rt.Fatalf("close: %v", err)
	}
	h.give(m)
	h.readers = slices.DeleteFunc(h.readers, func(o *member) bool { return o == m })
	if len(h.readers) == 0 {
		h.flushed(rt)
	}
}

// give makes what a subscriber has in flight nobody's.
func (h *party) give(m *member) {
	for _, d := range m.held {
		d.holder = nil
	}
	m.held = nil
}

// restart ends the process in good order, and starts another.
func (h *party) restart(rt *rapid.T) {
	if len(h.readers) == 0 {
		rt.Skip("nobody is there")
	}
	if err := h.process.Close(); err != nil {
		rt.Fatalf("close: %v", err)
	}
	h.disband()
	h.flushed(rt)
	h.start()
	h.join(rt)
}

// disband forgets the subscribers.
func (h *party) disband() {
	for _, m := range h.readers {
		h.give(m)
	}
	h.readers = nil
}

// die cuts the process off, and starts another, which has to wait for the lease.
func (h *party) die(rt *rapid.T) {
	if len(h.readers) == 0 || *h.deaths == 0 {
		rt.Skip("nobody is there, or enough have died")
	}
	*h.deaths--
	h.cable.cut.Store(true)
	dead, cut := h.process, h.cable
	h.disband()
	h.start()
	h.join(rt)
	_ = dead.Close() // it can't write what it would
	cut.cut.Store(true)
}

// reset sets the subscription to another checkpoint, which ends the lease of whoever runs it.
func (h *party) reset(rt *rapid.T) {
	if len(h.readers) == 0 {
		rt.Skip("nobody is there")
	}
	if err := h.process.Close(); err != nil {
		rt.Fatalf("close: %v", err)
	}
	h.disband()
	h.start()
	to := rapid.Int64Range(0, h.seen).Draw(rt, "to")
	if err := h.process.ResetSubscription(h.ctx, h.stream, reader, to); err != nil {
		rt.Fatalf("reset to %d: %v", to, err)
	}
	h.from(to)
	h.join(rt)
}

// from makes the model one of a subscription that goes on behind a checkpoint.
func (h *party) from(checkpoint int64) {
	h.known = checkpoint
	for _, d := range h.open {
		d.acked, d.holder = d.number <= checkpoint, nil
	}
}

// bounds returns between which numbers the checkpoint is, when nothing is left to be written: at least the last event
// that is acknowledged with all before it, and below the first that is not.
func (h *party) bounds() (least, most int64) {
	passed := true // no event before that may still be open
	for _, d := range h.open {
		switch {
		case d.acked && passed:
			least = d.number
		case !d.acked && d.removed && d.holder == nil:
			passed = false
		case !d.acked:
			return least, d.number - 1
		}
	}
	return least, h.seen
}

// saved returns the checkpoint in the database.
func (h *party) saved(rt *rapid.T) int64 {
	list, err := h.keeper.ListSubscriptions(h.ctx)
	if err != nil {
		rt.Fatalf("list: %v", err)
	}
	if len(list) == 0 {
		return 0
	}
	return list[0].Checkpoint
}

// flushed checks the checkpoint behind an end in good order.
func (h *party) flushed(rt *rapid.T) {
	least, most := h.bounds()
	if c := h.saved(rt); c < max(least, h.known) || c > most {
		rt.Fatalf("the checkpoint is %d behind an end in good order, not %d to %d; %s", c, least, most, h.text())
	}
}

// resumed takes over the checkpoint with which a process began.
func (h *party) resumed(rt *rapid.T) {
	h.check(rt)
	h.from(h.saved(rt))
}

// check checks that the checkpoint is true at any time, and never goes back.
func (h *party) check(rt *rapid.T) {
	_, most := h.bounds()
	c := h.saved(rt)
	if c < h.known || c > most {
		rt.Fatalf("the checkpoint is %d, not %d to %d; %s", c, h.known, most, h.text())
	}
	h.known = c
}

// drain takes and acknowledges until nothing is open, and ends.
func (h *party) drain(rt *rapid.T) {
	if len(h.readers) == 0 {
		h.join(rt)
	}
	left := 0
	for _, d := range h.open {
		if !d.acked {
			left++
		}
	}
	for range 2*left + 10 {
		if !slices.ContainsFunc(h.open, func(d *delivery) bool { return !d.acked && (!d.removed || d.holder != nil) }) {
			break
		}
		for _, m := range h.readers {
			if len(m.held) > 0 {
				if err := m.AckNumber(h.ctx, m.held[len(m.held)-1].number); err != nil {
					rt.Fatalf("ack: %v", err)
				}
				for _, d := range m.held {
					d.acked, d.holder = true, nil
				}
				m.held = nil
			}
			if sure(h.owed(m)) {
				h.nextOf(rt, m)
			}
		}
	}
	for _, d := range h.open {
		if !d.acked && !d.removed {
			rt.Fatalf("%d was never delivered; %s", d.number, h.text())
		}
	}
	if err := h.process.Close(); err != nil {
		rt.Fatalf("close: %v", err)
	}
	h.disband()
	h.flushed(rt)
}

// text shows the model.
func (h *party) text() string {
	var out strings.Builder
	fmt.Fprintf(&out, "on %s, known %d, seen %d:", h.stream, h.known, h.seen)
	for _, d := range h.open {
		state := "open"
		if i := slices.Index(h.readers, d.holder); d.holder != nil {
			state = fmt.Sprint("at ", i)
		} else if d.acked {
			state = "acked"
		}
		if d.removed {
			state += ", removed"
		}
		fmt.Fprintf(&out, " %d%s (%s)", d.number, d.key, state)
	}
	return out.String()
}

// cable is a storage that can be cut off: then its process is as good as dead.
type cable struct {
	store.SubscriptionStorage
	store.Storage
	cut atomic.Bool
}

var errCut = errors.New("the cable is cut")

func (c *cable) err() error {
	if c.cut.Load() {
		return errCut
	}
	return nil
}

func (c *cable) AcquireLease(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
	if err := c.err(); err != nil {
		return store.Lease{}, err
	}
	return c.SubscriptionStorage.AcquireLease(ctx, r)
}

func (c *cable) RenewLeases(ctx context.Context, owner string, ttl time.Duration) ([]store.Lease, error) {
	if err := c.err(); err != nil {
		return nil, err
	}
	return c.SubscriptionStorage.RenewLeases(ctx, owner, ttl)
}

func (c *cable) SaveCheckpoint(ctx context.Context, r store.CheckpointRequest) error {
	if err := c.err(); err != nil {
		return err
	}
	return c.SubscriptionStorage.SaveCheckpoint(ctx, r)
}

func (c *cable) ReleaseLease(ctx context.Context, r store.CheckpointRequest) error {
	if err := c.err(); err != nil {
		return err
	}
	return c.SubscriptionStorage.ReleaseLease(ctx, r)
}
