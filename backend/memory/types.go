package memory

import (
	"context"

	"github.com/eventstore-go/eventstore/store"
)

var _ store.TypeIndex = (*Backend)(nil)

// ReadTyped implements [store.TypeIndex] by looking at all events. A page that others follow says so by its Rest.
func (b *Backend) ReadTyped(ctx context.Context, r store.TypedRequest) (part store.TypedPart, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return part, err
	}
	end, filter := int64(len(b.all)), store.EventFilter{Types: r.Types, StreamPrefix: r.StreamPrefix}
	page := filling{request: store.ReadRequest{Backward: r.Backward, Limit: r.Limit, Bytes: r.Bytes}}
	at, behind, step := r.From, max(r.From, end+1), int64(1)
	if r.Backward {
		at, behind, step = min(r.From, end), 0, -1
	}
	for ; at != behind; at += step {
		if e := b.all[at-1]; e != nil && filter.Matches(&e.recorded) && page.full(&e.recorded) {
			return store.TypedPart{Events: page.Events, Next: page.behind(), Rest: true}, nil
		}
	}
	return store.TypedPart{Events: page.Events, Next: behind}, nil
}
