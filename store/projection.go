package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxPartitionKey is how long a partition key may be, so that it can be indexed. Of longer ones the hash counts.
const maxPartitionKey = 1000 // bytes

// PartitionKey returns a partition key in the form in which it is kept, and its hash, from 0 on, which chooses the
// partition: hash modulo their number. It is the same for ever: FNV-1a of 64 bits, mixed by the finalizer of MurmurHash3.
func PartitionKey(key string) (kept string, hash int64) {
	h := uint64(14695981039346656037)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	hash = int64(h >> 1) //nolint:gosec // 63 bits
	if len(key) > maxPartitionKey || !utf8.ValidString(key) || strings.ContainsRune(key, 0) {
		key = strings.ToValidUTF8(strings.ReplaceAll(key, "\x00", ""), "")
		key = fmt.Sprintf("%.*s #%016x", maxPartitionKey/8, key, h)
	}
	return key, hash
}

// partitionPrefix begins the names of the subscriptions that are partitions of projections.
const partitionPrefix = "$"

// partition returns the subscription that is a partition of the projection.
func (p ProjectionRecord) partition(n int) SubscriptionID {
	return SubscriptionID{Stream: p.Stream, Name: fmt.Sprintf("%s%s/%d/%d", partitionPrefix, p.Name, p.Generation, n)}
}

// partitions returns all of them.
func (p ProjectionRecord) partitions() []SubscriptionID {
	ids := make([]SubscriptionID, p.Partitions)
	for n := range ids {
		ids[n] = p.partition(n)
	}
	return ids
}

// same reports whether both are records of one projection, which was not deleted and created again in between.
func (p ProjectionRecord) same(other ProjectionRecord) bool {
	return p.CreatedAt.Equal(other.CreatedAt)
}

// layout is what the partitions of an earlier generation had applied when others took their place. An event of a key
// was applied then if its number is not above the checkpoint of the partition that had the key.
type layout struct {
	StreamID    int64   `json:"stream_id"`
	Checkpoints []int64 `json:"checkpoints"` // by partition
}

// applied reports whether an event of a key with the hash was applied.
func (l layout) applied(hash, number int64) bool {
	return number <= l.Checkpoints[hash%int64(len(l.Checkpoints))]
}

// layouts returns what earlier generations had applied.
func (p ProjectionRecord) layouts() (list []layout, err error) {
	if p.Applied == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(p.Applied), &list); err != nil {
		return nil, fmt.Errorf("store: projection %q: what its earlier partitions had applied: %w", p.Name, err)
	}
	for _, l := range list {
		if len(l.Checkpoints) == 0 {
			return nil, fmt.Errorf("store: projection %q: what its earlier partitions had applied is %q", p.Name, p.Applied)
		}
	}
	return list, nil
}

// next begins the next generation of a projection, with other partitions than those that were at these checkpoints. It
// returns where all of them begin: at the lowest checkpoint; what was applied beyond it is noted in the record.
func (p *ProjectionRecord) next(partitions int, were []Lease) (checkpoint, streamID int64, err error) {
	if len(were) != p.Partitions { // where it was is not known: better none than events applied twice
		return 0, 0, &ProjectionError{p.Name, fmt.Errorf("a partition is missing: %w", ErrSubscriptionNotFound)}
	}
	list, err := p.layouts()
	if err != nil {
		return 0, 0, err
	}
	last := layout{Checkpoints: make([]int64, p.Partitions)}
	for _, l := range were {
		last.StreamID = max(last.StreamID, l.StreamID) // a stream that is created again gets a higher one
	}
	for _, l := range were {
		if n := slices.Index(p.partitions(), l.ID); n >= 0 && l.StreamID == last.StreamID {
			last.Checkpoints[n] = l.Checkpoint
		}
	}
	checkpoint = slices.Min(last.Checkpoints)
	list = slices.DeleteFunc(append(list, last), func(l layout) bool {
		return l.StreamID != last.StreamID || slices.Max(l.Checkpoints) <= checkpoint
	})
	p.Applied = ""
	if len(list) > 0 {
		text, err := json.Marshal(list)
		if err != nil {
			return 0, 0, err
		}
		p.Applied = string(text)
	}
	p.Generation++
	p.Partitions = partitions
	return checkpoint, last.StreamID, nil
}
