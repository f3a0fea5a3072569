package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
	"github.com/eventstore-go/eventstore/store"
)

var _ store.SubscriptionStorage = (*Backend)(nil)

// AcquireLease implements [store.SubscriptionStorage].
func (b *Backend) AcquireLease(ctx context.Context, r store.LeaseRequest) (l store.Lease, err error) {
	if err := b.Check(ctx); err != nil {
		return l, err
	}
	args := []any{r.ID.Stream, r.ID.Name, r.Owner, r.TTL.Microseconds()}
	statement := "acquire_lease"
	if r.Create {
		statement, args = "create_lease", append(args, r.Checkpoint, r.StreamID)
	}
	l.ID = r.ID
	err = b.retried(ctx, func() error {
		taken, err := b.one(ctx, statement, args, &l.Epoch, &l.Checkpoint, &l.StreamID, &l.Seen.Number, &l.Seen.ID, &l.Era)
		if err != nil || taken {
			return err
		}
		found := r.Create // there is a row that create_lease can't have
		if !found {
			found, err = b.one(ctx, "find_subscription", []any{r.ID.Stream, r.ID.Name}, new(int))
		}
		switch {
		case err != nil:
			return err
		case found:
			return &store.SubscriptionError{SubscriptionID: r.ID, Err: store.ErrLeaseHeld}
		}
		return &store.SubscriptionError{SubscriptionID: r.ID, Err: store.ErrSubscriptionNotFound}
	})
	if err != nil {
		return store.Lease{}, err
	}
	return l, nil
}

// RenewLeases implements [store.SubscriptionStorage].
func (b *Backend) RenewLeases(ctx context.Context, owner string, ttl time.Duration) (list []store.Lease, err error) {
	if err := b.Check(ctx); err != nil {
		return nil, err
	}
	err = b.retried(ctx, func() error {
		list = nil
		return b.each(ctx, "renew_leases", func(rows *sql.Rows) error {
			var l store.Lease
			err := rows.Scan(&l.ID.Stream, &l.ID.Name, &l.Epoch, &l.Checkpoint, &l.StreamID, &l.Seen.Number, &l.Seen.ID, &l.Era)
			list = append(list, l)
			return err
		}, owner, ttl.Microseconds())
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// FreeLeases implements [store.SubscriptionStorage].
func (b *Backend) FreeLeases(ctx context.Context) (list []store.SubscriptionID, err error) {
	if err := b.Check(ctx); err != nil {
		return nil, err
	}
	err = b.each(ctx, "free_leases", func(rows *sql.Rows) error {
		var id store.SubscriptionID
		err := rows.Scan(&id.Stream, &id.Name)
		list = append(list, id)
		return err
	})
	return list, err
}

// SaveCheckpoint implements [store.SubscriptionStorage].
func (b *Backend) SaveCheckpoint(ctx context.Context, r store.CheckpointRequest) error {
	return b.saveJudged(ctx, r.Judge, "save_checkpoint", checkpointArgs(r)...)
}

// SaveError implements [store.SubscriptionStorage]. What a text column can't hold is left out.
func (b *Backend) SaveError(ctx context.Context, id store.SubscriptionID, epoch int64, text string, number int64) error {
	return b.writeRow(ctx, id, store.ErrLeaseLost, "save_error", id.Stream, id.Name, epoch, sqlerr.Text(text), number)
}

// ReleaseLease implements [store.SubscriptionStorage].
func (b *Backend) ReleaseLease(ctx context.Context, r store.CheckpointRequest) error {
	err := b.SaveCheckpoint(ctx, r)
	if errors.Is(err, store.ErrLeaseLost) && !errors.As(err, new(*store.CheckpointLostError)) {
		return err
	}
	return cmp.Or(err, b.writeRow(ctx, r.ID, store.ErrLeaseLost, "release_lease", r.ID.Stream, r.ID.Name, r.Epoch))
}

// ResetSubscription implements [store.SubscriptionStorage].
func (b *Backend) ResetSubscription(ctx context.Context, id store.SubscriptionID, checkpoint, streamID int64) error {
	return b.writeRow(ctx, id, store.ErrSubscriptionNotFound, "reset_subscription", id.Stream, id.Name, checkpoint, streamID)
}

// DeleteSubscription implements [store.SubscriptionStorage].
func (b *Backend) DeleteSubscription(ctx context.Context, id store.SubscriptionID) error {
	return b.writeRow(ctx, id, store.ErrSubscriptionNotFound, "delete_subscription", id.Stream, id.Name)
}

// writeRow runs a statement that writes the row of a subscription and returns a row then. If it finds none to write to,
// the error is missing.
func (b *Backend) writeRow(ctx context.Context, id store.SubscriptionID, missing error, statement string, args ...any) error {
	if err := b.Check(ctx); err != nil {
		return err
	}
	write := func(b *Backend) error {
		found, err := b.one(ctx, statement, args, new(string))
		if err == nil && !found {
			err = &store.SubscriptionError{SubscriptionID: id, Err: missing}
		}
		return err
	}
	if statement == "release_lease" || statement == "delete_subscription" {
		return b.once(ctx, write) // a second run may find no row, or another owner's, because of the first
	}
	return b.retried(ctx, func() error { return write(b) })
}

// ListSubscriptions implements [store.SubscriptionStorage].
func (b *Backend) ListSubscriptions(ctx context.Context) (list []store.SubscriptionInfo, err error) {
	if err := b.Check(ctx); err != nil {
		return nil, err
	}
	err = b.each(ctx, "list_subscriptions", func(rows *sql.Rows) error {
		var i store.SubscriptionInfo
		var until, failed, handled sql.NullTime
		err := rows.Scan(&i.Stream, &i.Name, &i.Checkpoint, &i.StreamID, &i.Seen.Number, &i.Seen.ID, &i.Owner, &i.Epoch, &until, &i.Held, &i.LastError, &i.LastErrorNumber, &failed,
			&i.CreatedAt, &i.UpdatedAt, &i.Handled, &i.Rate, &handled)
		if until.Valid {
			i.LeaseUntil = until.Time.UTC()
		}
		if i.LastError == "" {
			i.LastErrorNumber = 0
		} else {
			i.LastErrorAt = failed.Time.UTC()
		}
		if handled.Valid {
			i.HandledAt = handled.Time.UTC()
		}
		i.CreatedAt, i.UpdatedAt = i.CreatedAt.UTC(), i.UpdatedAt.UTC()
		list = append(list, i)
		return err
	})
	return list, err
}

// Arrivals implements [store.SubscriptionStorage].
func (b *Backend) Arrivals(ctx context.Context, list []store.Behind) (a store.Arrivals, err error) {
	if err := b.Check(ctx); err != nil {
		return a, err
	}
	streams, numbers := make([]string, len(list)), make([]int64, len(list))
	for i, l := range list {
		streams[i], numbers[i] = l.Stream, l.Number
	}
	a.At = make([]time.Time, len(list))
	err = b.each(ctx, "arrivals", func(rows *sql.Rows) error {
		var nr int
		var came sql.NullTime
		err := rows.Scan(&nr, &came, &a.Now)
		if err == nil && came.Valid {
			a.At[nr-1] = came.Time.UTC()
		}
		return err
	}, textArray(streams), intArray(numbers))
	a.Now = a.Now.UTC()
	return a, err
}
