package sqlite

import (
	"context"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

var _ store.MultiAppender = (*Backend)(nil)

// AppendAll implements [store.MultiAppender].
func (b *Backend) AppendAll(ctx context.Context, list []store.AppendRequest) (results []store.AppendResult, err error) {
	err = b.write(ctx, func(tx *Backend) error {
		results, err = tx.appendAll(ctx, list)
		return err
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

func (b *Backend) appendAll(ctx context.Context, list []store.AppendRequest) ([]store.AppendResult, error) {
	results := make([]store.AppendResult, 0, len(list))
	streams, ids := make([]stream, len(list)), make([][]byte, len(list))
	for i, r := range list {
		var err error
		if streams[i], err = b.stream(ctx, r.Stream); err != nil {
			return nil, err
		}
		if r.FreshIDs {
			continue
		}
		ids[i] = idList(len(r.Events), func(k int) uuid.UUID { return r.Events[k].ID })
		if res, retried, err := b.retry(ctx, r, streams[i], ids[i]); err != nil {
			return nil, err
		} else if retried {
			results = append(results, res)
		}
	}
	if len(results) == len(list) {
		return results, nil
	}
	for i, r := range list {
		if err := r.Expected.Judge(r.Stream, streams[i].state()); err != nil {
			return nil, err
		}
	}
	for i, r := range list {
		if err := b.unknown(ctx, r, ids[i]); err != nil {
			return nil, err
		}
	}
	results = results[:0]
	for i, r := range list {
		res, err := b.insert(ctx, r, streams[i])
		if err != nil {
			return nil, err
		}
		results = append(results, res)
	}
	return results, nil
}
