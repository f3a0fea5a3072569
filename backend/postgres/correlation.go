package postgres

import (
	"context"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

var _ store.CorrelationStorage = (*Backend)(nil)

// IndexCorrelations makes the index that [store.Store.Correlation] needs, unless it is there. It takes a while on a large
// store, and keeps nobody from appending meanwhile. Every append with a CorrelationID pays for it from then on. Call it
// outside a transaction; if it is interrupted, call it again.
func (b *Backend) IndexCorrelations(ctx context.Context) error {
	if err := b.Check(ctx); err != nil {
		return err
	}
	if b.tx != nil {
		return &store.InvalidError{Field: "tx", Reason: "can't make an index while others append: call it outside a transaction"}
	}
	var valid bool
	found, err := b.one(ctx, "correlations_indexed", nil, &valid)
	switch {
	case err != nil || found && valid:
		return err
	case found:
		if err := b.exec(ctx, "drop_correlations_index"); err != nil {
			return err
		}
	}
	return b.exec(ctx, "index_correlations")
}

// ReadCorrelation implements [store.CorrelationStorage].
func (b *Backend) ReadCorrelation(ctx context.Context, correlationID uuid.UUID, from int64, limit int) ([]store.Recorded, error) {
	if err := b.Check(ctx); err != nil {
		return nil, err
	}
	if !b.correlations.Load() {
		var valid bool
		if found, err := b.one(ctx, "correlations_indexed", nil, &valid); err != nil {
			return nil, err
		} else if !found || !valid {
			return nil, store.ErrNotIndexed
		}
		b.correlations.Store(true)
	}
	return b.readLinked(ctx, "read_correlation", correlationID.String(), from, int64(limit))
}
