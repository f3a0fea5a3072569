package transfer

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/internal/queries"
	"github.com/eventstore-go/eventstore/store"
)

// target is a store that is imported into. The calls that take a state write records, and where that leaves the import, in one
// transaction; they return ErrOther if the import is not where was says.
type target interface {
	// dataType returns the type of the columns for data.
	dataType() dataType
	// progress returns the state of the import under way; found is false if there is none.
	progress(ctx context.Context) (s state, found bool, err error)
	// taken returns a TakenError if something of these names is in the way.
	taken(ctx context.Context, l look) error
	// begin begins an import in one transaction, which also writes all streams: those that each is given. It returns s with what it
	// has set: base and begun.
	begin(ctx context.Context, s state, each func(context.Context, func(batch []*archive.Stream) error) error) (state, error)
	// events, gone and so on write a batch.
	events(ctx context.Context, was, now state, batch []*archive.Event) error
	gone(ctx context.Context, was, now state, batch []*archive.Gone) error
	links(ctx context.Context, was, now state, batch []*archive.Link) error
	snapshots(ctx context.Context, was, now state, batch []*archive.Snapshot) error
	// finish writes subscriptions and ends the import.
	finish(ctx context.Context, was state, list []*archive.Subscription) error
	// clear removes the next streams that the import has written; more is false if there are no others.
	clear(ctx context.Context, s state) (more bool, err error)
	// clean removes the rest, and ends the import.
	clean(ctx context.Context, s state) error
	// mark notes that the import is being cleared away.
	mark(ctx context.Context, was state) error
	// within runs f in a transaction of the import, which writes where that leaves it.
	within(ctx context.Context, was, now state, f func(tx tx) error) error
	// putEvents and putLinks write records in such a transaction; reserve sees to it that positions and ids of streams up to these are
	// the import's alone.
	putEvents(ctx context.Context, tx tx, was state, batch []*archive.Event) error
	putLinks(ctx context.Context, tx tx, was state, batch []*archive.Link) error
	reserve(ctx context.Context, tx tx, position, stream int64) error
	// close gives back what the target has taken.
	close() error
}

// newTarget returns a database's store as a target.
func newTarget(ctx context.Context, d *database.Database) (target, error) {
	b := base{d: d, queries: queriesOf(d), data: anyBytes}
	if d.Kind == database.SQLite {
		return &sqliteTarget{base: b}, nil
	}
	conn, err := d.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if err := conn.QueryRowContext(ctx, b.queries.Get("data_type")).Scan(&b.data); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &postgresTarget{base: b, conn: conn}, nil
}

// base is what targets have in common.
type base struct {
	d       *database.Database
	queries queries.Set
	data    dataType
}

// idOf returns an id as the database keeps it, or null for none.
func (b base) idOf(id uuid.UUID) any {
	if b.d.Kind == database.SQLite {
		return idBytes(id)
	}
	return idOrNull(id)
}

func (b base) dataType() dataType { return b.data }

// tx is a transaction of an import.
type tx struct {
	*sql.Tx
	base
}

func (t tx) exec(ctx context.Context, name string, args ...any) error {
	if _, err := t.ExecContext(ctx, t.queries.Get(name), args...); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// one scans the only row of a query; found is false if there is none.
func (t tx) one(ctx context.Context, name string, args []any, into ...any) (found bool, err error) {
	switch err := t.QueryRowContext(ctx, t.queries.Get(name), args...).Scan(into...); {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%s: %w", name, err)
	}
	return true, nil
}

// look is what is looked for in a store that is not empty: names of streams, sources of snapshots, subscriptions, ids of events.
type look struct {
	names, sources []string
	list           []*archive.Subscription
	ids            []string
}

// taken returns a TakenError if something of these names is there already.
func (b base) taken(ctx context.Context, q querier, l look) error {
	subscriptions := make([][2]string, len(l.list))
	for i, s := range l.list {
		subscriptions[i] = [2]string{s.Stream, s.Name}
	}
	for _, check := range []struct {
		query, kind string
		n           int
		names       any
		err         error
	}{
		{"taken", "streams", len(l.names), l.names, ErrTaken},
		{"taken_snapshots", "snapshots", len(l.sources), l.sources, ErrTaken},
		{"taken_held", "subscriptions", len(l.list), subscriptions, ErrHeld},
		{"taken_begun", "subscriptions with checkpoints", len(l.list), subscriptions, ErrTaken},
		{"taken_ids", "events", len(l.ids), l.ids, ErrTakenID},
	} {
		if check.n == 0 {
			continue
		}
		text, err := json.Marshal(check.names)
		if err != nil {
			return err
		}
		found, err := b.names(ctx, q, check.query, string(text))
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return &TakenError{check.err, check.kind, found}
		}
	}
	return nil
}

// removeGone hard deletes streams, by their ids.
func (t tx) removeGone(ctx context.Context, b int64, batch []*archive.Gone) error {
	for _, g := range batch {
		found, err := t.names(ctx, t, "stream_name", b+g.StreamID)
		if err == nil {
			err = t.removeStreams(ctx, found)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// removeStreams hard deletes streams.
func (t tx) removeStreams(ctx context.Context, names []string) error {
	for _, name := range names {
		r := store.DeleteRequest{Stream: name, Expected: store.Any, Kind: store.HardDelete}
		if err := t.d.Backend.WithTx(t.Tx).Delete(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// subscriptions writes subscriptions, of a merge those on streams: a checkpoint in $all is a position, and those are others now.
func (t tx) subscriptions(ctx context.Context, was state, list []*archive.Subscription) error {
	for _, s := range list {
		if was.merge && s.Stream == store.All {
			continue
		}
		if t.d.Kind == database.SQLite {
			if err := t.exec(ctx, "draw_epoch"); err != nil {
				return err
			}
		}
		stream := int64(0) // the id that the checkpoint counts in
		if s.StreamID != 0 {
			stream = was.base + s.StreamID
		}
		one := 0
		found, err := t.one(ctx, "insert_subscription",
			[]any{s.Stream, s.Name, s.Checkpoint, stream, t.timeOf(s.CreatedAt), t.timeOf(s.UpdatedAt), s.Seen, t.idOf(s.SeenID)}, &one)
		if err != nil {
			return err
		}
		if !found {
			return &TakenError{ErrTaken, "subscriptions", []string{fmt.Sprintf("%s on %s", s.Name, s.Stream)}}
		}
		if err := t.parked(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// parked writes what a subscription has parked.
func (t tx) parked(ctx context.Context, s *archive.Subscription) error {
	for _, p := range s.Parked {
		key, hash := store.PartitionKey(p.Key)
		err := t.exec(ctx, "insert_parked", s.Stream, s.Name, p.Number, hash, p.Version, p.Attempts, p.Failed, t.timeOf(p.ParkedAt), t.idOf(p.ID),
			key, p.Stream, p.Type, strings.ToValidUTF8(strings.ReplaceAll(p.Error, "\x00", ""), ""))
		if err != nil {
			return err
		}
	}
	return nil
}
