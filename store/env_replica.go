package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// otherHistory returns the error for a replica that has another event in a place than the primary.
func otherHistory(stream string, number int64) error {
	return fmt.Errorf("store: %w: it has another event at %d of %q than the primary: it does not follow that primary; rebuild it", ErrReplica, number, stream)
}

// endFor returns where the primary ends. It asks, unless the primary is known to have a number.
func (d *database) endFor(ctx context.Context, number int64) (int64, error) {
	if end := d.end.Load(); end >= number {
		return end, nil
	}
	end, err := d.storage.Head(ctx)
	if err == nil {
		d.end.Store(end)
	}
	return end, err
}

// holds reports whether the primary has what was seen in a stream, or has hard deleted it.
func (d *database) holds(ctx context.Context, stream string, streamID int64, seen SeenEvent) (bool, error) {
	if d.poller != nil && stream == All {
		end, at, err := d.poller.Poll(ctx, seen.Number)
		return end >= seen.Number && (at == uuid.Nil || at == seen.ID), err
	}
	r := ReadRequest{Stream: stream, StreamID: streamID, From: seen.Number, Limit: 1}
	page, next, err := d.storage.ReadFiltered(ctx, r, EventFilter{})
	switch {
	case isOfStream(err):
		return true, nil // the stream is looked at next
	case err != nil:
		return false, err
	case len(page) > 0 && page[0].Number == seen.Number:
		return page[0].ID == seen.ID, nil
	}
	return next > seen.Number, nil
}

// cut cuts off a page what is behind the end of the primary. A replica may show a commit before its primary does, which waits for
// standbys to confirm it; until then a checkpoint of it would count as one of events that are lost.
func cut(page []Recorded, next, end int64) ([]Recorded, int64) {
	if next-1 <= end {
		return page, next
	}
	for len(page) > 0 && page[len(page)-1].Number > end {
		page = page[:len(page)-1]
	}
	return page, end + 1
}

// confirm returns what of a page of the replica the primary shows, too, which ends at end. It makes sure that the primary has the last of
// these events in its place: a replica that follows another primary has others.
func (d *database) confirm(ctx context.Context, stream string, streamID int64, page []Recorded, next, end int64) ([]Recorded, int64, error) {
	page, next = cut(page, next, end)
	if len(page) == 0 {
		return page, next, nil
	}
	last := &page[len(page)-1]
	held, err := d.holds(ctx, stream, streamID, SeenEvent{last.Number, last.ID})
	if err == nil && !held {
		err = otherHistory(stream, last.Number)
	}
	return page, next, err
}
