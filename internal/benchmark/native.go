package benchmark

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/store"
)

// native is what the backend for PostgreSQL would be on a pgx pool instead of database/sql: the backend's own statements, sent by pgx, and read
// as the bytes that arrive. It makes the same events of them. It takes the plain course only: appends of one event, streams without
// links, a log without gaps.
type native struct {
	pool  *pgxpool.Pool
	texts *postgres.Backend // has the statements
	names map[int64]string
}

func newNative(pool *pgxpool.Pool, texts *postgres.Backend) *native {
	return &native{pool, texts, map[int64]string{}}
}

var errOneEvent = errors.New("native appends one event")

func (n *native) append(ctx context.Context, stream string, events int) error {
	if events != 1 {
		return errOneEvent
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	var version int64
	return n.pool.QueryRow(ctx, n.texts.MigrationQuery("append_one"),
		stream, nil, true, false, id.String(), nil, nil, "order.placed", nil, data, metadata, nil).Scan(&version)
}

func (n *native) readStream(ctx context.Context, stream string) (int, error) {
	total := 0
	for {
		d := decoder{page: make([]store.Recorded, 0, pageSize)}
		rows, err := n.pool.Query(ctx, n.texts.MigrationQuery("read_stream_forward"), stream, int64(total+1), int64(pageSize), int64(0), int64(math.MaxInt64))
		if err != nil {
			return total, err
		}
		for rows.Next() {
			v := rows.RawValues()
			e := d.event(v[0][8:], v[1:])
			e.Number, e.Stream = e.Version, stream
		}
		if err := rows.Err(); err != nil {
			return total, err
		}
		total += len(d.page)
		if len(d.page) < pageSize {
			return total, nil
		}
	}
}

func (n *native) readAll(ctx context.Context, after int64) (total int, last int64, err error) {
	for last = after; ; {
		page, err := n.page(ctx, last)
		if err != nil {
			return total, last, err
		}
		total, last = total+len(page), last+int64(len(page))
		if len(page) < pageSize {
			return total, last, nil
		}
	}
}

// page returns the events behind a position.
func (n *native) page(ctx context.Context, after int64) ([]store.Recorded, error) {
	var log []byte
	var era, server string
	if err := n.pool.QueryRow(ctx, n.texts.MigrationQuery("read_log_forward"), after+1, int64(pageSize)).Scan(&log, &era, &server); err != nil {
		return nil, err
	}
	var first, firstIdx, last int64
	for skip := true; len(log) > 0; log = log[24:] {
		position, seq := int64(binary.BigEndian.Uint64(log)), int64(binary.BigEndian.Uint64(log[8:]))
		each, appends := int64(binary.BigEndian.Uint32(log[16:])), int64(binary.BigEndian.Uint32(log[20:]))
		if end := position + each*appends; end <= after+1 {
			continue
		}
		if skip { // the run that holds the first position wanted
			skip, first, firstIdx = false, seq+(after+1-position)/each, (after+1-position)%each
		}
		if position <= after+int64(pageSize) {
			last = seq + appends - 1
		}
	}
	if last == 0 {
		return nil, nil
	}
	rows, err := n.pool.Query(ctx, n.texts.MigrationQuery("read_events_range"), first, firstIdx, last, int64(math.MaxInt32), int64(pageSize), int64(math.MaxInt64))
	if err != nil {
		return nil, err
	}
	d := decoder{page: make([]store.Recorded, 0, pageSize)}
	ids := make([]int64, 0, pageSize)
	var unknown []string
	asked := map[int64]bool{}
	for rows.Next() {
		v := rows.RawValues()
		id := int64(binary.BigEndian.Uint64(v[0][12:]))
		e := d.event(v[0][20:], v[1:])
		e.Number = after + int64(len(d.page))
		ids = append(ids, id)
		if _, known := n.names[id]; !known && !asked[id] {
			asked[id], unknown = true, append(unknown, strconv.FormatInt(id, 10))
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if err := n.learn(ctx, unknown); err != nil {
		return nil, err
	}
	for i := range d.page {
		d.page[i].Stream = n.names[ids[i]]
	}
	return d.page, nil
}

// learn asks for the names of streams.
func (n *native) learn(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	rows, err := n.pool.Query(ctx, n.texts.MigrationQuery("read_names"), "{"+strings.Join(ids, ",")+"}")
	if err != nil {
		return err
	}
	var id int64
	var name string
	_, err = pgx.ForEachRow(rows, []any{&id, &name}, func() error {
		n.names[id] = name
		return nil
	})
	if len(n.names) == 0 {
		return fmt.Errorf("no names of %v: %w", ids, err)
	}
	return err
}

// decoder makes events of rows. They share memory, as those of the backend do.
type decoder struct {
	page  []store.Recorded
	typ   string
	piece []byte
}

// event adds an event: a header as the function header makes it, then content type, data and metadata.
func (d *decoder) event(h []byte, v [][]byte) *store.Recorded {
	d.page = append(d.page, store.Recorded{})
	e := &d.page[len(d.page)-1]
	e.Version = int64(binary.BigEndian.Uint64(h))
	e.CreatedAt = time.UnixMicro(int64(binary.BigEndian.Uint64(h[8:])) + 946_684_800_000_000).UTC()
	copy(e.ID[:], h[16:])
	related := h[32] != 0
	if h = h[33:]; related {
		copy(e.CausationID[:], h)
		copy(e.CorrelationID[:], h[16:])
		h = h[32:]
	}
	if d.typ != string(h) {
		d.typ = string(h)
	}
	e.Type, e.ContentType = d.typ, string(v[0])
	e.Data, e.Metadata = d.keep(v[1]), d.keep(v[2])
	return e
}

// keep copies bytes.
func (d *decoder) keep(b []byte) []byte {
	if cap(d.piece)-len(d.piece) < len(b) {
		d.piece = make([]byte, 0, 64<<10+len(b))
	}
	at := len(d.piece)
	d.piece = append(d.piece, b...)
	return d.piece[at:len(d.piece):len(d.piece)]
}
