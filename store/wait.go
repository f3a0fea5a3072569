package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// progress tells whoever waits for a projection that one of this Store has applied something.
type progress struct {
	mu      sync.Mutex
	waiting chan struct{} // closed at the next progress; nil if nobody waits
}

// next returns a channel that is closed at the next progress.
func (p *progress) next() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting = make(chan struct{})
	}
	return p.waiting
}

// tell tells of progress.
func (p *progress) tell() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting != nil {
		close(p.waiting)
		p.waiting = nil
	}
}

// WaitFor waits until a projection has applied the append that gave result, which must be committed: so that a reader
// finds in the read model what it has just written. Of a projection that is partitioned by streams, it waits for the
// partition of the append's stream only. If these are links, it waits for all events that they point to, in the partitions
// of the streams that those events come from.
//
// The error is ctx's; [ErrParked] if the projection has put one of the events aside; [ErrEventNotFound] if the append
// is not in the store; [ErrInvalid] if the projection is on another stream; [ErrProjectionNotFound]; or the database's.
func (s *Store) WaitFor(ctx context.Context, projection string, result AppendResult) error {
	storage, err := s.manageProjection(ctx, projection)
	if err != nil {
		return err
	}
	record, err := readProjection(ctx, storage, projection)
	if err != nil {
		return err
	}
	wanted, err := s.awaited(ctx, storage, record, result)
	if err != nil {
		return err
	}
	if err := s.waitUntil(ctx, storage, projection, wanted.streams, wanted.last); err != nil {
		return err
	}
	parked, err := storage.ReadParked(ctx, ParkedRequest{
		Projection: projection, Numbers: wanted.numbers, AfterNumber: wanted.first - 1, AfterID: uuid.Max, ToNumber: wanted.last, Limit: 1,
	})
	if err == nil && len(parked) > 0 {
		err = &ProjectionError{projection, fmt.Errorf("event %d of %q: %w: %s", parked[0].Version, parked[0].Stream, ErrParked, parked[0].Error)}
	}
	return err
}

// awaited are the events of an append, as a projection counts them.
type awaited struct {
	first, last int64
	numbers     []int64  // nil: all numbers from first to last
	streams     []string // those whose partitions apply the events; nil: all
}

// awaited returns the events that result stands for. Those of an append have adjacent positions, those of a link may be
// anywhere in All.
func (s *Store) awaited(ctx context.Context, storage ProjectionStorage, record ProjectionRecord, result AppendResult) (awaited, error) {
	w := awaited{first: result.First, last: result.Last}
	if record.Stream != All && record.Stream != result.Stream {
		return w, &InvalidError{Field: "result", Reason: fmt.Sprintf("is of stream %q, but projection %q is on %q", result.Stream, record.Name, record.Stream)}
	}
	if record.Stream != All && !record.ByStream {
		return w, nil
	}
	places, err := storage.Places(ctx, result.Stream, result.First, result.Last)
	if err != nil {
		return w, err
	}
	if len(places) == 0 {
		return w, fmt.Errorf("store: version %d of %q: %w: it is not committed, or was deleted", result.Last, result.Stream, ErrEventNotFound)
	}
	numbers := make([]int64, len(places))
	for i, p := range places {
		numbers[i] = p.Position
		if record.ByStream && !slices.Contains(w.streams, p.Stream) {
			w.streams = append(w.streams, p.Stream)
		}
	}
	if record.Stream == All {
		w.first, w.last = slices.Min(numbers), slices.Max(numbers)
		if w.last-w.first+1 != int64(len(numbers)) {
			w.numbers = numbers
		}
	}
	return w, nil
}

// WaitForPosition waits until all partitions of a projection have come to the event with that number in the projection's
// stream, or behind it. What is parked counts as passed. Errors are those of WaitFor.
func (s *Store) WaitForPosition(ctx context.Context, projection string, number int64) error {
	storage, err := s.manageProjection(ctx, projection)
	if err != nil {
		return err
	}
	return s.waitUntil(ctx, storage, projection, nil, number)
}

// Bounds of how often a projection is looked at that is waited for, and that another process may run.
const (
	waitLeast = 5 * time.Millisecond
	waitMost  = 100 * time.Millisecond
)

// waitUntil waits until the partitions that have the streams, or without streams all, have come to number.
func (s *Store) waitUntil(ctx context.Context, storage ProjectionStorage, projection string, streams []string, number int64) error {
	for wait := waitLeast; ; wait = min(2*wait, waitMost) {
		told := s.hub.progress.next()
		record, err := readProjection(ctx, storage, projection)
		if err != nil {
			return err
		}
		if record.ReplacedBy != "" {
			return &ProjectionError{projection, fmt.Errorf("%w, %q", ErrProjectionReplaced, record.ReplacedBy)}
		}
		list, err := reached(ctx, storage, projection)
		if err != nil {
			return err
		}
		if len(streams) > 0 {
			list = only(list, record, streams)
		}
		if atLeast(list, number) {
			if there, err := s.countsIn(ctx, record.Stream, list, number); err != nil || there {
				return err
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-told:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		timer.Stop()
	}
}

// countsIn reports whether the checkpoints, which are number or more, count in the stream as it is, and not in one of the
// name that was hard deleted.
func (s *Store) countsIn(ctx context.Context, stream string, list []Lease, number int64) (bool, error) {
	if stream == All || number <= 0 {
		return true, nil
	}
	now, err := s.end(ctx, stream)
	return err == nil && (now.ID == 0 || !slices.ContainsFunc(list, func(l Lease) bool { return l.StreamID != now.ID })), err
}

// only returns the leases of the partitions that have the streams, or nothing if one of them is not there.
func only(list []Lease, p ProjectionRecord, streams []string) (found []Lease) {
	wanted := map[SubscriptionID]bool{}
	for _, stream := range streams {
		_, hash := PartitionKey(stream)
		wanted[p.partition(int(hash%int64(p.Partitions)))] = true
	}
	for _, l := range list {
		if wanted[l.ID] {
			found = append(found, l)
		}
	}
	if len(found) < len(wanted) {
		return nil
	}
	return found
}
