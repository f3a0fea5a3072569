package postgres

import (
	"database/sql"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/eventstore-go/eventstore/backend/internal/page"
	"github.com/eventstore-go/eventstore/store"
)

// scanner reads rows of events.
type scanner struct {
	backend *Backend
	memory  page.Memory
	into    []any // pointers to the fields below, in the order of the columns

	number                              int64
	header, contentType, data, metadata sql.RawBytes
	stream                              string

	// What scan finds before the header: all of these if placed, the stream's id if owned.
	placed, owned bool
	seq, streamID int64
	idx           int

	most, kept int // bytes of data and metadata that are kept; most is 0 for any number
}

// The lengths of what the functions place and header return; the latter without ids that may be missing, and the type.
const (
	placeSize  = 8 + 4 + 8
	headerSize = 8 + 8 + 16 + 1
)

// newScanner is for queries that return the header of an event, its content type, data and metadata, or those between its
// number and its stream's name. It keeps data and metadata of that many bytes, or of any number if most is 0.
func (b *Backend) newScanner(numbered bool, most int) *scanner {
	s := &scanner{backend: b, most: most}
	if numbered {
		s.into = append(s.into, &s.number)
	}
	s.into = append(s.into, &s.header, &s.contentType, &s.data, &s.metadata)
	if numbered {
		s.into = append(s.into, &s.stream)
	}
	return s
}

// newPlacedScanner is for queries that return the place of an event before its header, in one value.
func (b *Backend) newPlacedScanner(most int) *scanner {
	s := b.newScanner(false, most)
	s.placed = true
	return s
}

// scan reads a row, and event makes an event of it, before the next row is read.
func (s *scanner) scan(rows *sql.Rows) error {
	if err := rows.Scan(s.into...); err != nil {
		return err
	}
	if err := s.backend.unhex((*[]byte)(&s.header), (*[]byte)(&s.data), (*[]byte)(&s.metadata)); err != nil {
		return err
	}
	if s.placed && len(s.header) > placeSize {
		h := s.header
		s.seq, s.idx, s.streamID = int64(binary.BigEndian.Uint64(h)), int(binary.BigEndian.Uint32(h[8:])), int64(binary.BigEndian.Uint64(h[12:]))
		s.header = h[placeSize:]
	}
	if s.owned && len(s.header) > 8 {
		s.streamID = int64(binary.BigEndian.Uint64(s.header))
		s.header = s.header[8:]
	}
	if n := len(s.header); n < headerSize || s.header[headerSize-1] != 0 && n < headerSize+2*16 {
		return fmt.Errorf("postgres: the header of an event has only %d bytes", n)
	}
	return nil
}

// epoch is what the database counts times from, in microseconds since 1970.
const epoch = 946_684_800_000_000

// event sets all of e but its Number and Stream. Data stays nil if the event is large.
func (s *scanner) event(e *store.Recorded) {
	h := s.header
	e.Version = int64(binary.BigEndian.Uint64(h))
	e.CreatedAt = time.UnixMicro(int64(binary.BigEndian.Uint64(h[8:])) + epoch).UTC()
	copy(e.ID[:], h[16:])
	related := h[headerSize-1] != 0
	if h = h[headerSize:]; related {
		copy(e.CausationID[:], h)
		copy(e.CorrelationID[:], h[16:])
		h = h[2*16:]
	}
	e.Type = s.memory.String(h)
	if len(s.contentType) > 0 {
		e.ContentType = s.memory.String(s.contentType)
	}
	if s.data == nil {
		return // it is large: see fill
	}
	s.kept += len(s.data) + len(s.metadata)
	if s.most > 0 && s.kept > s.most { // jsonb may be longer as text than what it weighs
		return
	}
	e.Data = s.memory.Keep(s.data)
	if s.metadata != nil {
		e.Metadata = s.memory.Keep(s.metadata)
	}
}
