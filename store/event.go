package store

import (
	"time"

	"github.com/google/uuid"
)

// All is the name of the stream of all events, in their global order. It can be read, not written.
const All = "$all"

// Event is an event to be appended. Type and Data are what it needs; the rest has defaults.
type Event struct {
	// ID identifies the event in the whole store. Default: a new UUIDv7. Give one to make a retry of the same append
	// succeed without writing twice.
	ID uuid.UUID
	// Type names what happened: 1 to 255 bytes. May be left empty if the serializer knows the name of Data's type.
	Type string
	// Data is encoded by the store's serializer.
	Data any
	// Metadata is encoded by the store's metadata serializer; nil stays absent.
	Metadata any
	// CausationID is the id of the event or command that caused this one; the zero UUID means none. Default, as for
	// CorrelationID: what the context says, see [WithCause].
	CausationID uuid.UUID
	// CorrelationID is shared by all events of one conversation; the zero UUID means none.
	CorrelationID uuid.UUID
	// CreatedAt defaults to the database's clock. It is kept in UTC, to the microsecond.
	CreatedAt time.Time
}

// Recorded is an event as stored. Treat Data and Metadata as read-only: events of a page may share memory.
type Recorded struct {
	// Number is the event's place in the stream that was read: its version there (for a linked event, the link's), or
	// its position in [All]. [Store.Event] gives the version.
	Number int64
	// Stream and Version are where the event was appended, also when it is read through a link or [All].
	Stream  string
	Version int64

	ID            uuid.UUID
	Type          string
	CausationID   uuid.UUID // zero if none
	CorrelationID uuid.UUID // zero if none
	ContentType   string    // how Data is encoded, and after a comma Metadata; "" stands for JSON
	Data          []byte    // as encoded; Decode makes a value of it
	Metadata      []byte    // as encoded; nil if none
	CreatedAt     time.Time // UTC

	// Replaying says that a projection sees the event again, since it was reset: what the event made it do outside its
	// tables was done before. See [Store.ResetProjection].
	Replaying bool

	codec    *codec
	delivery int64 // by which a subscriber was sent it, see [deliveries]; 0 for an event that was only read
}

// Size returns how many bytes the event's data and metadata have, as encoded. [Options].PageBytes counts them.
func (r *Recorded) Size() int { return len(r.Data) + len(r.Metadata) }

// Decode decodes the event's data into the value that into points to. With a pointer to an `any`, the serializer
// makes a value of the type registered for the event's type. Nothing is decoded before this is called: an
// undecodable event spoils nothing but its own Decode. The error is a [DecodeError].
func (r Recorded) Decode(into any) error {
	data, _ := contentTypes(r.ContentType)
	return r.decode("data", r.codec.dataOrJSON(), data, r.Data, into)
}

// DecodeMetadata is [Recorded.Decode] for the metadata. Absent metadata leaves into as it was.
func (r Recorded) DecodeMetadata(into any) error {
	if r.Metadata == nil {
		return nil
	}
	_, metadata := contentTypes(r.ContentType)
	return r.decode("metadata", r.codec.metadataOrJSON(), metadata, r.Metadata, into)
}

func (r Recorded) decode(field string, s Serializer, contentType string, data []byte, into any) error {
	if err := s.Decode(r.Type, contentType, data, into); err != nil {
		return r.decodeError(field, err)
	}
	return nil
}

func (r Recorded) decodeError(field string, err error) error {
	return &DecodeError{ID: r.ID, Stream: r.Stream, Version: r.Version, Type: r.Type, Field: field, Err: err}
}

// Decode returns the event's data as a T.
func Decode[T any](r Recorded) (T, error) {
	var v T
	err := r.Decode(&v)
	return v, err
}

// Values returns what the event stands for today: one value in most cases, of the type registered for it; but upcasters may
// have made several of it, or none. The error is a [DecodeError].
func (r Recorded) Values() ([]any, error) {
	u, ok := r.codec.dataOrJSON().(Upcaster)
	if !ok {
		var v any
		if err := r.Decode(&v); err != nil {
			return nil, err
		}
		return []any{v}, nil
	}
	contentType, _ := contentTypes(r.ContentType)
	values, err := u.DecodeAll(r.Type, contentType, r.Data)
	if err != nil {
		return nil, r.decodeError("data", err)
	}
	return values, nil
}

// IDs returns the ids of events, for [Store.Link].
func IDs(events ...Recorded) []uuid.UUID {
	ids := make([]uuid.UUID, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return ids
}
