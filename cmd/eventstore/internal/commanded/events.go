package commanded

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/store"
)

// Content types of what is not JSON.
const (
	ErlangTerm = "erlang-term" // the external term format
	Unknown    = "unknown"
)

// Pages have from one event to maxPage: what fits into pageBytes, or one event more.
const (
	firstPage = 1000
	maxPage   = 5000
	pageBytes = 16 << 20
)

// Events implements [archive.Source]. Each page is a transaction, which is over when do is called.
func (s *Source) Events(ctx context.Context, after, head int64, do func(e *archive.Event) error) error {
	return s.pages(ctx, after, head, do, func(after int64, limit int) (p page, err error) {
		err = s.read(ctx, sql.LevelDefault, func(tx *sql.Tx) error {
			if err = s.unchanged(ctx, tx); err == nil {
				p, err = s.page(ctx, tx, after, head, limit)
			}
			return err
		})
		return p, err
	})
}

// pages calls do with all events of pages that read returns.
func (s *Source) pages(ctx context.Context, after, head int64, do func(e *archive.Event) error, read func(after int64, limit int) (page, error)) error {
	for limit := firstPage; after < head; {
		p, err := read(after, limit)
		if err != nil {
			return err
		}
		if p.rows == 0 {
			return nil
		}
		for i := range p.events {
			e := &p.events[i]
			first := e.Position > s.counted // and not read again
			s.counted = max(s.counted, e.Position)
			if e.ID == uuid.Nil {
				s.count(first, &s.summary.Lost)
				continue
			}
			s.Known(e.Position, e.ID)
			var keep bool
			if e.Stream, keep = s.names.of(e.Stream); !keep {
				s.count(first, &s.summary.SkippedEvents)
				continue
			}
			if err := errors.Join(s.fit("stream", e.Stream), s.fit("event type", e.Type)); err != nil {
				return err
			}
			var number *int64
			if e.Metadata, e.ContentType, number = s.contentType(e.Data, e.Metadata); number != nil {
				s.count(first, number)
			}
			if err := do(e); err != nil {
				return err
			}
		}
		after = p.last
		switch {
		case p.full:
			limit = max(1, p.rows)
		case p.bytes < pageBytes/2:
			limit = min(2*limit, maxPage)
		}
	}
	return ctx.Err()
}

// page is what one transaction has read.
type page struct {
	events []archive.Event // without an ID: a place without an event, or of no stream
	last   int64           // position
	rows   int
	bytes  int
	full   bool // of bytes, before all rows were read
}

func (s *Source) page(ctx context.Context, tx *sql.Tx, after, head int64, limit int) (p page, err error) {
	err = s.each(ctx, tx, "events", func(rows *sql.Rows) error {
		e := archive.Event{}
		var version, stream, created, begun sql.NullInt64
		var name, typ sql.NullString
		var id, causation, correlation uuid.NullUUID
		if err := rows.Scan(&p.last, &version, &stream, &name, &id, &typ, &causation, &correlation, &created, &e.Data, &e.Metadata, &begun); err != nil {
			return err
		}
		p.rows++
		e.Position = p.last
		if !id.Valid || !stream.Valid || !version.Valid {
			p.events = append(p.events, e)
			return nil
		}
		e.StreamID, e.Stream, e.Version = stream.Int64, name.String, version.Int64
		e.ID, e.Type, e.CausationID, e.CorrelationID = id.UUID, typ.String, causation.UUID, correlation.UUID
		e.CreatedAt, e.StreamCreatedAt = at(created.Int64), at(begun.Int64)
		p.events = append(p.events, e)
		if p.bytes += len(e.Data) + len(e.Metadata); p.bytes >= pageBytes {
			p.full = true
			return errEnough
		}
		return nil
	}, after, head, limit)
	return p, err
}

// at is a time from the database.
func at(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// What the library's serializers make of metadata that an event has none of: of an old Erlang, and of a new one.
var (
	jsonNull = []byte("null")
	oldNil   = []byte("\x83d\x00\x03nil")
	newNil   = []byte("\x83w\x03nil")
)

// count adds one to a number, the first time.
func (*Source) count(first bool, n *int64) {
	if first {
		*n++
	}
}

// contentType returns the metadata, or nil if it stands for none, the content type of both, and which number of the summary counts
// it, if one does.
func (s *Source) contentType(data, metadata []byte) (_ []byte, contentType string, number *int64) {
	if bytes.Equal(metadata, jsonNull) || bytes.Equal(metadata, oldNil) || bytes.Equal(metadata, newNil) {
		metadata = nil
	}
	of, and := format(data), ""
	if metadata != nil {
		and = format(metadata)
	}
	switch {
	case of == Unknown || and == Unknown:
		number = &s.summary.Unknown
	case of != "" || and != "":
		number = &s.summary.ErlangTerms
	}
	switch {
	case and == "":
		return metadata, of, number
	case of == "":
		of = store.JSON
	}
	return metadata, of + "," + and, number
}

// format is the content type of a value.
func format(value []byte) string {
	switch {
	case json.Valid(value):
		return ""
	case len(value) > 1 && value[0] == 131:
		return ErlangTerm
	}
	return Unknown
}
