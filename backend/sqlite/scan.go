package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/backend/internal/page"
	"github.com/eventstore-go/eventstore/store"
)

// scanner reads rows of events: number, stream, version, and the columns of the event.
type scanner struct {
	page   []store.Recorded
	more   bool // the page has ended because of the request's Bytes
	n      int  // events that count, with so many bytes
	bytes  int
	asked  store.ReadRequest
	own    string // the stream of events that come without its name, whose number is their version
	memory page.Memory
	into   []any // pointers to the fields below, in the order of the columns
	headed bool  // the first row describes the stream, not an event
	found  store.StreamInfo

	number, version, created                                         int64
	stream, id, eventType, contentType, causation, correlation, data sql.RawBytes
	metadata                                                         optional
}

// optional tells empty bytes from null, which for [sql.RawBytes] depends on the driver.
type optional struct {
	bytes []byte // valid until the next row
	there bool
}

// Scan implements [sql.Scanner].
func (o *optional) Scan(value any) error {
	bytes, ok := value.([]byte)
	if value != nil && !ok {
		return fmt.Errorf("bytes wanted, not a %T", value)
	}
	o.bytes, o.there = bytes, value != nil
	return nil
}

// newScanner is for the page that r asks for. Events without a stream are of the stream own.
func newScanner(own string, r store.ReadRequest) *scanner {
	s := &scanner{own: own, asked: r}
	s.into = []any{&s.number, &s.stream, &s.version, &s.id, &s.eventType, &s.causation, &s.correlation, &s.contentType, &s.data,
		&s.metadata, &s.created}
	return s
}

// errFull says that the page has no room for the row. SQLite has not looked at those behind it.
var errFull = errors.New("the page is full")

// room returns errFull if the row does not fit, and leaves out the data of an event that the caller has.
func (s *scanner) room() error {
	if s.asked.Overlaps(s.number) {
		s.data, s.metadata = nil, optional{}
		return nil
	}
	size := len(s.data) + len(s.metadata.bytes)
	if !s.asked.Fits(s.n, s.bytes, size) {
		s.more = true
		return errFull
	}
	s.n++
	s.bytes += size
	return nil
}

// scan adds a row to the page, or returns errFull.
func (s *scanner) scan(rows *sql.Rows) error {
	if err := rows.Scan(s.into...); err != nil {
		return err
	}
	if s.headed && s.found.ID == 0 {
		s.found.ID, s.found.Version = s.created, s.version
		return nil
	}
	if err := s.room(); err != nil {
		return err
	}
	var e *store.Recorded
	s.page, e = page.Add(s.page, s.asked.Limit)
	e.Number, e.Stream, e.Version = s.number, s.own, s.number
	e.Type, e.Data, e.CreatedAt = s.memory.String(s.eventType), s.memory.Keep(s.data), fromMicros(s.created)
	if s.version > 0 {
		e.Stream, e.Version = s.memory.String(s.stream), s.version
	}
	if len(s.contentType) > 0 {
		e.ContentType = s.memory.String(s.contentType)
	}
	if s.metadata.there {
		e.Metadata = s.memory.Keep(s.metadata.bytes)
	}
	if copy(e.ID[:], s.id) != len(e.ID) {
		return fmt.Errorf("an event id of %d bytes", len(s.id))
	}
	copy(e.CausationID[:], s.causation)
	copy(e.CorrelationID[:], s.correlation)
	return nil
}

// Times are stored as microseconds since 1970.

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }

// nullID is an id that may be missing.
func nullID(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id[:]
}
