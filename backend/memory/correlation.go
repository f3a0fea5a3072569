package memory

import (
	"context"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

var _ store.CorrelationStorage = (*Backend)(nil)

// ReadCorrelation implements [store.CorrelationStorage] by looking at all events.
func (b *Backend) ReadCorrelation(ctx context.Context, correlationID uuid.UUID, from int64, limit int) (page []store.Recorded, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for i := from - 1; i < int64(len(b.all)) && len(page) < limit; i++ {
		if e := b.all[i]; e != nil && e.recorded.CorrelationID == correlationID {
			page = append(page, e.recorded)
		}
	}
	return page, nil
}
