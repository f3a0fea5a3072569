package postgres

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
	"github.com/eventstore-go/eventstore/store"
)

var _ store.ProjectionStorage = (*Backend)(nil)

// Advance implements [store.ProjectionStorage].
func (b *Backend) Advance(ctx context.Context, r store.AdvanceRequest) error {
	return b.saveJudged(ctx, r.Judge, "advance", append(checkpointArgs(r.CheckpointRequest), r.From, r.Handled, r.Rate)...)
}

// AddSubscriptions implements [store.ProjectionStorage].
func (b *Backend) AddSubscriptions(ctx context.Context, ids []store.SubscriptionID, checkpoint, streamID int64) error {
	streams, names := idArrays(ids)
	return b.run(ctx, "add_subscriptions", streams, names, checkpoint, streamID)
}

// RemoveSubscriptions implements [store.ProjectionStorage].
func (b *Backend) RemoveSubscriptions(ctx context.Context, ids []store.SubscriptionID) (list []store.Lease, err error) {
	if err := b.Check(ctx); err != nil {
		return nil, err
	}
	streams, names := idArrays(ids)
	err = b.retried(ctx, func() error {
		list = nil
		return b.each(ctx, "remove_subscriptions", func(rows *sql.Rows) error {
			var l store.Lease
			err := rows.Scan(&l.ID.Stream, &l.ID.Name, &l.Epoch, &l.Checkpoint, &l.StreamID, new(string))
			list = append(list, l)
			return err
		}, streams, names)
	})
	return list, err
}

func idArrays(ids []store.SubscriptionID) (streams, names string) {
	s, n := make([]string, len(ids)), make([]string, len(ids))
	for i, id := range ids {
		s[i], n[i] = id.Stream, id.Name
	}
	return textArray(s), textArray(n)
}

// run runs a statement that returns nothing.
func (b *Backend) run(ctx context.Context, statement string, args ...any) error {
	if err := b.Check(ctx); err != nil {
		return err
	}
	return b.retried(ctx, func() error { return b.exec(ctx, statement, args...) })
}

// AddProjection implements [store.ProjectionStorage].
func (b *Backend) AddProjection(ctx context.Context, p store.ProjectionRecord) (added bool, err error) {
	if err := b.Check(ctx); err != nil {
		return false, err
	}
	return b.one(ctx, "add_projection", []any{
		p.Name, p.Stream, p.Partitions, p.Generation, p.ByStream, p.Applied, p.ReplayUntil, p.Changes, p.ReplacedBy,
	}, new(int))
}

// LockProjection implements [store.ProjectionStorage].
func (b *Backend) LockProjection(ctx context.Context, name string) (store.ProjectionRecord, error) {
	list, err := b.readProjections(ctx, "lock_projection", name)
	if err == nil && len(list) == 0 {
		err = &store.ProjectionError{Projection: name, Err: store.ErrProjectionNotFound}
	}
	if err != nil {
		return store.ProjectionRecord{}, err
	}
	return list[0], nil
}

// SaveProjection implements [store.ProjectionStorage].
func (b *Backend) SaveProjection(ctx context.Context, p store.ProjectionRecord) error {
	return b.run(ctx, "save_projection", p.Name, p.Partitions, p.Generation, p.Applied, p.ReplayUntil, p.Changes, p.ReplacedBy)
}

// ReadProjections implements [store.ProjectionStorage].
func (b *Backend) ReadProjections(ctx context.Context, name string) ([]store.ProjectionRecord, error) {
	if name == "" {
		return b.readProjections(ctx, "read_projections")
	}
	return b.readProjections(ctx, "read_projection", name)
}

func (b *Backend) readProjections(ctx context.Context, statement string, args ...any) (list []store.ProjectionRecord, err error) {
	if err := b.Check(ctx); err != nil {
		return nil, err
	}
	err = b.each(ctx, statement, func(rows *sql.Rows) error {
		var p store.ProjectionRecord
		err := rows.Scan(&p.Name, &p.Stream, &p.Partitions, &p.Generation, &p.ByStream, &p.Applied, &p.ReplayUntil, &p.Changes,
			&p.ReplacedBy, &p.CreatedAt, &p.UpdatedAt)
		p.CreatedAt, p.UpdatedAt = p.CreatedAt.UTC(), p.UpdatedAt.UTC()
		list = append(list, p)
		return err
	}, args...)
	return list, err
}

// RemoveProjection implements [store.ProjectionStorage].
func (b *Backend) RemoveProjection(ctx context.Context, name string) error {
	return b.run(ctx, "remove_projection", name)
}

// JoinProjection implements [store.ProjectionStorage].
func (b *Backend) JoinProjection(ctx context.Context, name, owner string, ttl time.Duration) (members []string, err error) {
	if err := b.run(ctx, "join_projection", name, owner, ttl.Microseconds()); err != nil {
		return nil, err
	}
	err = b.each(ctx, "projection_members", func(rows *sql.Rows) error {
		var member string
		err := rows.Scan(&member)
		members = append(members, member)
		return err
	}, name)
	return members, err
}

// LeaveProjection implements [store.ProjectionStorage].
func (b *Backend) LeaveProjection(ctx context.Context, name, owner string) error {
	return b.run(ctx, "leave_projection", name, owner)
}

// Park implements [store.ProjectionStorage]. What a text column can't hold of an error is left out.
func (b *Backend) Park(ctx context.Context, events []store.ParkedEvent) error {
	if len(events) == 0 {
		return nil
	}
	return b.run(ctx, "park", append([]any{events[0].Projection}, parkedArrays(events)...)...)
}

// Unpark implements [store.ProjectionStorage].
func (b *Backend) Unpark(ctx context.Context, projection string, ids []uuid.UUID) (int64, error) {
	return b.count(ctx, "unpark", projection, uuidArray(ids))
}

// ReleaseParked implements [store.ProjectionStorage].
func (b *Backend) ReleaseParked(ctx context.Context, projection string, ids []uuid.UUID) (int64, error) {
	return b.count(ctx, "release_parked", projection, uuidArray(ids))
}

func (b *Backend) count(ctx context.Context, statement string, args ...any) (n int64, err error) {
	if err := b.Check(ctx); err != nil {
		return 0, err
	}
	err = b.retried(ctx, func() error {
		_, err := b.one(ctx, statement, args, &n)
		return err
	})
	return n, err
}

func uuidArray(ids []uuid.UUID) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return textArray(texts)
}

// ParkedKeys implements [store.ProjectionStorage].
func (b *Backend) ParkedKeys(ctx context.Context, projection string, partition, partitions int) (keys []string, err error) {
	return b.parkedKeys(ctx, projection, "", partition, partitions)
}

// CountParked implements [store.ProjectionStorage].
func (b *Backend) CountParked(ctx context.Context, projection string, partitions int) (map[int]int64, error) {
	if err := b.Check(ctx); err != nil {
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
	if _, err := b.Head(ctx); err != nil { // what was committed has its position
		return nil, err
	}
	err = b.each(ctx, "places", func(rows *sql.Rows) error {
		var p store.Place
		err := rows.Scan(&p.Position, &p.Stream)
		list = append(list, p)
		return err
	}, stream, first, last)
	return list, err
}

// Temporary implements [store.ProjectionStorage].
func (b *Backend) Temporary(ctx context.Context, step store.FailedStep, tx *sql.Tx, err error) bool {
	if errors.Is(err, store.ErrInvalid) { // whatever the server called it
		return false
	}
	if state := sqlerr.State(err); len(state) == 5 {
		return b.temporaryState(ctx, step, tx, state)
	}
	if tx == nil || errors.Is(err, store.ErrRetryTx) {
		return true
	}
	if ctx.Err() == nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		return false // the handler has given up by itself: pgx closes the connection for it
	}
	// Not the server's words: the handler's, or those of a connection that is no more.
	return !b.answers(ctx, tx)
}

// temporaryState is Temporary for an error of the server. Its classes 08, 53, 57, 58 and XX (connection, resources, operator,
// system, internal) say what happened, and not to whom: a function of the server's may raise any of them for what an event has in
// it, as PostGIS does, or pg_read_file for a missing file. So the connection is asked.
func (b *Backend) temporaryState(ctx context.Context, step store.FailedStep, tx *sql.Tx, state string) bool {
	switch state[:2] {
	case "40": // rolled back for another transaction's sake
		return true
	case "08", "53", "57", "58", "XX":
	default:
		return state == lockNotAvailable || state == readOnly
	}
	switch {
	case state == queryCanceled: // by statement_timeout: a smaller batch may do
		return false
	case step == store.StepHandler:
		return !b.answers(ctx, tx)
	case step == store.StepCommit: // any other error rolls the transaction back; after these nobody knows
		return state[:2] == "08" || strings.HasPrefix(state, "57P")
	}
	return true
}

// answers reports whether the connection of a transaction is there. A transaction that has failed answers, too, with an error
// of the server.
func (b *Backend) answers(ctx context.Context, tx *sql.Tx) bool {
	var one int
	err := tx.QueryRowContext(ctx, b.queries.Get("answer")).Scan(&one)
	return err == nil || sqlerr.State(err) != "" || errors.Is(err, sql.ErrTxDone)
}
