package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
	"github.com/eventstore-go/eventstore/store"
)

var _ store.ParkedStorage = (*Backend)(nil)

// SaveParked implements [store.ParkedStorage].
func (b *Backend) SaveParked(ctx context.Context, r store.ParkedChange) (n int64, err error) {
	err = b.writeRow(ctx, r.ID, store.ErrLeaseLost, func(tx *Backend) (found bool, err error) {
		found, err = tx.one(ctx, "in_epoch", []any{r.ID.Stream, r.ID.Name, r.Epoch}, new(int))
		if err != nil || !found {
			return false, err
		}
		if _, err := tx.eachID(ctx, "unpark", r.ID.Name, r.ID.Stream, r.Remove); err != nil {
			return false, err
		}
		n = 0
		for i := range r.Park {
			e := &r.Park[i]
			there, err := tx.one(ctx, "find_parked", []any{r.ID.Name, e.ID[:], r.ID.Stream, e.Number}, new(int))
			may := there
			if err == nil && !r.Again {
				may, err = tx.one(ctx, "parkable", []any{e.ID[:], r.ID.Stream, r.StreamID}, new(int))
			}
			if err != nil {
				return false, err
			}
			if !may {
				continue
			}
			n++
			if there && !e.Failed {
				continue
			}
			if err := tx.park(ctx, r.ID.Name, r.ID.Stream, e); err != nil {
				return false, err
			}
		}
		return true, nil
	})
	return n, err
}

// park parks an event for a reader on a stream, "" for a projection. It runs in a write.
func (b *Backend) park(ctx context.Context, reader, stream string, e *store.ParkedEvent) error {
	at := e.ParkedAt
	if at.IsZero() {
		at = now()
	}
	return b.exec(ctx, "park", reader, e.Number, e.ID[:], e.Hash, e.Key, e.Stream, e.Version, e.Type, e.Failed, sqlerr.Text(e.Error), e.Attempts,
		at.UnixMicro(), stream)
}

// eachID runs a statement for each of the parked events, and returns how many were there. It runs in a write.
func (b *Backend) eachID(ctx context.Context, statement, reader, stream string, ids []uuid.UUID) (n int64, err error) {
	for _, id := range ids {
		found, err := b.one(ctx, statement, []any{reader, id[:], stream}, new(int))
		if err != nil {
			return n, err
		}
		if found {
			n++
		}
	}
	return n, nil
}

// ReadParked implements [store.ParkedStorage] and [store.ProjectionStorage].
func (b *Backend) ReadParked(ctx context.Context, r store.ParkedRequest) (list []store.ParkedEvent, err error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	reader, stream := r.Projection, ""
	if reader == "" {
		reader, stream = r.Subscription.Name, r.Subscription.Stream
	}
	keys, numbers, except := jsonList(r.Keys), jsonList(r.Numbers), jsonList(r.ExceptKeys)
	statement, args := "read_parked_ready", []any{reader, r.Partition, r.Partitions, r.Limit, stream, r.AfterNumber, r.AfterID[:], except}
	if !r.Ready {
		statement, args = "read_parked", []any{reader, r.AfterNumber, r.AfterID[:], keys, numbers, r.Limit, r.ToNumber, stream}
	}
	err = b.each(ctx, statement, func(rows *sql.Rows) error {
		p := store.ParkedEvent{Projection: r.Projection, Subscription: r.Subscription}
		var id []byte
		var at int64
		err := rows.Scan(&p.Key, &p.Hash, &p.Number, &id, &p.Stream, &p.Version, &p.Type, &p.Failed, &p.Error, &p.Attempts, &at)
		copy(p.ID[:], id)
		p.ParkedAt = fromMicros(at)
		list = append(list, p)
		return err
	}, args...)
	return list, err
}

// jsonList returns a JSON list, a set that every driver can send, or nil if the list is empty.
func jsonList[T string | int64](list []T) any {
	if len(list) == 0 {
		return nil
	}
	text, _ := json.Marshal(list) // strings and numbers can't fail
	return string(text)
}

// LookParked implements [store.ParkedStorage].
func (b *Backend) LookParked(ctx context.Context, id store.SubscriptionID, known int64) (changes int64, keys []string, err error) {
	if err := b.usable(ctx); err != nil {
		return 0, nil, err
	}
	if _, err := b.one(ctx, "parked_changes", []any{id.Stream, id.Name}, &changes); err != nil || changes == known {
		return changes, nil, err
	}
	keys, err = b.parkedKeys(ctx, id.Name, id.Stream, 0, 1)
	return changes, keys, err
}

// parkedKeys returns the keys of a reader on a stream, "" for a projection, in a partition.
func (b *Backend) parkedKeys(ctx context.Context, reader, stream string, partition, partitions int) (keys []string, err error) {
	if err := b.usable(ctx); err != nil {
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
	return b.changeParked(ctx, "release_parked", id, ids)
}

// DiscardParked implements [store.ParkedStorage].
func (b *Backend) DiscardParked(ctx context.Context, id store.SubscriptionID, ids []uuid.UUID) (int64, error) {
	return b.changeParked(ctx, "unpark", id, ids)
}

// changeParked runs a statement for each of the parked events, and makes whatever runs the subscription look.
func (b *Backend) changeParked(ctx context.Context, statement string, id store.SubscriptionID, ids []uuid.UUID) (n int64, err error) {
	err = b.write(ctx, func(tx *Backend) (err error) {
		if err := tx.exec(ctx, "note_parked_changes", id.Stream, id.Name); err != nil {
			return err
		}
		n, err = tx.eachID(ctx, statement, id.Name, id.Stream, ids)
		return err
	})
	return n, err
}

// ParkedCounts implements [store.ParkedStorage].
func (b *Backend) ParkedCounts(ctx context.Context) (map[store.SubscriptionID]int64, error) {
	if err := b.usable(ctx); err != nil {
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
