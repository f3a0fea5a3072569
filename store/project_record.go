package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/eventstore-go/eventstore/store/internal/partition"
)

// PartitionKey returns a partition key in the form in which it is kept, and its hash, from 0 on, which chooses the
// partition: hash modulo their number. It is the same for ever: FNV-1a of 64 bits, mixed by the finalizer of MurmurHash3. For backends.
func PartitionKey(key string) (kept string, hash int64) { return partition.Key(key) }

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

// at returns the checkpoints of those partitions of the projection whose leases are in the list.
func (p ProjectionRecord) at(list []Lease) (at []partition.At) {
	ids := p.partitions()
	for _, l := range list {
		if n := slices.Index(ids, l.ID); n >= 0 {
			at = append(at, partition.At{Partition: n, Checkpoint: l.Checkpoint, StreamID: l.StreamID})
		}
	}
	return at
}

// same reports whether both are records of one projection, which was not deleted and created again in between.
func (p ProjectionRecord) same(other ProjectionRecord) bool {
	return p.CreatedAt.Equal(other.CreatedAt)
}

// layouts returns what earlier generations had applied.
func (p ProjectionRecord) layouts() (list []partition.Layout, err error) {
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

// setLayouts notes what earlier generations had applied.
func (p *ProjectionRecord) setLayouts(list []partition.Layout) error {
	p.Applied = ""
	if len(list) == 0 {
		return nil
	}
	text, err := json.Marshal(list)
	p.Applied = string(text)
	return err
}

// chooser chooses the events of a partition.
func (p ProjectionRecord) chooser(n int) (partition.Chooser, error) {
	before, err := p.layouts()
	return partition.Chooser{Partition: n, Partitions: p.Partitions, Before: before}, err
}

// next begins the next generation of a projection, with other partitions than those that were at these checkpoints. It
// returns where all of them begin.
func (p *ProjectionRecord) next(partitions int, were []Lease) (checkpoint, streamID int64, err error) {
	before, err := p.layouts()
	if err != nil {
		return 0, 0, err
	}
	after, checkpoint, streamID, err := partition.Next(p.Partitions, p.at(were), before)
	if err != nil { // where one was is not known: better none than events applied twice
		return 0, 0, &ProjectionError{p.Name, fmt.Errorf("%w: %w", err, ErrSubscriptionNotFound)}
	}
	p.Generation++
	p.Partitions = partitions
	return checkpoint, streamID, p.setLayouts(after)
}

// furthest returns how far some key of the projection has come at most, whose partitions are at these checkpoints.
func (p ProjectionRecord) furthest(list []Lease) (most int64, err error) {
	for _, l := range list {
		most = max(most, l.Checkpoint)
	}
	before, err := p.layouts()
	return partition.Furthest(most, before), err
}

// readProjection returns the projection called name, or ErrProjectionNotFound.
func readProjection(ctx context.Context, storage ProjectionStorage, name string) (ProjectionRecord, error) {
	list, err := storage.ReadProjections(ctx, name)
	if err != nil {
		return ProjectionRecord{}, err
	}
	if len(list) == 0 {
		return ProjectionRecord{}, &ProjectionError{name, ErrProjectionNotFound}
	}
	return list[0], nil
}
