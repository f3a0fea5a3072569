package sqlite

import (
	"context"

	"github.com/eventstore-go/eventstore/store"
)

var _ store.CorrelationStorage = (*Backend)(nil)

// IndexCorrelations makes the index that [store.Store.Correlation] needs, unless it is there. Every append with a
// CorrelationID pays for it from then on. While it is made, on a large store for a while, nobody can append.
func (b *Backend) IndexCorrelations(ctx context.Context) error {
	return b.write(ctx, func(tx *Backend) error { return tx.exec(ctx, "index_correlations") })
}

// ReadCorrelation implements [store.CorrelationStorage].
func (b *Backend) ReadCorrelation(ctx context.Context, r store.CorrelationRequest) (part store.CorrelationPart, err error) {
	if err := b.usable(ctx); err != nil {
		return part, err
	}
	if !b.correlations.Load() {
		if found, err := b.one(ctx, "correlations_indexed", nil, new(int)); err != nil {
			return part, err
		} else if !found {
			return part, store.ErrNotIndexed
		}
		b.correlations.Store(true)
	}
	s := newScanner("", store.ReadRequest{Limit: r.Limit, Bytes: r.Bytes})
	part.Part, err = b.page(ctx, s, "read_correlation", r.CorrelationID[:], r.From, r.Limit)
	return part, err
}
