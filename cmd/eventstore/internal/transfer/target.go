package transfer

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/internal/queries"
	"github.com/eventstore-go/eventstore/store"
)

// newTarget returns a database's store as a target.
func newTarget(ctx context.Context, d *database.Database) (target, error) {
	b := base{d: d, queries: queriesOf(d)}
	if d.Kind == database.SQLite {
		return &sqliteTarget{base: b}, nil
	}
	conn, err := d.Conn(ctx)
	if err != nil {
		return nil, err
	}
	t := &postgresTarget{base: b, conn: conn}
	var dataType string
	if err := conn.QueryRowContext(ctx, b.queries.Get("data_type")).Scan(&dataType); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	t.jsonOnly = dataType != "bytea"
	return t, nil
}

// base is what targets have in common.
type base struct {
	d       *database.Database
	queries queries.Set
}

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

// begin is target.begin in a transaction that locks out everybody who appends. reserve makes numbers of streams and appends be
// the import's own, and returns what those of streams are raised by.
func (t tx) begin(ctx context.Context, h archive.Header, merge bool, reserve func(empty bool) (int64, error)) (s state, err error) {
	if err := t.exec(ctx, "progress_create"); err != nil {
		return s, err
	}
	found, err := t.one(ctx, "progress_read", nil, id{&s.archiveID}, &s.merge, &s.base, &s.phase, &s.done, &s.position)
	if err != nil {
		return s, err
	}
	if found {
		if s.archiveID != h.ID {
			return s, fmt.Errorf("%w: of the archive %s, this one is %s; finish that one first, or drop the store", ErrOther, s.archiveID, h.ID)
		}
		if s.merge != merge {
			return s, fmt.Errorf("%w: it was begun with merge=%t", ErrOther, s.merge)
		}
		return s, nil
	}
	s = state{archiveID: h.ID, phase: streams, merge: merge}
	var empty bool
	if _, err := t.one(ctx, "empty", nil, &empty); err != nil {
		return s, err
	}
	if !empty && !merge {
		return s, ErrNotEmpty
	}
	if s.base, err = reserve(empty); err != nil {
		return s, err
	}
	return s, t.exec(ctx, "progress_begin", archiveID(t.d, s.archiveID), s.merge, s.base, string(s.phase))
}

// archiveID is an id as the database takes it.
func archiveID(d *database.Database, id uuid.UUID) any {
	if d.Kind == database.SQLite {
		return id[:]
	}
	return id.String()
}

// write notes how far the import has come.
func (t tx) write(ctx context.Context, was, now state) error {
	r, err := t.ExecContext(ctx, t.queries.Get("progress_write"), string(now.phase), now.done, now.position, string(was.phase), was.done)
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n != 1 {
		return errors.Join(fmt.Errorf("%w: somebody else goes on with it", ErrOther), err)
	}
	return nil
}

// taken returns a StreamsTakenError if a stream of the batch is there already.
func (t tx) taken(ctx context.Context, batch []*archive.Stream) error {
	names := make([]string, len(batch))
	for i, s := range batch {
		names[i] = s.Name
	}
	text, err := json.Marshal(names)
	if err != nil {
		return err
	}
	var found []string
	err = each(ctx, t, t.queries.Get("taken"), func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		found = append(found, name)
		return err
	}, string(text))
	if err == nil && len(found) > 0 {
		err = &StreamsTakenError{found}
	}
	return err
}

// removeStreams hard deletes streams, by their ids.
func (t tx) removeStreams(ctx context.Context, b int64, batch []*archive.Gone) error {
	for _, g := range batch {
		var name string
		found, err := t.one(ctx, "stream_name", []any{b + g.StreamID}, &name)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		r := store.DeleteRequest{Stream: name, Expected: store.Any, Kind: store.HardDelete}
		if err := t.d.Backend.WithTx(t.Tx).Delete(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// subscriptionStream is the id that a checkpoint counts in.
func subscriptionStream(s state, r *archive.Subscription) int64 {
	if r.StreamID == 0 {
		return 0
	}
	return s.base + r.StreamID
}
