package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/store"
)

// survey reads an archive to its end, before anything is written: whether it is whole, and whether the store takes all of it.
type survey struct {
	target  target
	path    string
	merge   bool
	fresh   bool // no import of it is under way: what is in the store already is in the way
	header  archive.Header
	end     archive.End
	highest int64 // id that a stream has or had

	names         []string // of a batch of streams,
	sources       []string // snapshots,
	subscriptions []*archive.Subscription
	ids           []string // and events
}

// surveyed is how many names are looked for in one statement.
const surveyed = 10_000

func (s *survey) run(ctx context.Context) (err error) {
	r, err := archive.Open(s.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	s.header, s.highest = r.Header, r.Header.LastStream
	var refusal error // of what the archive has, if it is whole
	for more := true; more && refusal == nil; {
		record, err := r.Next()
		if err != nil {
			return s.in(err)
		}
		more, refusal = s.next(ctx, r, record)
	}
	if s.end, err = r.Verify(ctx); err != nil {
		return s.in(err)
	}
	return s.in(refusal)
}

// in names the file in an error of the archive.
func (s *survey) in(err error) error {
	if errors.Is(err, archive.ErrFormat) || errors.Is(err, store.ErrInvalid) {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	return err
}

// next looks at the next record. More is false where the rest needs no looking at but for the checksum.
func (s *survey) next(ctx context.Context, r *archive.Reader, record any) (more bool, err error) {
	switch record := record.(type) {
	case *archive.Stream:
		s.highest = max(s.highest, record.ID)
		s.names = append(s.names, record.Name)
		if s.merge { // clearing the stream away takes the snapshot of that name
			s.sources = append(s.sources, record.Name)
		}
		return true, errors.Join(fits("stream", record.Name, store.MaxStreamName, true), s.ask(ctx, surveyed))
	case *archive.Link:
		return true, nil
	case *archive.Snapshot:
		s.sources = append(s.sources, record.SourceID)
		return true, errors.Join(s.snapshot(record), s.ask(ctx, surveyed))
	case *archive.Subscription:
		s.highest = max(s.highest, record.StreamID) // of a stream that is gone, too: no other one may get its id
		s.subscriptions = append(s.subscriptions, record)
		return true, errors.Join(fits("subscription", record.Name, store.MaxSubscriptionName, true), s.ask(ctx, surveyed))
	case *archive.Event:
		if s.target.dataType() == anyBytes && (!s.merge || !s.fresh) {
			return false, s.ask(ctx, 1)
		}
		s.ids = append(s.ids, record.ID.String())
		return true, errors.Join(s.ask(ctx, surveyed), fitsData(s.target.dataType(), eventName(record), record.ContentType, record.Data, record.Metadata))
	default:
		r.Unread(record)
		return false, s.ask(ctx, 1)
	}
}

func (s *survey) snapshot(r *archive.Snapshot) error {
	name := fmt.Sprintf("the snapshot of %q", r.SourceID)
	return errors.Join(fits("snapshot", r.SourceID, store.MaxStreamName, false),
		fitsData(s.target.dataType(), name, r.ContentType, r.Data, r.Metadata))
}

// ask looks for the names of a batch in the store, if it has so many.
func (s *survey) ask(ctx context.Context, least int) error {
	if len(s.names)+len(s.sources)+len(s.subscriptions)+len(s.ids) < least {
		return ctx.Err()
	}
	l := look{s.names, s.sources, s.subscriptions, s.ids}
	s.names, s.sources, s.subscriptions, s.ids = nil, nil, nil, nil
	if !s.fresh || !s.merge {
		return nil
	}
	return s.target.taken(ctx, l)
}

// fits returns a store.InvalidError for a name that the store refuses.
func fits(field, name string, most int, reserved bool) error {
	reason := ""
	switch {
	case name == "":
		reason = "is empty"
	case len(name) > most:
		reason = fmt.Sprintf("is %d bytes long, at most %d are allowed", len(name), most)
	case !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		reason = fmt.Sprintf("%q is not valid UTF-8 without NUL", name)
	case reserved && name[0] == '$':
		reason = fmt.Sprintf("%q starts with $, which is reserved", name)
	default:
		return nil
	}
	return &store.InvalidError{Field: field, Reason: reason}
}

func eventName(e *archive.Event) string {
	return fmt.Sprintf("event %s (position %d, version %d of %q)", e.ID, e.Position, e.Version, e.Stream)
}

// dataType is the type of the columns for data.
type dataType string

const (
	anyBytes dataType = "bytea"
	jsonType dataType = "json"
	jsonb    dataType = "jsonb"
)

// fitsData returns ErrNotJSON with the name of what has data that the columns refuse, and a [store.InvalidError] if they don't return it.
func fitsData(t dataType, name, contentType string, data, metadata []byte) error {
	if t == anyBytes {
		return nil
	}
	if !store.IsJSON(contentType) {
		return fmt.Errorf("%w: %s has content type %q", ErrNotJSON, name, contentType)
	}
	for _, part := range []struct {
		what string
		text []byte
	}{{"data", data}, {"metadata", metadata}} {
		if part.text == nil {
			continue
		}
		if reason := jsonReason(t, part.text); reason != "" {
			return fmt.Errorf("%w: %s has %s that %s can't keep: %s", ErrNotJSON, name, part.what, t, reason)
		}
	}
	if t != jsonb {
		return nil
	}
	if err := postgres.CheckJSONB("", data, metadata); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// jsonReason returns why a column refuses a text, or "".
func jsonReason(t dataType, text []byte) string {
	if !utf8.Valid(text) || !json.Valid(text) {
		return "it is not JSON"
	}
	if t != jsonb {
		return ""
	}
	return jsonbReason(text)
}
