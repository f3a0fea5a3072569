// Package partition computes which partition of a projection applies an event, and which process runs which partition.
//
// A partition key belongs to one partition: its hash modulo their number. When the number of partitions changes, the new ones
// begin at the lowest checkpoint of the old ones. A [Layout] records what the old ones had applied beyond that, so that each event is
// applied by exactly one old or new partition. [Share] deals partitions out to processes; their shares differ by one at most.
// [Roster] decides what a process does about a projection that was changed meanwhile.
//
// The package does no I/O, starts no goroutine, and has no lock and no clock. None of its types is safe for concurrent use.
package partition

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxKey is the length up to which a partition key is kept as it is, so that it can be indexed.
const maxKey = 1000 // bytes

// Key returns a partition key in the form in which it is kept, and its hash, from 0 on. Neither ever changes: the hash is FNV-1a
// of 64 bits, mixed by the finalizer of MurmurHash3. A key that is too long, or no text, is kept as its beginning and the hash.
func Key(key string) (kept string, hash int64) {
	h := uint64(14695981039346656037)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	hash = int64(h >> 1) //nolint:gosec // 63 bits
	text := strings.ToValidUTF8(strings.ReplaceAll(key, "\x00", ""), "")
	if len(key) > maxKey || text != key {
		key = fmt.Sprintf("%.*s #%016x", maxKey/8, text, h)
	}
	return key, hash
}

// Of returns the partition, of n, of a key with the hash.
func Of(hash int64, n int) int { return int(hash % int64(n)) }

// Layout is what the partitions of an earlier generation had applied when others took their place. An event was applied then if
// its number is not above the checkpoint of the partition that had its key.
type Layout struct {
	StreamID    int64   `json:"stream_id"`
	Checkpoints []int64 `json:"checkpoints"` // by partition
}

// applied reports whether an event of a key with the hash was applied.
func (l Layout) applied(hash, number, streamID int64) bool {
	return l.StreamID == streamID && number <= l.Checkpoints[Of(hash, len(l.Checkpoints))]
}

// Chooser chooses the events of a partition.
type Chooser struct {
	Partition, Partitions int
	Before                []Layout // of earlier generations
}

// All reports whether c chooses every event.
func (c Chooser) All() bool { return c.Partitions == 1 && len(c.Before) == 0 }

// Mine reports whether the partition applies an event of a key with the hash: the key is its own, and no partition of an earlier
// generation has applied the event.
func (c Chooser) Mine(hash, number, streamID int64) bool {
	return Of(hash, c.Partitions) == c.Partition &&
		!slices.ContainsFunc(c.Before, func(l Layout) bool { return l.applied(hash, number, streamID) })
}

// At is the checkpoint of a partition.
type At struct {
	Partition            int
	Checkpoint, StreamID int64
}

// ErrMissing says that the checkpoint of a partition is not known.
var ErrMissing = errors.New("a partition is missing")

// Next replaces the n partitions that were at these checkpoints. It returns the checkpoint at which all new ones begin, whatever
// their number, and the layouts that they need, given those that the old ones needed. Layouts of a stream that was deleted since,
// and those of which nothing is above the checkpoint, are dropped. The error is [ErrMissing]: without that checkpoint, events would
// be applied twice.
func Next(n int, were []At, before []Layout) (after []Layout, checkpoint, streamID int64, err error) {
	if len(were) != n {
		return nil, 0, 0, ErrMissing
	}
	for _, at := range were {
		streamID = max(streamID, at.StreamID) // a stream that is created again gets a higher one
	}
	last := Layout{StreamID: streamID, Checkpoints: make([]int64, n)}
	for _, at := range were {
		if at.StreamID == streamID {
			last.Checkpoints[at.Partition] = at.Checkpoint
		}
	}
	checkpoint = slices.Min(last.Checkpoints)
	for _, l := range slices.Concat(before, []Layout{last}) {
		if l.StreamID == streamID && slices.Max(l.Checkpoints) > checkpoint {
			after = append(after, l)
		}
	}
	return after, checkpoint, streamID, nil
}

// Furthest returns the number up to which some key was applied at most: most, by the partitions that are there, or further by those
// before them.
func Furthest(most int64, before []Layout) int64 {
	for _, l := range before {
		most = max(most, slices.Max(l.Checkpoints))
	}
	return most
}

// Share returns the partitions, of n, that me runs, in order: those whose number modulo the number of members is its place among
// them. It returns nothing if me is not a member.
func Share(members []string, me string, n int) (mine []int) {
	members = slices.Sorted(slices.Values(members))
	place, ok := slices.BinarySearch(members, me)
	if !ok {
		return nil
	}
	for p := place; p < n; p += len(members) {
		mine = append(mine, p)
	}
	return mine
}
