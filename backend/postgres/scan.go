package postgres

import (
	"database/sql"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// scanned is an event with what only the backend needs to know of it.
type scanned struct {
	store.Recorded
	seq      int64
	idx      int
	streamID int64
}

// scanner reads rows of events. All bytes of a page share a few large pieces of memory, and equal types one string.
type scanner struct {
	arena []byte
	types map[string]string

	id, causation, correlation, eventType, data, metadata sql.RawBytes
	created                                               time.Time
	number                                                int64
}

// scan reads one row: the columns of an event, behind its number if the query has one.
func (s *scanner) scan(rows *sql.Rows, e *scanned, numbered bool) error {
	into := [...]any{
		&s.number, &e.seq, &e.idx, &e.streamID, &e.Version, &s.created,
		&s.id, &s.causation, &s.correlation, &s.eventType, &s.data, &s.metadata,
	}
	from := 1
	if numbered {
		from = 0
	}
	if err := rows.Scan(into[from:]...); err != nil {
		return err
	}
	e.Number = e.Version
	if numbered {
		e.Number = s.number
	}
	e.CreatedAt = s.created.UTC()
	e.Type = s.intern(s.eventType)
	e.Data = s.keep(s.data)
	if e.Data == nil {
		e.Data = []byte{}
	}
	e.Metadata = s.keep(s.metadata)
	for _, id := range [...]struct {
		text sql.RawBytes
		into *uuid.UUID
	}{{s.id, &e.ID}, {s.causation, &e.CausationID}, {s.correlation, &e.CorrelationID}} {
		if id.text == nil {
			continue
		}
		var err error
		if *id.into, err = uuid.ParseBytes(id.text); err != nil {
			return err
		}
	}
	return nil
}

// keep copies bytes that are valid only until the next row.
func (s *scanner) keep(b []byte) []byte {
	if b == nil {
		return nil
	}
	if cap(s.arena)-len(s.arena) < len(b) {
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
	if s.types == nil {
		s.types = map[string]string{}
	}
	t := string(b)
	s.types[t] = t
	return t
}
