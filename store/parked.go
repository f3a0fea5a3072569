package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"

	"github.com/google/uuid"
)

// ParkedFilter chooses parked events. The zero value chooses all of a projection.
type ParkedFilter struct {
	// Stream says that the name is that of a subscription on this stream, or on [All], which [Store.Consume] runs. Default: it is
	// that of a projection.
	Stream string
	// Keys are partition keys: by default, names of streams. Default: all.
	Keys []string
	// Numbers are the events' numbers in the stream that is read. Default: all.
	Numbers []int64
	// AfterNumber leaves out events up to this one. Default: none.
	AfterNumber int64
	// Limit is how many events are wanted at most. Default: all.
	Limit int
}

// Parked returns the events that a projection, or with [ParkedFilter].Stream a subscription, has put aside, by number: those that
// have failed, and those of the same partition key behind them.
func (s *Store) Parked(ctx context.Context, name string, f *ParkedFilter) (list []ParkedEvent, err error) {
	reader, err := s.parkedBy(ctx, name, f)
	if err != nil {
		return nil, err
	}
	err = reader.each(ctx, func(page []ParkedEvent) error {
		list = append(list, page...)
		return nil
	})
	return list, err
}

// ReplayParked has the process that runs the projection, or the subscription, handle parked events again, in order: an event as soon as
// nothing of its key before it is parked. ReplayParked does not wait for that. OnError decides about an event that fails again; until that
// is retried, other keys are replayed and new events go on. It returns how many events were chosen.
func (s *Store) ReplayParked(ctx context.Context, name string, f *ParkedFilter) (n int64, err error) {
	reader, err := s.parkedBy(ctx, name, f)
	if err != nil {
		return 0, err
	}
	return reader.change(ctx, reader.replay)
}

// DiscardParked gives parked events up: they are never applied, unless they are being replayed already. Events behind them are, unless they
// are discarded, too. It returns how many events were discarded. A subscription delivers at least once: if the process that parked an event
// crashed before it wrote its checkpoint, the event comes again even if it was discarded meanwhile.
func (s *Store) DiscardParked(ctx context.Context, name string, f *ParkedFilter) (n int64, err error) {
	reader, err := s.parkedBy(ctx, name, f)
	if err != nil {
		return 0, err
	}
	return reader.change(ctx, reader.discard)
}

// parkedReader is what parks events, and which of them are chosen.
type parkedReader struct {
	request ParkedRequest
	limit   int // 0: none
	read    func(ctx context.Context, r ParkedRequest) ([]ParkedEvent, error)
	replay  func(ctx context.Context, ids []uuid.UUID) (int64, error)
	discard func(ctx context.Context, ids []uuid.UUID) (int64, error)
}

// parkedBy returns the projection or subscription called name, with what f chooses of its parked events.
func (s *Store) parkedBy(ctx context.Context, name string, f *ParkedFilter) (*parkedReader, error) {
	if f == nil {
		f = &ParkedFilter{}
	}
	find := s.parkedByProjection
	if f.Stream != "" {
		find = s.parkedBySubscription
	}
	reader, err := find(ctx, name, f)
	switch {
	case err != nil:
		return nil, err
	case f.Limit < 0 || f.AfterNumber < 0:
		return nil, &InvalidError{Field: "AfterNumber, Limit", Reason: "must not be negative"}
	}
	reader.limit = f.Limit
	r := &reader.request
	r.Numbers, r.AfterNumber, r.AfterID, r.ToNumber = f.Numbers, f.AfterNumber, uuid.Max, math.MaxInt64
	if len(f.Numbers) > 0 {
		r.AfterNumber, r.ToNumber = max(r.AfterNumber, slices.Min(f.Numbers)-1), slices.Max(f.Numbers)
	}
	for _, key := range f.Keys {
		key, _ = PartitionKey(key)
		r.Keys = append(r.Keys, key)
	}
	return reader, nil
}

func (s *Store) parkedByProjection(ctx context.Context, name string, _ *ParkedFilter) (*parkedReader, error) {
	storage, err := s.manageProjection(ctx, name)
	if err != nil {
		return nil, err
	}
	if _, err := readProjection(ctx, storage, name); err != nil {
		return nil, err
	}
	changing := func(change func(storage ProjectionStorage, ids []uuid.UUID) (int64, error)) func(context.Context, []uuid.UUID) (int64, error) {
		return func(ctx context.Context, ids []uuid.UUID) (n int64, err error) {
			err = s.inProjectionTx(ctx, name, func(_ *sql.Tx, storage ProjectionStorage, r *ProjectionRecord) (err error) {
				n, err = change(storage, ids)
				r.Changes++
				return err
			})
			return n, err
		}
	}
	return &parkedReader{
		request: ParkedRequest{Projection: name},
		read:    storage.ReadParked,
		replay: changing(func(storage ProjectionStorage, ids []uuid.UUID) (int64, error) {
			return storage.ReleaseParked(ctx, name, ids)
		}),
		discard: changing(func(storage ProjectionStorage, ids []uuid.UUID) (int64, error) {
			return storage.Unpark(ctx, name, ids)
		}),
	}, nil
}

func (s *Store) parkedBySubscription(ctx context.Context, name string, f *ParkedFilter) (*parkedReader, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	id := SubscriptionID{Stream: f.Stream, Name: name}
	if err := checkSubscription(id); err != nil {
		return nil, err
	}
	h, err := s.subscriptions()
	if err != nil {
		return nil, err
	}
	storage, ok := s.storage.(ParkedStorage)
	if !ok {
		return nil, fmt.Errorf("store: %w", ErrNoParking)
	}
	list, err := h.storage.ListSubscriptions(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(list, func(i SubscriptionInfo) bool { return i.SubscriptionID == id }) {
		return nil, &SubscriptionError{id, ErrSubscriptionNotFound}
	}
	return &parkedReader{
		request: ParkedRequest{Subscription: id, Partitions: 1},
		read:    storage.ReadParked,
		replay: func(ctx context.Context, ids []uuid.UUID) (int64, error) {
			return storage.ReplayParked(ctx, id, ids)
		},
		discard: func(ctx context.Context, ids []uuid.UUID) (int64, error) {
			return storage.DiscardParked(ctx, id, ids)
		},
	}, nil
}

// each calls do for pages of parked events.
func (p *parkedReader) each(ctx context.Context, do func(page []ParkedEvent) error) error {
	r, left := p.request, p.limit
	if left == 0 {
		left = math.MaxInt
	}
	for left > 0 {
		r.Limit = min(DefaultPageSize, left)
		page, err := p.read(ctx, r)
		if err != nil {
			return err
		}
		if len(page) > 0 {
			if err := do(page); err != nil {
				return err
			}
			last := page[len(page)-1]
			r.AfterNumber, r.AfterID = last.Number, last.ID
		}
		if left -= len(page); len(page) < r.Limit {
			return nil
		}
	}
	return nil
}

// change changes parked events, and returns how many were there. It begins with the highest numbers, a page at a time: so none is ready
// because those before it are gone, while it is still to be changed itself.
func (p *parkedReader) change(ctx context.Context, change func(ctx context.Context, ids []uuid.UUID) (int64, error)) (total int64, err error) {
	var ids []uuid.UUID
	err = p.each(ctx, func(page []ParkedEvent) error {
		for i := range page {
			ids = append(ids, page[i].ID)
		}
		return nil
	})
	for err == nil && len(ids) > 0 {
		rest := max(len(ids)-DefaultPageSize, 0)
		var n int64
		n, err = change(ctx, ids[rest:])
		total += n
		ids = ids[:rest]
	}
	return total, err
}
