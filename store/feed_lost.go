package store

import (
	"context"
	"math"

	"github.com/google/uuid"
)

// look finds out what new events do not tell: whether the store has lost events, unless that is known, and which streams have links
// that are new, are new themselves, or were deleted.
func (f *feed) look(ctx context.Context, lost bool) error {
	f.mu.Lock()
	position := f.position
	names := make([]string, 0, len(f.streams))
	for name := range f.streams {
		names = append(names, name)
	}
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
	if head < position {
		for s := range f.all {
			s.suspect(head)
		}
		f.position, f.last = head, uuid.Nil
	}
	if f.hub.replicated {
		for s := range f.all {
			s.overtaken(f.position)
		}
	}
	for name, info := range infos {
		for s := range f.streams[name] {
			if s.differs(info) {
				s.lookAgain()
			}
		}
	}
	return nil
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
	f.hub.log.Error("eventstore: another event is in the place of the last one read, as after a failover to a standby that lagged", "position", f.position)
	for s := range f.all {
		s.suspect(head)
	}
	for _, members := range f.streams {
		for s := range members {
			s.suspect(math.MaxInt64) // the end of the stream is not known here
		}
	}
	f.position, f.last = head, uuid.Nil
}
