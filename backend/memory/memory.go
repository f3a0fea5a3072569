// Package memory keeps events in memory, for tests and as the model that other backends are compared with. When the process ends,
// everything is lost.
//
//	es := store.New(memory.New(), nil)
//
// # Start here
//
//   - [New] returns a [Backend]. It has no options, and needs no migration.
//
// # What it implements
//
// [Backend] is a [store.Storage]. It also implements:
//   - [store.SubscriptionStorage]: persistent subscriptions, as long as the process lives
//   - [store.ParkedStorage]: Consume parks events that fail
//   - [store.CorrelationStorage]: find the events of a correlation
//   - [store.MultiAppender]: append to several streams at once
//   - [store.PastStorage]: find the last position before a time
//   - [store.TypeIndex]: find the events of some types
//   - [store.Recycler]: reuse the memory of pages
//
// There are no transactions, and so no projections.
package memory

import (
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

var (
	_ store.Storage       = (*Backend)(nil)
	_ store.Recycler      = (*Backend)(nil)
	_ store.MultiAppender = (*Backend)(nil)
	_ store.PastStorage   = (*Backend)(nil)
)

// Backend is a [store.Storage] in memory. It is safe for concurrent use.
type Backend struct {
	mu sync.RWMutex

	streams map[string]*stream
	lastID  int64
	events  map[uuid.UUID]*event
	all     []*event // by position-1; nil where an event was hard deleted
	times   []int64  // by position-1: when the position was given, in microseconds since 1970; they never go down

	subscriptions map[store.SubscriptionID]*subscription
	snapshots     map[string]store.RecordedSnapshot // by source
	parked        map[store.SubscriptionID]*parked
	lastEpoch     int64
}

type stream struct {
	info    store.StreamInfo
	entries []entry // by version, without gaps but for hard-deleted events of other streams
}

// entry is an event's place in a stream, its own or one that it is linked to.
type entry struct {
	version int64
	event   *event
	at      time.Time // when it came there
}

// event is stored once, whatever shows it.
type event struct {
	recorded store.Recorded // Number is the position
	append   *appended
	origin   *stream
	linkedTo []*stream
}

// appended is one append, by which a retry is known.
type appended struct {
	stream      *stream
	first, last int64
}

// New returns an empty backend.
func New() *Backend {
	return &Backend{
		streams: map[string]*stream{}, events: map[uuid.UUID]*event{}, subscriptions: map[store.SubscriptionID]*subscription{},
		parked:    map[store.SubscriptionID]*parked{},
		snapshots: map[string]store.RecordedSnapshot{},
	}
}

// state is what writes are judged against. The caller holds b.mu.
func (b *Backend) state(name string) store.State {
	s, ok := b.streams[name]
	if !ok {
		return store.State{}
	}
	return store.State{Exists: true, Version: s.info.Version, Deleted: s.info.Status() == store.Deleted}
}

// open returns the stream to be written to, a new one if need be. The caller holds b.mu.
func (b *Backend) open(name string, createdAt time.Time) *stream {
	s, ok := b.streams[name]
	if !ok {
		b.lastID++
		s = &stream{info: store.StreamInfo{Stream: name, ID: b.lastID, CreatedAt: createdAt}}
		b.streams[name] = s
	}
	return s
}

func (s *stream) add(e *event, at time.Time) {
	s.info.Version++
	s.entries = append(s.entries, entry{s.info.Version, e, at})
}

// now is the clock of this backend, as precise as a database's.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
