package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
)

// manageProjection returns the storage of projections for a call that is about one.
func (s *Store) manageProjection(ctx context.Context, name string) (ProjectionStorage, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	storage, err := s.projections(name)
	if err == nil && name == "" {
		err = checkText("projection", name, MaxProjectionName)
	}
	return storage, err
}

// projections returns the storage of projections, or why there is none. The name is checked unless it is "".
func (s *Store) projections(name string) (ProjectionStorage, error) {
	if _, err := s.subscriptions(); err != nil {
		return nil, err
	}
	storage, ok := s.storage.(ProjectionStorage)
	if !ok {
		return nil, fmt.Errorf("store: projections: %w", ErrNoTransactions)
	}
	if name == "" {
		return storage, nil
	}
	return storage, checkText("projection", name, MaxProjectionName)
}

// inProjectionTx runs f in a transaction in which nobody else changes the projection, and saves the record as f leaves it.
func (s *Store) inProjectionTx(ctx context.Context, name string, f func(tx *sql.Tx, storage ProjectionStorage, r *ProjectionRecord) error) error {
	storage, err := s.manageProjection(ctx, name)
	if err != nil {
		return err
	}
	return s.inTxAgain(ctx, func(tx *sql.Tx) error {
		storage := storage.WithTx(tx).(ProjectionStorage)
		r, err := storage.LockProjection(ctx, name)
		if err != nil {
			return err
		}
		if err := f(tx, storage, &r); err != nil {
			return err
		}
		return storage.SaveProjection(ctx, r)
	})
}

// inTxAgain is InTx, but runs f again while the database gives the transaction up for the sake of those who run the
// projection.
func (s *Store) inTxAgain(ctx context.Context, f func(tx *sql.Tx) error) error {
	const most = 10
	for attempt := 1; ; attempt++ {
		err := s.InTx(ctx, f)
		if attempt == most || !errors.Is(err, ErrRetryTx) || ctx.Err() != nil {
			return err
		}
	}
}

// Repartition changes the number of partitions of a projection, while it runs or not: no event is lost or applied twice,
// and the order within a key holds. Those who run it begin to run the new partitions within a third of the lease time.
//
// Partitions need not be at the same position for it. The new ones begin where the last of the old ones was, and leave out
// what was applied already: for a while a key's events are applied if they are above the checkpoint of the partition
// that had the key before, too.
func (s *Store) Repartition(ctx context.Context, name string, partitions int) error {
	if partitions < 1 || partitions > MaxPartitions {
		return &InvalidError{Field: "partitions", Reason: fmt.Sprintf("is %d, must be from 1 to %d", partitions, MaxPartitions)}
	}
	return s.inProjectionTx(ctx, name, func(_ *sql.Tx, storage ProjectionStorage, r *ProjectionRecord) error {
		if r.ReplacedBy != "" {
			return &ProjectionError{name, ErrProjectionReplaced}
		}
		were, err := storage.RemoveSubscriptions(ctx, r.partitions())
		if err != nil {
			return err
		}
		checkpoint, streamID, err := r.next(partitions, were)
		if err != nil {
			return err
		}
		return storage.AddSubscriptions(ctx, r.partitions(), checkpoint, streamID)
	})
}

// ResetProjection makes a projection begin again with the first event: it is how a read model is rebuilt. In the same
// transaction what is parked is discarded, and clear, unless it is nil, empties the read model; it is called again if the
// database has given the transaction up. What runs the projection goes on from there, within a third of the lease time.
//
// On events up to where the stream ends now, [Recorded].Replaying is set, so that a handler does nothing twice that goes
// beyond its tables; an event that was not applied before counts among them. [Store.Projection] tells how far it has come.
func (s *Store) ResetProjection(ctx context.Context, name string, clear func(ctx context.Context, tx *sql.Tx) error) error {
	storage, err := s.manageProjection(ctx, name)
	if err != nil {
		return err
	}
	record, err := readProjection(ctx, storage, name)
	if err != nil {
		return err
	}
	end, err := s.end(ctx, record.Stream)
	if err != nil {
		return err
	}
	return s.inProjectionTx(ctx, name, func(tx *sql.Tx, storage ProjectionStorage, r *ProjectionRecord) error {
		were, err := storage.RemoveSubscriptions(ctx, r.partitions())
		if err != nil {
			return err
		}
		r.ReplayUntil, r.ReplacedBy = end.Version, ""
		for _, l := range were { // in case they have come further since
			if l.StreamID == end.ID {
				r.ReplayUntil = max(r.ReplayUntil, l.Checkpoint)
			}
		}
		r.Generation++
		r.Applied = ""
		r.Changes++
		if err := discardAll(ctx, storage, name); err != nil {
			return err
		}
		if clear != nil {
			if err := clear(ctx, tx); err != nil {
				return err
			}
		}
		return storage.AddSubscriptions(ctx, r.partitions(), 0, 0)
	})
}

// discardAll discards everything that is parked. Nothing is parked meanwhile, since the partitions are removed.
func discardAll(ctx context.Context, storage ProjectionStorage, projection string) error {
	r := ParkedRequest{Projection: projection, AfterNumber: -1, ToNumber: math.MaxInt64, Limit: DefaultPageSize}
	for {
		page, err := storage.ReadParked(ctx, r)
		if err != nil || len(page) == 0 {
			return err
		}
		ids := make([]uuid.UUID, len(page))
		for i := range page {
			ids[i] = page[i].ID
		}
		if _, err := storage.Unpark(ctx, projection, ids); err != nil {
			return err
		}
		last := page[len(page)-1]
		r.AfterNumber, r.AfterID = last.Number, last.ID
	}
}

// end returns where a stream, or All, ends.
func (s *Store) end(ctx context.Context, stream string) (StreamInfo, error) {
	if stream == All {
		head, err := s.storage.Head(ctx)
		return StreamInfo{Version: head}, err
	}
	infos, err := s.hub.storage.StreamVersions(ctx, []string{stream})
	return infos[stream], err
}

// ReplaceOptions of [Store.ReplaceProjection]. The zero value of each field is its default.
type ReplaceOptions struct {
	// AllowParked lets a projection take over that has parked events: readers miss what these events say. Default: false, it is
	// [ErrParked].
	AllowParked bool
}

// ReplaceProjection makes fresh take the place of old: a new version of a read model, which was built beside the old one
// under a name and in tables of its own. It waits until fresh has come as far as old; then, in one transaction in which
// old can't go on, switchOver makes readers use the new tables, by renaming them or changing a view (again, if the database
// has given the transaction up), and old ends for good: Project of it returns [ErrProjectionReplaced], now and later. Both must be on
// the same stream.
//
// If fresh has parked events when it could take over, nothing changes, and the error is a [ParkedError], which is [ErrParked]:
// replay or discard them and call ReplaceProjection again, or set AllowParked.
func (s *Store) ReplaceProjection(ctx context.Context, old, fresh string, switchOver func(ctx context.Context, tx *sql.Tx) error, opts *ReplaceOptions) error {
	storage, err := s.manageProjection(ctx, fresh)
	if err != nil {
		return err
	}
	if switchOver == nil {
		return &InvalidError{Field: "switchOver", Reason: "is nil"}
	}
	if opts == nil {
		opts = &ReplaceOptions{}
	}
	for {
		from, err := readProjection(ctx, storage, old)
		if err != nil {
			return err
		}
		to, err := readProjection(ctx, storage, fresh)
		switch {
		case err != nil:
			return err
		case old == fresh || from.Stream != to.Stream:
			return &InvalidError{Field: "fresh", Reason: "must be another projection, on the same stream"}
		case from.ReplacedBy != "" || to.ReplacedBy != "":
			return &ProjectionError{old, ErrProjectionReplaced}
		}
		caughtUp, err := s.tryReplace(ctx, storage, old, fresh, switchOver, opts)
		if err != nil || caughtUp {
			return err
		}
		select {
		case <-time.After(min(s.hub.pollEvery, 100*time.Millisecond)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tryReplace replaces old if fresh has come as far, which it reports.
func (s *Store) tryReplace(ctx context.Context, storage ProjectionStorage, old, fresh string, switchOver func(ctx context.Context, tx *sql.Tx) error, opts *ReplaceOptions) (caughtUp bool, err error) {
	if caughtUp, err = asFar(ctx, storage, old, fresh); err != nil || !caughtUp {
		return false, err // without keeping anybody waiting
	}
	err = s.inProjectionTx(ctx, old, func(tx *sql.Tx, storage ProjectionStorage, r *ProjectionRecord) error {
		if r.ReplacedBy != "" {
			return &ProjectionError{old, ErrProjectionReplaced}
		}
		were, err := storage.RemoveSubscriptions(ctx, r.partitions()) // old can't go on from here
		if err != nil {
			return err
		}
		now, err := reached(ctx, storage, fresh)
		if err != nil {
			return err
		}
		most, err := r.furthest(were)
		if err != nil {
			return err
		}
		if caughtUp = atLeast(now, most); !caughtUp {
			return errBehind
		}
		if !opts.AllowParked { // asked after the checkpoints: what was parked before these is seen
			if err := complete(ctx, storage, fresh); err != nil {
				return err
			}
		}
		r.ReplacedBy = fresh
		r.Generation++
		return switchOver(ctx, tx)
	})
	if err == errBehind { //nolint:errorlint // returned by the function above
		err = nil
	}
	return caughtUp && err == nil, err
}

// complete returns a ParkedError if the projection has parked events.
func complete(ctx context.Context, storage ProjectionStorage, name string) error {
	counts, err := storage.CountParked(ctx, name, 1)
	if err != nil {
		return err
	}
	if counts[0] > 0 {
		return &ParkedError{Projection: name, Count: counts[0]}
	}
	return nil
}

// errBehind rolls a transaction back.
var errBehind = fmt.Errorf("the new projection is behind the old one")

// asFar reports whether fresh has come as far as old.
func asFar(ctx context.Context, storage ProjectionStorage, old, fresh string) (bool, error) {
	record, err := readProjection(ctx, storage, old)
	if err != nil {
		return false, err
	}
	were, err := reached(ctx, storage, old)
	if err != nil {
		return false, err
	}
	now, err := reached(ctx, storage, fresh)
	if err != nil {
		return false, err
	}
	most, err := record.furthest(were)
	return err == nil && atLeast(now, most), err
}

// reached returns where the partitions of a projection are.
func reached(ctx context.Context, storage ProjectionStorage, name string) ([]Lease, error) {
	record, err := readProjection(ctx, storage, name)
	if err != nil {
		return nil, err
	}
	infos, err := storage.ListSubscriptions(ctx)
	if err != nil {
		return nil, err
	}
	ids := record.partitions()
	var list []Lease
	for _, i := range infos {
		if slices.Contains(ids, i.SubscriptionID) {
			list = append(list, Lease{ID: i.SubscriptionID, Checkpoint: i.Checkpoint, StreamID: i.StreamID})
		}
	}
	return list, nil
}

// atLeast reports whether there are partitions, and all are at number or behind it.
func atLeast(list []Lease, number int64) bool {
	for _, l := range list {
		if l.Checkpoint < number {
			return false
		}
	}
	return len(list) > 0
}

// DeleteProjection removes a projection with its checkpoints and what is parked. Its read model stays. Whoever runs it gets
// [ErrProjectionNotFound], within a third of the lease time.
func (s *Store) DeleteProjection(ctx context.Context, name string) error {
	storage, err := s.manageProjection(ctx, name)
	if err != nil {
		return err
	}
	return s.inTxAgain(ctx, func(tx *sql.Tx) error {
		storage := storage.WithTx(tx).(ProjectionStorage)
		r, err := storage.LockProjection(ctx, name)
		if err != nil {
			return err
		}
		if _, err := storage.RemoveSubscriptions(ctx, r.partitions()); err != nil {
			return err
		}
		return storage.RemoveProjection(ctx, name)
	})
}
