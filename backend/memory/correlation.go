package memory

import (
	"context"

	"github.com/eventstore-go/eventstore/store"
)

var _ store.CorrelationStorage = (*Backend)(nil)

// ReadCorrelation implements [store.CorrelationStorage] by looking at all events.
func (b *Backend) ReadCorrelation(ctx context.Context, r store.CorrelationRequest) (part store.CorrelationPart, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return part, err
	}
	page := filling{request: store.ReadRequest{Bytes: r.Bytes}}
	for i := r.From - 1; i < int64(len(b.all)) && len(page.Events) < r.Limit; i++ {
		if e := b.all[i]; e != nil && e.recorded.CorrelationID == r.CorrelationID && !page.add(&e.recorded) {
			break
		}
	}
	return store.CorrelationPart{Part: page.Part}, nil
}
