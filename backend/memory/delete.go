package memory

import (
	"context"
	"slices"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

// Delete implements [store.Storage].
func (b *Backend) Delete(ctx context.Context, r store.DeleteRequest) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.Judge(b.state(r.Stream)); err != nil {
		return err
	}
	s := b.streams[r.Stream]
	if r.Kind == store.SoftDelete {
		s.info.DeletedAt = now()
		return nil
	}
	for _, entry := range s.entries {
		if entry.event.origin == s {
			b.remove(entry.event)
		} else {
			entry.event.linkedTo = slices.DeleteFunc(entry.event.linkedTo, func(t *stream) bool { return t == s })
		}
	}
	delete(b.streams, r.Stream)
	delete(b.snapshots, r.Stream)
	b.forgetParked(r.Stream)
	return nil
}

// Undelete implements [store.Storage].
func (b *Backend) Undelete(ctx context.Context, r store.UndeleteRequest) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.Judge(b.state(r.Stream)); err != nil {
		return err
	}
	b.streams[r.Stream].info.DeletedAt = time.Time{}
	return nil
}

// remove removes an event from everything that shows it but its own stream. The caller holds b.mu.
func (b *Backend) remove(e *event) {
	for _, s := range e.linkedTo {
		s.entries = slices.DeleteFunc(s.entries, func(entry entry) bool { return entry.event == e })
	}
	b.all[e.recorded.Number-1] = nil
	delete(b.events, e.recorded.ID)
}
