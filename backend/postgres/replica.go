package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

var (
	_ store.Replicated   = (*Backend)(nil)
	_ store.WriteChecker = (*Backend)(nil)
)

// replica reads [Options].Reads. What takes several statements runs in a transaction that sees one snapshot. So the log and its
// events are of one moment and of one server, even if several standbys share the address: an event that another one has not replayed yet
// would pass for one that was hard deleted. In a transaction no positions are given, either.
type replica struct{ *Backend }

// Replica implements [store.Replicated].
func (b *Backend) Replica() store.Storage {
	if b.replica == nil || b.tx != nil {
		return nil
	}
	return b.replica
}

// read runs f on a snapshot. It repeats a read that the standby has cancelled because it conflicts with what is to be replayed (SQLSTATE
// 40001 or 40P01). If that happens between two statements the standby ends the session, of which lib/pq sees only that the connection is
// gone: so a read whose connection is lost is repeated, too.
func (r *replica) read(ctx context.Context, f func(b *Backend) error) error {
	return r.fault(ctx, r.retried(ctx, func() error {
		tx, err := r.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // after a commit this does nothing; after an error that error counts
		if err = f(&Backend{shared: r.shared, tx: tx}); err == nil {
			err = r.CommitTx(ctx, tx)
		}
		if ctx.Err() == nil && broken(err) {
			err = fmt.Errorf("%w: %w", store.ErrRetryTx, err)
		}
		return err
	}))
}

// broken reports whether an error says that the connection was lost.
func broken(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// plain runs f, which sends one statement, without a transaction.
func (r *replica) plain(ctx context.Context, f func(b *Backend) error) error {
	return r.fault(ctx, r.retried(ctx, func() error { return f(r.Backend) }))
}

// answers are errors that say something of what was asked for, and nothing of the database.
var answers = []error{
	store.ErrStreamNotFound, store.ErrStreamDeleted, store.ErrStreamReplaced, store.ErrEventNotFound, store.ErrSnapshotNotFound,
	store.ErrNotIndexed, store.ErrClosed,
}

// fault says that an error of the database is one of the replica.
func (r *replica) fault(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	for _, answer := range answers {
		if errors.Is(err, answer) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", store.ErrReplica, err)
}

// Check implements [store.Checker]. Tables that are missing may not have been replayed yet.
func (r *replica) Check(ctx context.Context) error {
	_, err := r.Head(ctx)
	return err
}

// ReadStream implements [store.Storage].
func (r *replica) ReadStream(ctx context.Context, q store.ReadRequest) (part store.StreamPart, err error) {
	err = r.read(ctx, func(b *Backend) (err error) {
		part, err = b.ReadStream(ctx, q)
		return err
	})
	return part, err
}

// ReadAll implements [store.Storage]. It covers what has a position at the replica.
func (r *replica) ReadAll(ctx context.Context, q store.ReadRequest) (part store.Part, err error) {
	err = r.read(ctx, func(b *Backend) (err error) {
		part, err = b.ReadAll(ctx, q)
		return err
	})
	return part, err
}

// ReadFiltered implements [store.SubscriptionStorage].
func (r *replica) ReadFiltered(ctx context.Context, q store.ReadRequest, f store.EventFilter) (page []store.Recorded, next int64, err error) {
	next = q.From
	err = r.read(ctx, func(b *Backend) (err error) {
		page, next, err = b.ReadFiltered(ctx, q, f)
		return err
	})
	if err != nil {
		return nil, q.From, err
	}
	return page, next, nil
}

// ReadCorrelation implements [store.CorrelationStorage].
func (r *replica) ReadCorrelation(ctx context.Context, q store.CorrelationRequest) (part store.CorrelationPart, err error) {
	err = r.read(ctx, func(b *Backend) (err error) {
		part, err = b.ReadCorrelation(ctx, q)
		return err
	})
	return part, err
}

// ReadTyped implements [store.TypeIndex].
func (r *replica) ReadTyped(ctx context.Context, q store.TypedRequest) (part store.TypedPart, err error) {
	err = r.read(ctx, func(b *Backend) (err error) {
		part, err = b.ReadTyped(ctx, q)
		return err
	})
	return part, err
}

// ListTypes implements [store.TypeStorage].
func (r *replica) ListTypes(ctx context.Context) (list []store.TypeInfo, err error) {
	err = r.read(ctx, func(b *Backend) (err error) {
		list, err = b.ListTypes(ctx)
		return err
	})
	return list, err
}

// Head implements [store.Storage].
func (r *replica) Head(ctx context.Context) (head int64, err error) {
	err = r.read(ctx, func(b *Backend) (err error) {
		head, err = b.Head(ctx)
		return err
	})
	return head, err
}

// PositionAt implements [store.PastStorage].
func (r *replica) PositionAt(ctx context.Context, t time.Time) (position int64, err error) {
	err = r.read(ctx, func(b *Backend) (err error) {
		position, err = b.PositionAt(ctx, t)
		return err
	})
	return position, err
}

// VersionAt implements [store.PastStorage].
func (r *replica) VersionAt(ctx context.Context, stream string, position int64) (version int64, err error) {
	err = r.read(ctx, func(b *Backend) (err error) {
		version, err = b.VersionAt(ctx, stream, position)
		return err
	})
	return version, err
}

// ReadEvent implements [store.Storage].
func (r *replica) ReadEvent(ctx context.Context, id uuid.UUID) (e store.Recorded, err error) {
	err = r.plain(ctx, func(b *Backend) (err error) {
		e, err = b.ReadEvent(ctx, id)
		return err
	})
	return e, err
}

// StreamInfo implements [store.Storage].
func (r *replica) StreamInfo(ctx context.Context, stream string) (info store.StreamInfo, err error) {
	err = r.plain(ctx, func(b *Backend) (err error) {
		info, err = b.StreamInfo(ctx, stream)
		return err
	})
	return info, err
}

// ListStreams implements [store.Storage].
func (r *replica) ListStreams(ctx context.Context, q store.ListRequest) (list []store.StreamInfo, err error) {
	err = r.plain(ctx, func(b *Backend) (err error) {
		list, err = b.ListStreams(ctx, q)
		return err
	})
	return list, err
}

// CountStreams implements [store.Storage].
func (r *replica) CountStreams(ctx context.Context, f store.StreamFilter) (n int64, err error) {
	err = r.plain(ctx, func(b *Backend) (err error) {
		n, err = b.CountStreams(ctx, f)
		return err
	})
	return n, err
}

// ReadSnapshot implements [store.Storage].
func (r *replica) ReadSnapshot(ctx context.Context, sourceID string) (s store.RecordedSnapshot, err error) {
	err = r.plain(ctx, func(b *Backend) (err error) {
		s, err = b.ReadSnapshot(ctx, sourceID)
		return err
	})
	return s, err
}

// CheckWrites implements [store.WriteChecker].
func (b *Backend) CheckWrites(ctx context.Context) error {
	var writes, standby bool
	if err := b.Check(ctx); err != nil {
		return err
	}
	_, err := b.one(ctx, "takes_writes", nil, &writes, &standby)
	switch {
	case err != nil || writes:
		return err
	case standby:
		return fmt.Errorf("postgres: %w: the server is a standby: %s", store.ErrReadOnly, writesAdvice)
	}
	return fmt.Errorf("postgres: %w: the session is read-only (transaction_read_only): %s", store.ErrReadOnly, writesAdvice)
}

const writesAdvice = "connect to the primary, as by target_session_attrs=read-write; a standby to read from goes into Options.Reads"
