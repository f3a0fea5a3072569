package postgres

import (
	"context"
	"database/sql"
	"strconv"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
	"github.com/eventstore-go/eventstore/store"
)

var _ store.ParkedStorage = (*Backend)(nil)

// SaveParked implements [store.ParkedStorage].
func (b *Backend) SaveParked(ctx context.Context, r store.ParkedChange) (n int64, err error) {
	if err := b.Check(ctx); err != nil {
		return 0, err
	}
	args := append([]any{r.ID.Name}, parkedArrays(r.Park)...)
	args = append(args, r.ID.Stream, uuidArray(r.Remove), r.Epoch, r.StreamID, r.Again)
	err = b.retried(ctx, func() error {
		found, err := b.one(ctx, "save_parked", args, &n)
		if err == nil && !found {
			err = &store.SubscriptionError{SubscriptionID: r.ID, Err: store.ErrLeaseLost}
		}
		return err
	})
	return n, err
}

// parkedArrays returns parked events as arrays. What a text column can't hold of an error is left out.
func parkedArrays(events []store.ParkedEvent) []any {
	ints := [5][]int64{}
	texts := [5][]string{}
	failed := make([]string, len(events))
	for i := range events {
		e := &events[i]
		at := int64(0)
		if !e.ParkedAt.IsZero() {
			at = e.ParkedAt.UnixMicro()
		}
		for k, v := range []int64{e.Number, e.Hash, e.Version, int64(e.Attempts), at} {
			ints[k] = append(ints[k], v)
		}
		for k, v := range []string{e.ID.String(), e.Key, e.Stream, e.Type, sqlerr.Text(e.Error)} {
			texts[k] = append(texts[k], v)
		}
		failed[i] = strconv.FormatBool(e.Failed)
	}
	return []any{
		intArray(ints[0]), intArray(ints[1]), intArray(ints[2]), intArray(ints[3]), textArray(failed), intArray(ints[4]),
		textArray(texts[0]), textArray(texts[1]), textArray(texts[2]), textArray(texts[3]), textArray(texts[4]),
	}
}

// ReadParked implements [store.ParkedStorage] and [store.ProjectionStorage].
func (b *Backend) ReadParked(ctx context.Context, r store.ParkedRequest) (list []store.ParkedEvent, err error) {
	if err := b.Check(ctx); err != nil {
		return nil, err
	}
	reader, stream := r.Projection, ""
	if reader == "" {
		reader, stream = r.Subscription.Name, r.Subscription.Stream
	}
	statement, args := "read_parked_ready", []any{
		reader, r.Partition, r.Partitions, r.Limit, stream, r.AfterNumber, r.AfterID.String(), textArray(r.ExceptKeys),
	}
	if !r.Ready {
		var keys, numbers any
		if len(r.Keys) > 0 {
			keys = textArray(r.Keys)
		}
		if len(r.Numbers) > 0 {
			numbers = intArray(r.Numbers)
		}
		statement, args = "read_parked", []any{reader, r.AfterNumber, r.AfterID.String(), keys, numbers, r.Limit, r.ToNumber, stream}
	}
	err = b.each(ctx, statement, func(rows *sql.Rows) error {
		p := store.ParkedEvent{Projection: r.Projection, Subscription: r.Subscription}
		err := rows.Scan(&p.Key, &p.Hash, &p.Number, &p.ID, &p.Stream, &p.Version, &p.Type, &p.Failed, &p.Error, &p.Attempts, &p.ParkedAt)
		p.ParkedAt = p.ParkedAt.UTC()
		list = append(list, p)
		return err
	}, args...)
	return list, err
}

// LookParked implements [store.ParkedStorage].
func (b *Backend) LookParked(ctx context.Context, id store.SubscriptionID, known int64) (changes int64, keys []string, err error) {
	if err := b.Check(ctx); err != nil {
		return 0, nil, err
	}
	if _, err := b.one(ctx, "parked_changes", []any{id.Name, id.Stream}, &changes); err != nil || changes == known {
		return changes, nil, err
	}
	keys, err = b.parkedKeys(ctx, id.Name, id.Stream, 0, 1)
	return changes, keys, err
}

// parkedKeys returns the keys of a reader on a stream, "" for a projection, in a partition.
func (b *Backend) parkedKeys(ctx context.Context, reader, stream string, partition, partitions int) (keys []string, err error) {
	if err := b.Check(ctx); err != nil {
		return nil, err
	}
	err = b.each(ctx, "parked_keys", func(rows *sql.Rows) error {
		var key string
		err := rows.Scan(&key)
		keys = append(keys, key)
		return err
	}, reader, partition, partitions, stream)
	return keys, err
}

// ReplayParked implements [store.ParkedStorage].
func (b *Backend) ReplayParked(ctx context.Context, id store.SubscriptionID, ids []uuid.UUID) (int64, error) {
	return b.count(ctx, "replay_parked", id.Name, uuidArray(ids), id.Stream)
}

// DiscardParked implements [store.ParkedStorage].
func (b *Backend) DiscardParked(ctx context.Context, id store.SubscriptionID, ids []uuid.UUID) (int64, error) {
	return b.count(ctx, "discard_parked", id.Name, uuidArray(ids), id.Stream)
}

// ParkedCounts implements [store.ParkedStorage].
func (b *Backend) ParkedCounts(ctx context.Context) (map[store.SubscriptionID]int64, error) {
	if err := b.Check(ctx); err != nil {
		return nil, err
	}
	counts := map[store.SubscriptionID]int64{}
	err := b.each(ctx, "parked_counts", func(rows *sql.Rows) error {
		var id store.SubscriptionID
		var n int64
		err := rows.Scan(&id.Stream, &id.Name, &n)
		counts[id] = n
		return err
	})
	return counts, err
}
