package memory

import (
	"context"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// Link implements [store.Storage].
func (b *Backend) Link(ctx context.Context, r store.LinkRequest) (store.AppendResult, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return store.AppendResult{}, err
	}
	if err := r.Expected.Judge(r.Stream, b.state(r.Stream)); err != nil {
		return store.AppendResult{}, err
	}
	events, err := b.linkable(b.streams[r.Stream], r.Stream, r.Events)
	if err != nil {
		return store.AppendResult{}, err
	}
	at := now()
	s := b.open(r.Stream, at)
	first := s.info.Version + 1
	for _, e := range events {
		s.add(e, at)
		e.linkedTo = append(e.linkedTo, s)
	}
	return store.AppendResult{Stream: r.Stream, First: first, Last: s.info.Version}, nil
}

// linkable returns the events with the given ids if none of them is in target yet. The caller holds b.mu.
func (b *Backend) linkable(target *stream, name string, ids []uuid.UUID) ([]*event, error) {
	events := make([]*event, len(ids))
	for i, id := range ids {
		e, ok := b.events[id]
		if !ok {
			return nil, &store.EventNotFoundError{ID: id}
		}
		events[i] = e
	}
	for _, e := range events {
		for _, s := range append([]*stream{e.origin}, e.linkedTo...) {
			if s == target {
				return nil, &store.DuplicateEventError{Stream: name, ID: e.recorded.ID}
			}
		}
	}
	return events, nil
}
