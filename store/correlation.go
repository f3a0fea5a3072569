package store

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/google/uuid"
)

// Correlation reads all events that have a CorrelationID, in their global order; Number is an event's position. An error
// comes last, as from [Store.Stream]; it is [ErrNotIndexed] unless the backend's IndexCorrelations was called once, since
// not everybody wants to pay for that index.
func (s *Store) Correlation(ctx context.Context, correlationID uuid.UUID) iter.Seq2[Recorded, error] {
	return func(yield func(Recorded, error) bool) {
		if err := s.correlation(ctx, correlationID, func(e Recorded) bool { return yield(e, nil) }); err != nil {
			yield(Recorded{}, err)
		}
	}
}

// correlation calls yield for each event while it returns true.
func (s *Store) correlation(ctx context.Context, correlationID uuid.UUID, yield func(Recorded) bool) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	storage, ok := s.reads.(CorrelationStorage)
	switch {
	case !ok:
		return fmt.Errorf("store: this backend does not find correlations: %w", errors.ErrUnsupported)
	case correlationID == uuid.Nil:
		return &InvalidError{Field: "correlation_id", Reason: "is zero"}
	}
	if _, err := s.Head(ctx); err != nil { // what was committed has its position
		return err
	}
	r, pager := CorrelationRequest{CorrelationID: correlationID, From: 1}, pager{most: s.bytes}
	for {
		bound := pager.bound(ReadRequest{Limit: DefaultPageSize})
		r.Limit, r.Bytes = bound.Limit, bound.Bytes
		part, err := storage.ReadCorrelation(ctx, r)
		if err != nil && ctx.Err() == nil && !s.inTx && pager.halve(bound, err) {
			continue
		}
		if err != nil {
			return err
		}
		pager.learn(bound, part.Events)
		for _, e := range part.Events {
			if err := ctx.Err(); err != nil {
				return err
			}
			e.codec = s.codec
			if !yield(e) {
				return nil
			}
			r.From = e.Number + 1
		}
		if len(part.Events) < r.Limit && !part.More {
			return nil
		}
		r.Rest = part.Rest
	}
}
