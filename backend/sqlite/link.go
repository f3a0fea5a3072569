package sqlite

import (
	"context"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// Link implements [store.Storage].
func (b *Backend) Link(ctx context.Context, r store.LinkRequest) (res store.AppendResult, err error) {
	err = b.write(ctx, func(tx *Backend) error {
		res, err = tx.link(ctx, r)
		return err
	})
	if err != nil {
		return store.AppendResult{}, err
	}
	return res, nil
}

func (b *Backend) link(ctx context.Context, r store.LinkRequest) (store.AppendResult, error) {
	s, err := b.stream(ctx, r.Stream)
	if err != nil {
		return store.AppendResult{}, err
	}
	if err := r.Expected.Judge(r.Stream, s.state()); err != nil {
		return store.AppendResult{}, err
	}
	ids := idList(len(r.Events), func(i int) uuid.UUID { return r.Events[i] })
	if err := b.linkable(ctx, r, s, ids); err != nil {
		return store.AppendResult{}, err
	}
	first := s.info.Version + 1
	if s, err = b.grow(ctx, s, int64(len(r.Events)), now().UnixMicro()); err != nil {
		return store.AppendResult{}, err
	}
	if err := b.exec(ctx, "link_events", ids, s.info.ID, first, now().UnixMicro()); err != nil {
		return store.AppendResult{}, err
	}
	return store.AppendResult{Stream: r.Stream, First: first, Last: s.info.Version}, nil
}

// linkable checks that the events are there, and not yet in s.
func (b *Backend) linkable(ctx context.Context, r store.LinkRequest, s stream, ids []byte) error {
	var i int
	if found, err := b.one(ctx, "link_unknown", []any{ids}, &i); err != nil {
		return err
	} else if found {
		return &store.EventNotFoundError{ID: r.Events[i]}
	}
	if found, err := b.one(ctx, "link_present", []any{ids, s.info.ID}, &i); err != nil {
		return err
	} else if found {
		return &store.DuplicateEventError{Stream: r.Stream, ID: r.Events[i]}
	}
	return nil
}
