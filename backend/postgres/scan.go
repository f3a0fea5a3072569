package postgres

import (
	"database/sql"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

// scanner reads rows of events. The bytes of a page share a few large pieces of memory, and equal types one string.
type scanner struct {
	arena []byte
	types map[string]string
	into  []any // pointers to the fields below, in the order of the columns

	number                                         int64
	header, eventType, contentType, data, metadata sql.RawBytes
	stream                                         string

	// What scan finds in the header.
	seq, streamID, version int64
	idx                    int
}

// headerSize is the length of what the function header returns.
const headerSize = 84

// newScanner is for queries that return the header of an event, its type, content type, data and metadata, or those
// between its number and its stream's name.
func newScanner(numbered bool) *scanner {
	s := &scanner{types: map[string]string{}}
	if numbered {
		s.into = append(s.into, &s.number)
	}
	s.into = append(s.into, &s.header, &s.eventType, &s.contentType, &s.data, &s.metadata)
	if numbered {
		s.into = append(s.into, &s.stream)
	}
	return s
}

// scan reads a row, and event makes an event of it, before the next row is read.
func (s *scanner) scan(rows *sql.Rows) error {
	if err := rows.Scan(s.into...); err != nil {
		return err
	}
	h := s.header
	if len(h) != headerSize {
		return fmt.Errorf("postgres: the header of an event has %d bytes, not %d", len(h), headerSize)
	}
	s.seq, s.idx = int64(binary.BigEndian.Uint64(h)), int(binary.BigEndian.Uint32(h[8:]))
	s.streamID, s.version = int64(binary.BigEndian.Uint64(h[12:])), int64(binary.BigEndian.Uint64(h[20:]))
	return nil
}

// epoch is what the database counts times from, in microseconds since 1970.
const epoch = 946_684_800_000_000

// event sets all of e but its Number and Stream.
func (s *scanner) event(e *store.Recorded) {
	e.Version = s.version
	e.CreatedAt = time.UnixMicro(int64(binary.BigEndian.Uint64(s.header[28:])) + epoch).UTC()
	copy(e.ID[:], s.header[36:])
	copy(e.CausationID[:], s.header[52:])
	copy(e.CorrelationID[:], s.header[68:])
	e.Type = s.intern(s.eventType)
	if len(s.contentType) > 0 {
		e.ContentType = s.intern(s.contentType)
	}
	e.Data = s.keep(s.data)
	if s.metadata != nil {
		e.Metadata = s.keep(s.metadata)
	}
}

// keep copies bytes that are valid only until the next row.
func (s *scanner) keep(b []byte) []byte {
	if cap(s.arena)-len(s.arena) < len(b) || s.arena == nil {
		s.arena = make([]byte, 0, max(4<<10, min(4*cap(s.arena), 64<<10), len(b)))
	}
	at := len(s.arena)
	s.arena = append(s.arena, b...)
	return s.arena[at:len(s.arena):len(s.arena)]
}

func (s *scanner) intern(b []byte) string {
	if t, ok := s.types[string(b)]; ok {
		return t
	}
	t := string(b)
	s.types[t] = t
	return t
}
