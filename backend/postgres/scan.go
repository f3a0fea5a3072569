package postgres

import (
	"database/sql"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// scanner reads rows of events. The bytes of a page share a few large pieces of memory, and equal types one string.
type scanner struct {
	arena []byte
	types map[string]string
	into  []any // pointers to the fields below, in the order of the columns

	number, seq, streamID, version                                     int64
	idx                                                                int
	created                                                            time.Time
	id, causation, correlation, eventType, contentType, data, metadata sql.RawBytes
	stream                                                             string
}

// newScanner is for queries that return the columns of an event, or those between its number and its stream's name.
func newScanner(numbered bool) *scanner {
	s := &scanner{types: map[string]string{}}
	if numbered {
		s.into = append(s.into, &s.number)
	}
	s.into = append(s.into, &s.seq, &s.idx, &s.streamID, &s.version, &s.created,
		&s.id, &s.causation, &s.correlation, &s.eventType, &s.contentType, &s.data, &s.metadata)
	if numbered {
		s.into = append(s.into, &s.stream)
	}
	return s
}

// scan reads a row, and event makes an event of it, before the next row is read.
func (s *scanner) scan(rows *sql.Rows) error { return rows.Scan(s.into...) }

// event sets all of e but its Number and Stream.
func (s *scanner) event(e *store.Recorded) (err error) {
	e.Version = s.version
	e.CreatedAt = s.created.UTC()
	e.Type = s.intern(s.eventType)
	if len(s.contentType) > 0 {
		e.ContentType = s.intern(s.contentType)
	}
	e.Data = s.keep(s.data)
	if s.metadata != nil {
		e.Metadata = s.keep(s.metadata)
	}
	if e.ID, err = uuid.ParseBytes(s.id); err != nil {
		return err
	}
	if s.causation != nil {
		if e.CausationID, err = uuid.ParseBytes(s.causation); err != nil {
			return err
		}
	}
	if s.correlation != nil {
		e.CorrelationID, err = uuid.ParseBytes(s.correlation)
	}
	return err
}

// keep copies bytes that are valid only until the next row.
func (s *scanner) keep(b []byte) []byte {
	if cap(s.arena)-len(s.arena) < len(b) || s.arena == nil {
		s.arena = make([]byte, 0, max(64<<10, len(b)))
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
