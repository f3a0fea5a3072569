package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

var (
	_ store.ProjectionStorage = (*Backend)(nil)
	_ store.DeadlockDetector  = (*Backend)(nil)
)

// Advance implements [store.ProjectionStorage].
func (b *Backend) Advance(ctx context.Context, r store.AdvanceRequest) error {
	return b.write(ctx, func(tx *Backend) error {
		if refused, err := tx.judge(ctx, r.CheckpointRequest, r.Judge); err != nil || refused != nil {
			return cmp.Or(err, refused)
		}
		if r.From > 0 {
			if err := tx.noteCheckpoint(ctx, r.CheckpointRequest); err != nil {
				return err
			}
		}
		return tx.exec(ctx, "advance", r.ID.Stream, r.ID.Name, r.Handled, r.Rate, now().UnixMicro())
	})
}

// AddSubscriptions implements [store.ProjectionStorage].
func (b *Backend) AddSubscriptions(ctx context.Context, ids []store.SubscriptionID, checkpoint, streamID int64) error {
	return b.write(ctx, func(tx *Backend) error {
		for _, id := range ids {
			epoch, err := tx.nextEpoch(ctx)
			if err != nil {
				return err
			}
			if err := tx.exec(ctx, "add_subscription", id.Stream, id.Name, checkpoint, streamID, epoch, now().UnixMicro()); err != nil {
				return err
			}
		}
		return nil
	})
}

// RemoveSubscriptions implements [store.ProjectionStorage].
func (b *Backend) RemoveSubscriptions(ctx context.Context, ids []store.SubscriptionID) (list []store.Lease, err error) {
	err = b.write(ctx, func(tx *Backend) error {
		list = nil
		for _, id := range ids {
			l := store.Lease{ID: id}
			found, err := tx.one(ctx, "remove_subscription", []any{id.Stream, id.Name}, &l.Epoch, &l.Checkpoint, &l.StreamID)
			if err != nil {
				return err
			}
			if found {
				list = append(list, l)
			}
		}
		return nil
	})
	return list, err
}

// run writes with statements that return nothing, and all take the same arguments.
func (b *Backend) run(ctx context.Context, statement string, args ...any) error {
	return b.write(ctx, func(tx *Backend) error { return tx.exec(ctx, statement, args...) })
}

// AddProjection implements [store.ProjectionStorage].
func (b *Backend) AddProjection(ctx context.Context, p store.ProjectionRecord) (added bool, err error) {
	err = b.write(ctx, func(tx *Backend) (err error) {
		added, err = tx.one(ctx, "add_projection", []any{
			p.Name, p.Stream, p.Partitions, p.Generation, p.ByStream, p.Applied, p.ReplayUntil, p.Changes, p.ReplacedBy, now().UnixMicro(),
		}, new(int))
		return err
	})
	return added, err
}

// LockProjection implements [store.ProjectionStorage].
func (b *Backend) LockProjection(ctx context.Context, name string) (p store.ProjectionRecord, err error) {
	err = b.write(ctx, func(tx *Backend) error { // there is one writer
		list, err := tx.ReadProjections(ctx, name)
		if err == nil && len(list) == 0 {
			err = &store.ProjectionError{Projection: name, Err: store.ErrProjectionNotFound}
		}
		if err == nil {
			p = list[0]
		}
		return err
	})
	return p, err
}

// SaveProjection implements [store.ProjectionStorage].
func (b *Backend) SaveProjection(ctx context.Context, p store.ProjectionRecord) error {
	return b.run(ctx, "save_projection", p.Name, p.Partitions, p.Generation, p.Applied, p.ReplayUntil, p.Changes, p.ReplacedBy, now().UnixMicro())
}

// ReadProjections implements [store.ProjectionStorage].
func (b *Backend) ReadProjections(ctx context.Context, name string) (list []store.ProjectionRecord, err error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	err = b.each(ctx, "read_projections", func(rows *sql.Rows) error {
		var p store.ProjectionRecord
		var created, updated int64
		err := rows.Scan(&p.Name, &p.Stream, &p.Partitions, &p.Generation, &p.ByStream, &p.Applied, &p.ReplayUntil, &p.Changes,
			&p.ReplacedBy, &created, &updated)
		p.CreatedAt, p.UpdatedAt = fromMicros(created), fromMicros(updated)
		list = append(list, p)
		return err
	}, name)
	return list, err
}

// RemoveProjection implements [store.ProjectionStorage].
func (b *Backend) RemoveProjection(ctx context.Context, name string) error {
	return b.write(ctx, func(tx *Backend) error {
		for _, statement := range []string{"remove_parked", "remove_members", "remove_projection"} {
			if err := tx.exec(ctx, statement, name); err != nil {
				return err
			}
		}
		return nil
	})
}

// JoinProjection implements [store.ProjectionStorage].
func (b *Backend) JoinProjection(ctx context.Context, name, owner string, ttl time.Duration) (members []string, err error) {
	err = b.write(ctx, func(tx *Backend) error {
		members = nil
		at := now()
		if err := tx.exec(ctx, "forget_members", name, at.Add(-24*time.Hour).UnixMicro()); err != nil {
			return err
		}
		if err := tx.exec(ctx, "join_projection", name, owner, at.Add(ttl).UnixMicro()); err != nil {
			return err
		}
		return tx.each(ctx, "projection_members", func(rows *sql.Rows) error {
			var member string
			err := rows.Scan(&member)
			members = append(members, member)
			return err
		}, name, at.UnixMicro())
	})
	return members, err
}

// LeaveProjection implements [store.ProjectionStorage].
func (b *Backend) LeaveProjection(ctx context.Context, name, owner string) error {
	return b.run(ctx, "leave_projection", name, owner)
}

// Park implements [store.ProjectionStorage].
func (b *Backend) Park(ctx context.Context, events []store.ParkedEvent) error {
	if len(events) == 0 {
		return nil
	}
	return b.write(ctx, func(tx *Backend) error {
		for i := range events {
			if err := tx.park(ctx, events[i].Projection, "", &events[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// Unpark implements [store.ProjectionStorage].
func (b *Backend) Unpark(ctx context.Context, projection string, ids []uuid.UUID) (n int64, err error) {
	err = b.write(ctx, func(tx *Backend) (err error) {
		n, err = tx.eachID(ctx, "unpark", projection, "", ids)
		return err
	})
	return n, err
}

// ReleaseParked implements [store.ProjectionStorage].
func (b *Backend) ReleaseParked(ctx context.Context, projection string, ids []uuid.UUID) (n int64, err error) {
	err = b.write(ctx, func(tx *Backend) (err error) {
		n, err = tx.eachID(ctx, "release_parked", projection, "", ids)
		return err
	})
	return n, err
}

// ParkedKeys implements [store.ProjectionStorage].
func (b *Backend) ParkedKeys(ctx context.Context, projection string, partition, partitions int) (keys []string, err error) {
	return b.parkedKeys(ctx, projection, "", partition, partitions)
}

// CountParked implements [store.ProjectionStorage].
func (b *Backend) CountParked(ctx context.Context, projection string, partitions int) (map[int]int64, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	counts := map[int]int64{}
	err := b.each(ctx, "count_parked", func(rows *sql.Rows) error {
		var partition int
		var n int64
		err := rows.Scan(&partition, &n)
		counts[partition] = n
		return err
	}, projection, partitions)
	return counts, err
}

// Places implements [store.ProjectionStorage].
func (b *Backend) Places(ctx context.Context, stream string, first, last int64) (list []store.Place, err error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	err = b.each(ctx, "places", func(rows *sql.Rows) error {
		var p store.Place
		var version int64
		err := rows.Scan(&version, &p.Position, &p.Stream)
		list = append(list, p)
		return err
	}, stream, first, last)
	return list, err
}

// SQLite's result codes that say nothing of what was written: somebody else has the lock that is needed.
var busyCodes = map[int]bool{codeBusy: true, codeLocked: true, 15 /* protocol */ : true}

// Codes that say so as well if they come of a statement of the backend: memory, an interrupt, I/O, a full disk, a file that can't
// be opened. Of a handler's statement they may say what the event made it do, such as writing more than max_page_count allows.
var troubleCodes = map[int]bool{7: true, 9: true, 10: true, codeFull: true, 14: true}

const codeFull = 13

// Temporary implements [store.ProjectionStorage]. The connection to a file does not break; one to a replicated SQLite does.
func (b *Backend) Temporary(ctx context.Context, step store.FailedStep, tx *sql.Tx, err error) bool {
	c := code(err) & 0xff
	switch {
	case c == 0:
		return step == store.StepCommit || errors.Is(err, store.ErrRetryTx) || tx != nil && !b.answers(ctx, tx) // else a handler's own words
	case busyCodes[c]:
		return true
	case step == store.StepCommit && c == codeFull: // it is rolled back, and a smaller batch may do
		return false
	}
	return step != store.StepHandler && troubleCodes[c]
}

// answers reports whether the connection of a transaction is there.
func (b *Backend) answers(ctx context.Context, tx *sql.Tx) bool {
	var version string
	_, err := (&Backend{shared: b.shared, tx: tx}).one(ctx, "version", nil, &version)
	return err == nil || code(err) != 0 || errors.Is(err, sql.ErrTxDone)
}

// SelfDeadlock implements [store.DeadlockDetector]. The handler's transaction has the write lock from its beginning: so no statement in it
// finds the database busy, but for one on a database that is attached.
func (b *Backend) SelfDeadlock(ctx context.Context, tx *sql.Tx, err error) bool {
	if code(err)&0xff != codeBusy {
		return false
	}
	attached := 0
	_, failed := (&Backend{shared: b.shared, tx: tx}).one(ctx, "attached", nil, &attached)
	return failed == nil && attached == 0
}
