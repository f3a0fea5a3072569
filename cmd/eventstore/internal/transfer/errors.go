package transfer

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
)

// Errors of an import, for errors.Is.
var (
	// ErrNotEmpty is returned where positions can't be kept, since the store has events already. Set Merge to give the events
	// new positions behind those.
	ErrNotEmpty = errors.New("the store is not empty")
	// ErrTaken is returned where the store has a stream, a snapshot or a checkpoint of the name already. See TakenError.
	ErrTaken = errors.New("the store has the same names already")
	// ErrHeld is returned where a program runs a subscription that an import would move. It is a TakenError, too.
	ErrHeld = errors.New("a program runs subscriptions of the store; stop it first")
	// ErrTakenID is returned where the store has an event of the same id already. Before anything is written it is a TakenError, too.
	ErrTakenID = errors.New("the store has an event of the same id already")
	// ErrOther is returned while the import of another archive is under way, or was interrupted. See OtherImportError.
	ErrOther = errors.New("another import into this store is not finished")
	// ErrNoImport is returned where an import is to be cleared away, and none is unfinished.
	ErrNoImport = errors.New("no import into this store is unfinished")
	// ErrMeanwhile is returned where an event was appended to an empty store while it was imported into, past the library.
	ErrMeanwhile = errors.New("an event was appended to the store meanwhile, at a position that the archive needs")
	// ErrNotJSON is returned for data that is no JSON where the columns are of type jsonb or json, or that jsonb can't keep.
	ErrNotJSON = errors.New("the store's columns take JSON only")
)

// TakenError names up to eleven things that are in the way of an import. It is Err.
type TakenError struct {
	Err   error // ErrTaken, ErrTakenID or ErrHeld
	Kind  string
	Names []string
}

func (e *TakenError) Error() string {
	return (&ChosenError{fmt.Sprintf("%v: %s", e.Err, e.Kind), e.Names}).Error()
}
func (e *TakenError) Unwrap() error { return e.Err }

// RightsError says which rights on the store that is imported into the user lacks.
type RightsError struct{ Rights []string }

func (e *RightsError) Error() string {
	return "the user lacks rights on the store to import into: " + strings.Join(e.Rights, ", ")
}

// Unfinished says which import is unfinished, and how far it is.
type Unfinished struct {
	Header archive.Header // of what is imported
	Merge  bool
	Begun  time.Time
	Phase  string // what is being written: events, gone, links, snapshots, finish; or abandon
	Done   int64  // records of the phase
}

func (u Unfinished) String() string {
	if u.Header.Following != nil {
		return fmt.Sprintf("the store follows %s since %s: it has all up to position %d, read at %s, and takes no other writes before that is finished",
			u.Header.Identity, u.Begun.UTC().Format(time.RFC3339), u.Header.Head, u.Header.ExportedAt.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("an import that began at %s is unfinished: of the %s; it is at %d %s", u.Begun.UTC().Format(time.RFC3339), u.Header, u.Done, u.Phase)
}

// Advice is what to do about an unfinished import.
const Advice = "run the same import again to finish it, or abandon it, which removes what it has written"

// OtherImportError says which import is unfinished, and which archive was to be imported instead. It is ErrOther.
type OtherImportError struct {
	Unfinished
	Header archive.Header // of the archive that was to be imported
	Reason string         // if it is the same archive
}

func (e *OtherImportError) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("%s; %s", e.Unfinished, e.Reason)
	}
	return fmt.Sprintf("%s; given is the %s", e.Unfinished, e.Header)
}

// Is matches ErrOther.
func (e *OtherImportError) Is(target error) bool { return target == ErrOther }
