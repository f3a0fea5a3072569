package postgres

import (
	"context"
	"database/sql"
	"math"

	"github.com/eventstore-go/eventstore/backend/internal/page"
	"github.com/eventstore-go/eventstore/store"
)

// A page is bounded in bytes in two steps. The statement that reads it sends no data of events that are larger than their share,
// so that it sends no more than the page may have. Only if there are such events a second statement, read_large, fetches their
// data, one event after the other, until the page is full. Small events cost one comparison each.

// smallest is a size that every event may have: a page of many events has that many times more than it should, at most, on its way
// to this process.
const smallest = 256

// inline is the size up to which a statement of that many rows sends the data of an event.
func inline(r store.ReadRequest, rows int) int64 {
	if r.Bytes == 0 {
		return math.MaxInt64
	}
	return int64(max(r.Bytes/max(rows, 1), smallest))
}

// room is the space that is left in a page that is read in several parts.
type room struct {
	request  store.ReadRequest
	n, bytes int // of the events that count
}

// roomBehind returns the room that these events leave in a page.
func roomBehind(r store.ReadRequest, events []store.Recorded) room {
	left := room{request: r}
	for i := range events {
		if e := &events[i]; !r.Overlaps(e.Number) {
			left.n++
			left.bytes += e.Size()
		}
	}
	return left
}

// fill fetches the data of the large events in the next part of a page, and cuts off what the page has no room for, which it
// reports. If nothing is left, and the page has no events that count, then its first event was hard deleted between two statements: the
// page must be read again.
func (b *Backend) fill(ctx context.Context, r *room, events []store.Recorded) (kept []store.Recorded, cut bool, err error) {
	if r.request.Bytes == 0 {
		return events, false, nil
	}
	if err := b.fetchLarge(ctx, *r, events); err != nil {
		return nil, false, err
	}
	for i := range events {
		e := &events[i]
		if r.request.Overlaps(e.Number) {
			continue
		}
		if e.Data == nil || !r.request.Fits(r.n, r.bytes, e.Size()) {
			if r.n == 0 {
				i = 0
			}
			return events[:i], true, nil
		}
		r.n++
		r.bytes += e.Size()
	}
	return events, false, nil
}

// fetchLarge fetches the data of the large events among those that the page has room for.
func (b *Backend) fetchLarge(ctx context.Context, r room, events []store.Recorded) error {
	var large []*store.Recorded
	var ids []string
	var before []int64 // bytes of the page before each of them, beside those of large ones
	first := false     // the first one is the first event of the page
	for i := range events {
		e := &events[i]
		if r.request.Overlaps(e.Number) {
			continue
		}
		if e.Data == nil {
			first = first || r.n == 0
			large, ids, before = append(large, e), append(ids, e.ID.String()), append(before, int64(r.bytes))
		} else if !r.request.Fits(r.n, r.bytes, e.Size()) {
			break
		}
		r.n++
		r.bytes += e.Size()
	}
	if len(large) == 0 {
		return nil
	}
	var memory page.Memory
	return b.each(ctx, "read_large", func(rows *sql.Rows) error {
		var nr int
		var data, metadata sql.RawBytes
		if err := rows.Scan(&nr, &data, &metadata); err != nil {
			return err
		}
		if err := b.unhex((*[]byte)(&data), (*[]byte)(&metadata)); err != nil {
			return err
		}
		e := large[nr-1]
		e.Data = memory.Keep(data)
		if metadata != nil {
			e.Metadata = memory.Keep(metadata)
		}
		return nil
	}, textArray(ids), intArray(before), int64(r.request.Bytes), first)
}
