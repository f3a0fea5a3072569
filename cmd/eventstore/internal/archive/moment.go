package archive

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// ErrReplaced is returned where a source has other events than before. See [ReplacedError].
var ErrReplaced = errors.New("the source was restored, or failed over, since it was read")

// ReplacedError says at which position a source has another event. It is ErrReplaced.
type ReplacedError struct {
	Position int64
	Had, Has uuid.UUID
}

func (e *ReplacedError) Error() string {
	return fmt.Sprintf("position %d has event %s, and had %s when it was read: %v", e.Position, e.Has, e.Had, ErrReplaced)
}

// Is matches ErrReplaced.
func (e *ReplacedError) Is(target error) bool { return target == ErrReplaced }

// Following is kept in the [Header] of a store that is imported again and again, and in no archive: what a run must know of those
// before it, so that it takes only what is new.
type Following struct {
	Rename map[string]string `json:"rename,omitempty"` // streams that have another name than in the source
	Skip   []string          `json:"skip,omitempty"`   // streams that are left out
	Mark   Mark              `json:"mark"`
}

// Mark is where a source was at the last [Moment] whose changes were all taken. The zero Mark is before all.
type Mark struct {
	// Transactions from this one on had not ended.
	Transaction int64 `json:"transaction"`
	// Deleted is how many ids of streams were used and have no stream: 0 if none was ever hard deleted. An id whose stream is being
	// created counts, too. -1: it is not known.
	Deleted int64 `json:"deleted"`
}

// Since is a stream and the version up to which its links are known.
type Since struct {
	StreamID int64 `json:"id"`
	Version  int64 `json:"after"`
}

// Followed is a [Source] that can be asked again for what is new.
type Followed interface {
	Source
	// Prepare checks the names of all that the source has, and takes over those that earlier runs have changed or left out. It returns
	// all of them. Behind the first run, types of events are checked only as they are read.
	Prepare(ctx context.Context, earlier Following) (rename map[string]string, skip []string, err error)
	// DataType returns the type of the columns for data: bytea, json or jsonb. If they differ, it is the one that takes most.
	DataType() string
	// Known says which event was at a position when it was read. Each transaction that reads heads, events or a Moment from then on first
	// looks whether that one, or the last event that was read since, is still there, or gone: otherwise the error is a [ReplacedError].
	Known(position int64, event uuid.UUID)
	// Moment calls f with the source as it is at one moment.
	Moment(ctx context.Context, f func(ctx context.Context, m Moment) error) error
}

// Moment is a source as it is at one moment. It ends when the function that it was given to returns. do keeps nothing of what it
// is given, and must not call the Moment.
type Moment interface {
	Head() int64
	HighestStream() int64 // of the ids of streams, also of those that are gone
	Mark() Mark
	// Events calls do with all events above after, in order.
	Events(ctx context.Context, after int64, do func(e *Event) error) error
	// Streams calls do with all streams, by id. Linked is not set.
	Streams(ctx context.Context, do func(s *Stream) error) error
	// Links calls do with the links of some streams that are newer, by stream and version.
	Links(ctx context.Context, since []Since, do func(l *Link) error) error
	// Snapshots calls do with all snapshots that are newer than a mark. It may call it with others.
	Snapshots(ctx context.Context, since Mark, do func(s *Snapshot) error) error
	// SnapshotsOf calls do with those of some sources.
	SnapshotsOf(ctx context.Context, sources []string, do func(s *Snapshot) error) error
	// SnapshotSources calls do with the source of every snapshot.
	SnapshotSources(ctx context.Context, do func(source string) error) error
	Subscriptions(ctx context.Context, do func(s *Subscription) error) error
	// Places calls do with the number of events in each range of so many positions that has some, up to a position: range 0 begins
	// with position 1.
	Places(ctx context.Context, until, size int64, do func(number, events int64) error) error
	// Positions calls do with the positions of all events in a range.
	Positions(ctx context.Context, from, until int64, do func(position int64) error) error
}
