package memory

import (
	"context"

	"github.com/eventstore-go/eventstore/store"
)

// AppendAll implements [store.MultiAppender].
func (b *Backend) AppendAll(ctx context.Context, list []store.AppendRequest) ([]store.AppendResult, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	results := make([]store.AppendResult, 0, len(list))
	for _, r := range list {
		if first, ok := b.retry(r); ok {
			results = append(results, store.AppendResult{Stream: r.Stream, First: first, Last: first + int64(len(r.Events)) - 1, Retried: true})
		}
	}
	if len(results) == len(list) {
		return results, nil
	}
	for _, r := range list {
		if err := r.Expected.Judge(r.Stream, b.state(r.Stream)); err != nil {
			return nil, err
		}
	}
	for _, r := range list {
		for _, e := range r.Events {
			if _, there := b.events[e.ID]; there {
				return nil, &store.DuplicateEventError{Stream: r.Stream, ID: e.ID}
			}
		}
	}
	results = results[:0]
	for _, r := range list {
		results = append(results, b.write(r))
	}
	return results, nil
}
