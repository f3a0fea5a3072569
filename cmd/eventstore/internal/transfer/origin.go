package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
)

// ErrOtherSource is returned where an archive, or part of one, was read from another store than the one that is given now. See
// [OtherSourceError].
var ErrOtherSource = errors.New("the archive was read from another store")

// OtherSourceError says which file was read from which store, and which store is given now. It is ErrOtherSource.
type OtherSourceError struct {
	File   string
	Header archive.Header   // of the file
	Given  archive.Identity // of the store that is given now
	Reason string           // why it is not the same, if their identities are
}

func (e *OtherSourceError) Error() string {
	text := fmt.Sprintf("%s is of the %s; the source is now %s", e.File, e.Header, e.Given)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// Is matches ErrOtherSource.
func (e *OtherSourceError) Is(target error) bool { return target == ErrOtherSource }

// same returns an OtherSourceError unless part of an archive was read from the source, which has not lost since what was read.
func same(ctx context.Context, from archive.Source, file string, given archive.Identity, p archive.Progress) error {
	other := &OtherSourceError{File: file, Header: p.Header, Given: given}
	if !p.Header.Identity.Same(given) {
		return other
	}
	if s, ok := from.(interface{ Chosen() []string }); ok && !slices.Equal(p.Header.Streams, s.Chosen()) {
		other.Reason = fmt.Sprintf("the file is of %s, and wanted are %s", chosenText(p.Header.Streams), chosenText(s.Chosen()))
		return other
	}
	mapped, ok := from.(interface {
		Mapped(rename map[string]string, skip []string) bool
	})
	if ok && p.Header.Following == nil && !mapped.Mapped(p.Header.Rename, p.Header.Skip) {
		other.Reason = fmt.Sprintf("the file was read with other names: it was given --rename %v and --skip %q", p.Header.Rename, p.Header.Skip)
		return other
	}
	for position, event := range map[int64]uuid.UUID{p.Position: p.Event, p.Header.Head: p.Header.HeadEvent} {
		found, err := from.EventAt(ctx, position)
		if err != nil {
			return err
		}
		if event != uuid.Nil && found != uuid.Nil && found != event {
			other.Reason = fmt.Sprintf("position %d has event %s, and had %s when it was read: the source was restored, or failed over, since", position, found, event)
			return other
		}
	}
	head, err := from.Head(ctx)
	if err == nil && head < p.Header.Head {
		other.Reason = fmt.Sprintf("it ends at position %d: the source was restored, or failed over, since", head)
		return other
	}
	return err
}

func chosenText(streams []string) string {
	if len(streams) == 0 {
		return "the whole store"
	}
	return "the streams " + strings.Join(streams, ", ")
}

// Missing compares what an archive has with what its source has now: it returns how many positions the source has behind the
// archive's head. It returns an [OtherSourceError] if the file was read from another store, or from one that has lost events since.
func Missing(ctx context.Context, from archive.Source, file string, h archive.Header) (missing int64, err error) {
	given, err := from.Identity(ctx)
	if err != nil {
		return 0, err
	}
	if err := same(ctx, from, file, given, archive.Progress{Header: h}); err != nil {
		return 0, err
	}
	head, err := from.Head(ctx)
	return head - h.Head, err
}
