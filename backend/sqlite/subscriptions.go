package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"time"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
	"github.com/eventstore-go/eventstore/store"
)

var _ store.SubscriptionStorage = (*Backend)(nil)

// The clock of leases is this machine's, read under the write lock: whoever has the file open is on the same machine.

// AcquireLease implements [store.SubscriptionStorage].
func (b *Backend) AcquireLease(ctx context.Context, r store.LeaseRequest) (store.Lease, error) {
	l := store.Lease{ID: r.ID}
	err := b.write(ctx, func(tx *Backend) error {
		at := now()
		var owner string
		var until sql.NullInt64
		found, err := tx.one(ctx, "find_lease", []any{r.ID.Stream, r.ID.Name}, &owner, &until)
		switch {
		case err != nil:
			return err
		case !found && !r.Create:
			return &store.SubscriptionError{SubscriptionID: r.ID, Err: store.ErrSubscriptionNotFound}
		case found && owner != r.Owner && until.Int64 > at.UnixMicro():
			return &store.SubscriptionError{SubscriptionID: r.ID, Err: store.ErrLeaseHeld}
		}
		if l.Epoch, err = tx.nextEpoch(ctx); err != nil {
			return err
		}
		_, err = tx.one(ctx, "acquire_lease", []any{
			r.ID.Stream, r.ID.Name, r.Checkpoint, r.StreamID, r.Owner, l.Epoch, at.Add(r.TTL).UnixMicro(), at.UnixMicro(),
		}, &l.Checkpoint, &l.StreamID, &l.Seen.Number, &l.Seen.ID)
		return err
	})
	if err != nil {
		return store.Lease{}, err
	}
	return l, nil
}

// nextEpoch draws an epoch. It runs in a write.
func (b *Backend) nextEpoch(ctx context.Context) (epoch int64, err error) {
	_, err = b.one(ctx, "next_epoch", nil, &epoch)
	return epoch, err
}

// RenewLeases implements [store.SubscriptionStorage].
func (b *Backend) RenewLeases(ctx context.Context, owner string, ttl time.Duration) (list []store.Lease, err error) {
	err = b.write(ctx, func(tx *Backend) error {
		return tx.each(ctx, "renew_leases", func(rows *sql.Rows) error {
			var l store.Lease
			err := rows.Scan(&l.ID.Stream, &l.ID.Name, &l.Epoch, &l.Checkpoint, &l.StreamID, &l.Seen.Number, &l.Seen.ID)
			list = append(list, l)
			return err
		}, owner, now().Add(ttl).UnixMicro())
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// FreeLeases implements [store.SubscriptionStorage].
func (b *Backend) FreeLeases(ctx context.Context) (list []store.SubscriptionID, err error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	err = b.each(ctx, "free_leases", func(rows *sql.Rows) error {
		var id store.SubscriptionID
		err := rows.Scan(&id.Stream, &id.Name)
		list = append(list, id)
		return err
	}, now().UnixMicro())
	return list, err
}

// SaveCheckpoint implements [store.SubscriptionStorage].
func (b *Backend) SaveCheckpoint(ctx context.Context, r store.CheckpointRequest) error {
	return b.write(ctx, func(tx *Backend) error { return tx.saveCheckpoint(ctx, r) })
}

// SaveError implements [store.SubscriptionStorage].
func (b *Backend) SaveError(ctx context.Context, id store.SubscriptionID, epoch int64, text string, number int64) error {
	return b.writeRow(ctx, id, store.ErrLeaseLost, func(tx *Backend) (found bool, err error) {
		return tx.one(ctx, "save_error", []any{id.Stream, id.Name, epoch, sqlerr.Text(text), number, now().UnixMicro()}, new(int))
	})
}

// ReleaseLease implements [store.SubscriptionStorage].
func (b *Backend) ReleaseLease(ctx context.Context, r store.CheckpointRequest) error {
	var refused error // does not undo the release
	err := b.write(ctx, func(tx *Backend) (err error) {
		if refused, err = tx.judge(ctx, r, r.Judge); err != nil {
			return err
		}
		if refused == nil {
			if err := tx.noteCheckpoint(ctx, r); err != nil {
				return err
			}
		}
		return tx.exec(ctx, "release_lease", r.ID.Stream, r.ID.Name, r.Epoch)
	})
	return cmp.Or(err, refused)
}

// ResetSubscription implements [store.SubscriptionStorage].
func (b *Backend) ResetSubscription(ctx context.Context, id store.SubscriptionID, checkpoint, streamID int64) error {
	return b.writeRow(ctx, id, store.ErrSubscriptionNotFound, func(tx *Backend) (found bool, err error) {
		epoch, err := tx.nextEpoch(ctx)
		if err != nil {
			return false, err
		}
		if err := tx.exec(ctx, "discard_all_parked", id.Stream, id.Name); err != nil {
			return false, err
		}
		return tx.one(ctx, "reset_subscription", []any{id.Stream, id.Name, checkpoint, streamID, epoch, now().UnixMicro()}, new(int))
	})
}

// DeleteSubscription implements [store.SubscriptionStorage].
func (b *Backend) DeleteSubscription(ctx context.Context, id store.SubscriptionID) error {
	return b.writeRow(ctx, id, store.ErrSubscriptionNotFound, func(tx *Backend) (found bool, err error) {
		for _, statement := range []string{"discard_all_parked", "forget_parked_changes"} {
			if err := tx.exec(ctx, statement, id.Stream, id.Name); err != nil {
				return false, err
			}
		}
		return tx.one(ctx, "delete_subscription", []any{id.Stream, id.Name}, new(int))
	})
}

// writeRow runs a write to the row of a subscription. If it finds none to write to, the error is missing.
func (b *Backend) writeRow(ctx context.Context, id store.SubscriptionID, missing error, write func(tx *Backend) (found bool, err error)) error {
	return b.write(ctx, func(tx *Backend) error {
		found, err := write(tx)
		if err == nil && !found {
			err = &store.SubscriptionError{SubscriptionID: id, Err: missing}
		}
		return err
	})
}

// ListSubscriptions implements [store.SubscriptionStorage].
func (b *Backend) ListSubscriptions(ctx context.Context) (list []store.SubscriptionInfo, err error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	err = b.each(ctx, "list_subscriptions", func(rows *sql.Rows) error {
		var i store.SubscriptionInfo
		var until, failed, handled sql.NullInt64
		var created, updated int64
		err := rows.Scan(&i.Stream, &i.Name, &i.Checkpoint, &i.StreamID, &i.Seen.Number, &i.Seen.ID, &i.Owner, &i.Epoch, &until, &i.Held, &i.LastError, &i.LastErrorNumber, &failed,
			&created, &updated, &i.Handled, &i.Rate, &handled)
		if until.Valid {
			i.LeaseUntil = fromMicros(until.Int64)
		}
		if i.LastError == "" {
			i.LastErrorNumber = 0
		} else {
			i.LastErrorAt = fromMicros(failed.Int64)
		}
		if handled.Valid {
			i.HandledAt = fromMicros(handled.Int64)
		}
		i.CreatedAt, i.UpdatedAt = fromMicros(created), fromMicros(updated)
		list = append(list, i)
		return err
	}, now().UnixMicro())
	return list, err
}

// Arrivals implements [store.SubscriptionStorage].
func (b *Backend) Arrivals(ctx context.Context, list []store.Behind) (a store.Arrivals, err error) {
	if err := b.usable(ctx); err != nil {
		return a, err
	}
	a.At = make([]time.Time, len(list))
	for i, l := range list {
		var came sql.NullInt64
		if _, err := b.one(ctx, "arrivals", []any{l.Stream, l.Number}, &came); err != nil {
			return a, err
		}
		if came.Valid {
			a.At[i] = fromMicros(came.Int64)
		}
	}
	a.Now = now()
	return a, nil
}
