package storetest

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/google/uuid"
)

// IDs returns a source of ids for [store.Options].NewID: 00000000-0000-7000-8000-000000000001, then …02, and so on. They are valid
// UUIDs of version 7. A Store of its own for each test makes each test see the same ids. The source is safe for concurrent use.
func IDs() func() (uuid.UUID, error) {
	var mu sync.Mutex
	var n uint64
	return func() (uuid.UUID, error) {
		mu.Lock()
		defer mu.Unlock()
		n++
		return ID(n), nil
	}
}

// ID returns the n-th id of [IDs], from 1: what a test expects where an event names another as its cause.
func ID(n uint64) uuid.UUID {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[8:], n)
	id[6], id[8] = 0x70, 0x80|id[8]&0x3f // version 7, variant 10
	return id
}

// Clock returns a clock for [store.Options].Now that begins at start, and is later by step at each call; with a step of 0 it stands
// still. It is safe for concurrent use.
func Clock(start time.Time, step time.Duration) func() time.Time {
	var mu sync.Mutex
	next := start
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now := next
		next = next.Add(step)
		return now
	}
}
