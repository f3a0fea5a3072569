package archive

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Header is the first record of an archive.
type Header struct {
	Format     int       `json:"format"`                // see Format
	ID         uuid.UUID `json:"archive_id"`            // of the archive
	Source     string    `json:"source"`                // what the store was kept in: PostgreSQL, SQLite, commanded
	Identity   Identity  `json:"identity"`              // which store it is
	Head       int64     `json:"head"`                  // position of the last event of the store when it was exported
	HeadEvent  uuid.UUID `json:"head_event,omitzero"`   // id of the event at Head; zero if it was hard deleted
	Streams    []string  `json:"streams,omitempty"`     // chosen streams; none: the whole store
	ExportedAt time.Time `json:"exported_at"`           // when the export began
	LastStream int64     `json:"last_stream,omitempty"` // highest id that a stream of the store had, or more: new streams get higher ones
	// Rename and Skip are the streams that have another name than in the source, and those that were left out.
	Rename map[string]string `json:"rename,omitempty"`
	Skip   []string          `json:"skip,omitempty"`
	// Following is set in the state of a store that follows its source, and in no archive.
	Following *Following `json:"following,omitempty"`
}

// String returns what was read, from where and when, for messages.
func (h Header) String() string {
	return fmt.Sprintf("archive %s of %s, read at %s up to position %d", h.ID, h.Identity, h.ExportedAt.UTC().Format(time.RFC3339), h.Head)
}

// Stream is a stream. Its ID is the archive's: it is what other records refer to.
type Stream struct {
	ID        int64     `json:"stream_id"`
	Name      string    `json:"stream"`
	Version   int64     `json:"version"` // of its last event, or link
	CreatedAt time.Time `json:"created_at"`
	DeletedAt time.Time `json:"deleted_at,omitzero"` // zero unless soft deleted
	Linked    bool      `json:"linked,omitempty"`    // it has links, or had: not every version needs to be there
}

// Link is an event's second place, in a stream that it was not appended to.
type Link struct {
	StreamID int64     `json:"stream_id"`
	Version  int64     `json:"version"`
	EventID  uuid.UUID `json:"event_id"`
}

// Snapshot is a source's snapshot.
type Snapshot struct {
	SourceID    string    `json:"source_id"`
	Version     int64     `json:"version"`
	Type        string    `json:"type"`
	ContentType string    `json:"content_type,omitempty"`
	Data        []byte    `json:"-"`
	Metadata    []byte    `json:"-"` // nil if none
	CreatedAt   time.Time `json:"created_at"`
}

// Subscription is a persistent subscription and how far it has come.
type Subscription struct {
	Stream     string    `json:"stream"` // or $all
	Name       string    `json:"name"`
	Checkpoint int64     `json:"checkpoint"`
	StreamID   int64     `json:"stream_id,omitempty"` // that Checkpoint counts in; 0 for $all, or if there is no such stream
	Seen       int64     `json:"seen,omitempty"`      // number of the last event that was read
	SeenID     uuid.UUID `json:"seen_id,omitzero"`    // and its id; zero if it is not known
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`
	Parked     []Parked  `json:"parked,omitempty"` // in order
}

// Parked is an event that a subscription has put aside: its checkpoint has passed it.
type Parked struct {
	Number   int64     `json:"number"` // in the subscription's stream
	Key      string    `json:"key"`    // partition key
	ID       uuid.UUID `json:"id"`
	Stream   string    `json:"stream"`
	Version  int64     `json:"version"`
	Type     string    `json:"type"`
	Failed   bool      `json:"failed,omitempty"`
	Error    string    `json:"error,omitempty"`
	Attempts int       `json:"attempts,omitempty"`
	ParkedAt time.Time `json:"parked_at"`
}

// Event is an event in its own stream.
type Event struct {
	Position      int64     `json:"position"`
	Index         int       `json:"index,omitempty"` // place in its append, from 0
	StreamID      int64     `json:"stream_id"`
	Stream        string    `json:"stream"`
	Version       int64     `json:"version"`
	ID            uuid.UUID `json:"id"`
	Type          string    `json:"type"`
	CausationID   uuid.UUID `json:"causation_id,omitzero"`   // zero if none
	CorrelationID uuid.UUID `json:"correlation_id,omitzero"` // zero if none
	CreatedAt     time.Time `json:"created_at"`
	ContentType   string    `json:"content_type,omitempty"` // as stored; "" is JSON
	Data          []byte    `json:"-"`
	Metadata      []byte    `json:"-"` // nil if none
	// StreamCreatedAt is set by a source that is followed, and is in no archive.
	StreamCreatedAt time.Time `json:"-"`
}

// Gone says that a stream was hard deleted while it was exported: of its events some may be in the archive.
type Gone struct {
	StreamID int64 `json:"stream_id"`
}

// Counts says how many records of each kind there are.
type Counts struct {
	Streams       int64 `json:"streams"`
	Links         int64 `json:"links"`
	Snapshots     int64 `json:"snapshots"`
	Subscriptions int64 `json:"subscriptions"`
	Events        int64 `json:"events"`
	Gone          int64 `json:"gone,omitempty"`
}

// End is the last record of an archive. Without it, the archive was not written to its end.
type End struct {
	Counts
	// LeftOut counts what the source has and the archive has not, or has changed, by a name for each reason.
	LeftOut map[string]int64 `json:"left_out,omitempty"`
	SHA256  string           `json:"sha256"` // of all bytes before this record's line, in hexadecimal
}

// Source is a store that is exported.
type Source interface {
	// Identity returns which store this is.
	Identity(ctx context.Context) (Identity, error)
	// Head returns the position of the last event that the store has now.
	Head(ctx context.Context) (int64, error)
	// EventAt returns the id of the event at a position, or uuid.Nil if there is none.
	EventAt(ctx context.Context, position int64) (uuid.UUID, error)
	// LeftOut counts what was left out or changed so far, since the source was opened: see [End].
	LeftOut() map[string]int64
	// Front calls do with all that is not an event, as it is in one moment: first a [Header] (of which only Source, Head,
	// HeadEvent, Streams and LastStream are set), then each [Stream] by id, each [Link] by stream id and version, each [Snapshot], and each
	// [Subscription]. Versions of streams, links and checkpoints are those that events up to the head explain. do keeps
	// nothing of what it is given.
	Front(ctx context.Context, do func(record any) error) error
	// Events calls do with all events of the exported streams whose positions are above after and up to head, in order. It
	// holds no transaction open while do runs for long: it reads in pages.
	Events(ctx context.Context, after, head int64, do func(e *Event) error) error
	// StreamIDs calls do with the ids of the streams that are there now, in ascending order.
	StreamIDs(ctx context.Context, do func(id int64) error) error
}
