package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store/internal/partition"
)

// WaitFor waits until a projection has applied the append that gave result, which must be committed: so that a reader
// finds in the read model what it has just written. Of a projection that is partitioned by streams, it waits for the
// partition of the append's stream only. If these are links, it waits for all events that they point to, in the partitions
// of the streams that those events come from.
//
// The error is ctx's; [ErrParked] if the projection has put one of the events aside, unless it is about to apply it again, see
// [Store.ReplayParked]; [ErrEventNotFound] if the append is not in the store; [ErrInvalid] if the projection is on another
// stream; [ErrProjectionNotFound]; or the database's. A projection that is not there may be starting: WaitFor waits for it
// as long as this Store runs it, or else for LeaseTTL at most.
func (s *Store) WaitFor(ctx context.Context, projection string, result AppendResult) error {
	storage, err := s.manageProjection(ctx, projection)
	if err != nil {
		return err
	}
	record, err := s.created(ctx, storage, projection)
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
	return s.again(ctx, func() (bool, error) {
		parked, err := storage.ReadParked(ctx, ParkedRequest{
			Projection: projection, Numbers: wanted.numbers, AfterNumber: wanted.first - 1, AfterID: uuid.Max, ToNumber: wanted.last, Limit: DefaultPageSize,
		})
		for i := range parked {
			p := &parked[i]
			stays, err := staysParked(ctx, storage, p)
			if err != nil {
				return false, err
			}
			if stays {
				return false, &ProjectionError{projection, fmt.Errorf("event %d of %q: %w: %s", p.Version, p.Stream, ErrParked, p.Error)}
			}
		}
		return len(parked) == 0, err
	})
}

// staysParked reports whether a parked event is not applied again by itself: it has failed, or is behind one of its key that has.
func staysParked(ctx context.Context, storage ProjectionStorage, p *ParkedEvent) (bool, error) {
	if p.Failed {
		return true, nil
	}
	r := ParkedRequest{Projection: p.Projection, Keys: []string{p.Key}, AfterNumber: -1, ToNumber: p.Number - 1, Limit: DefaultPageSize}
	for {
		page, err := storage.ReadParked(ctx, r)
		if err != nil || slices.ContainsFunc(page, func(p ParkedEvent) bool { return p.Failed }) {
			return err == nil, err
		}
		if len(page) < r.Limit {
			return false, nil
		}
		last := page[len(page)-1]
		r.AfterNumber, r.AfterID = last.Number, last.ID
	}
}

// created waits for a projection that may be starting, and returns it.
func (s *Store) created(ctx context.Context, storage ProjectionStorage, projection string) (record ProjectionRecord, err error) {
	until := time.Now().Add(s.hub.leaseTTL)
	var missing error
	err = s.again(ctx, func() (bool, error) {
		record, err = readProjection(ctx, storage, projection)
		if !errors.Is(err, ErrProjectionNotFound) {
			return true, err
		}
		missing = err
		if !time.Now().Before(until) && !s.hub.projects(projection) {
			return true, err
		}
		return false, nil
	})
	if err != nil && ctx.Err() != nil && missing != nil {
		err = fmt.Errorf("%w: %w", missing, ctx.Err())
	}
	return record, err
}

// again calls f until it is done, or returns an error: when a projection of this Store has made progress, and now and then, since
// another process may run it.
func (s *Store) again(ctx context.Context, f func() (done bool, err error)) error {
	for wait := waitLeast; ; wait = min(2*wait, waitMost) {
		told := s.hub.progress.next()
		if done, err := f(); done || err != nil {
			return err
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

// awaited describes the events of an append in the numbers of a projection's stream.
type awaited struct {
	first, last int64
	numbers     []int64  // nil: all numbers from first to last
	streams     []string // wait for the partitions of these streams; nil: for all partitions
}

// awaited returns the events to wait for. The events of an append have adjacent positions in All; the events that links point
// to may be anywhere.
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
	if _, err := s.created(ctx, storage, projection); err != nil {
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
	return s.again(ctx, func() (bool, error) {
		record, err := readProjection(ctx, storage, projection)
		if err != nil {
			return false, err
		}
		if record.ReplacedBy != "" {
			return false, &ProjectionError{projection, fmt.Errorf("%w, %q", ErrProjectionReplaced, record.ReplacedBy)}
		}
		list, err := reached(ctx, storage, projection)
		if err != nil {
			return false, err
		}
		if len(streams) > 0 {
			list = only(list, record, streams)
		}
		if !atLeast(list, number) {
			return false, nil
		}
		return s.countsIn(ctx, record.Stream, list, number)
	})
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
		wanted[p.partition(partition.Of(hash, p.Partitions))] = true
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
