package store

import (
	"context"
	"math"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store/internal/tail"
)

// look finds out what new events do not tell: whether the store has lost events, unless that is known, and which streams have links
// that are new, are new themselves, or were deleted.
func (f *feed) look(ctx context.Context, lost bool) error {
	f.mu.Lock()
	position, names := f.cursor.Position(), f.members.Streams()
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	head, err := position, error(nil)
	if lost {
		if head, err = f.hub.storage.Head(ctx); err != nil {
			return err
		}
	}
	infos, err := f.versions(ctx, names, lost)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cursor.Ends(head) {
		for m := range f.members.Whole() {
			m.suspect(head)
		}
	}
	if f.hub.replicated {
		for m := range f.members.Whole() {
			m.overtaken(f.cursor.Position())
		}
	}
	for name, info := range infos {
		for m := range f.members.Of(name) {
			m.compare(info)
		}
	}
	return nil
}

// versions returns the streams that are there. Unless they are to be new, others may have asked for them.
func (f *feed) versions(ctx context.Context, names []string, anew bool) (map[string]StreamInfo, error) {
	if f.found != nil {
		allPolls.note(f.found, f, names)
	}
	switch {
	case len(names) == 0:
		return nil, nil
	case f.found == nil || anew:
		return f.hub.storage.StreamVersions(ctx, names)
	}
	return f.found.look(ctx, f.hub.storage, names, f.hub.pollEvery)
}

// replaced says that another event was read in the place of the one that was read before.
func (f *feed) replaced(ctx context.Context, position int64) error {
	if f.hub.replicated {
		return otherHistory(All, position) // than the primary, which was asked before the page was read
	}
	head, err := f.hub.storage.Head(ctx)
	if err == nil {
		f.lose(head)
	}
	return err
}

// lose has all members look whether what they have seen is still in the store: what the feed has seen is not.
func (f *feed) lose(head int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hub.log.Error("eventstore: another event is in the place of the last one read, as after a failover to a standby that lagged", "position", f.cursor.Position())
	for m := range f.members.Whole() {
		m.suspect(head)
	}
	for _, stream := range f.members.Streams() {
		for m := range f.members.Of(stream) {
			m.suspect(math.MaxInt64) // the end of the stream is not known here
		}
	}
	f.cursor = tail.At(head, uuid.Nil)
}
