package sqlite

import (
	"context"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

var _ store.CorrelationStorage = (*Backend)(nil)

// IndexCorrelations makes the index that [store.Store.Correlation] needs, unless it is there. Every append with a
// CorrelationID pays for it from then on. While it is made, on a large store for a while, nobody can append.
func (b *Backend) IndexCorrelations(ctx context.Context) error {
	return b.write(ctx, func(tx *Backend) error { return tx.exec(ctx, "index_correlations") })
}

// ReadCorrelation implements [store.CorrelationStorage].
func (b *Backend) ReadCorrelation(ctx context.Context, correlationID uuid.UUID, from int64, limit int) ([]store.Recorded, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	if !b.correlations.Load() {
		if found, err := b.one(ctx, "correlations_indexed", nil, new(int)); err != nil {
			return nil, err
		} else if !found {
			return nil, store.ErrNotIndexed
		}
		b.correlations.Store(true)
	}
	return b.page(ctx, newScanner("", limit), "read_correlation", correlationID[:], from, limit)
}
