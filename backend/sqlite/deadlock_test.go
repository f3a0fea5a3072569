package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/store"
)

// TestProjectOutsideItsTransaction: a handler that writes outside its transaction, which has the write lock, ends the projection with
// an error that says so, instead of waiting for itself.
func TestProjectOutsideItsTransaction(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(ctx context.Context, db *sql.DB, es *store.Store) error{
		"db": func(ctx context.Context, db *sql.DB, _ *store.Store) error {
			_, err := db.ExecContext(ctx, "insert into applied (number) values (1)")
			return err
		},
		"a transaction of db": func(ctx context.Context, db *sql.DB, _ *store.Store) error {
			tx, err := db.BeginTx(ctx, nil)
			if err == nil {
				err = tx.Rollback()
			}
			return err
		},
		"append": func(ctx context.Context, _ *sql.DB, es *store.Store) error {
			_, err := es.Append(ctx, "b", store.Any, events(1)...)
			return err
		},
		"delete": func(ctx context.Context, _ *sql.DB, es *store.Store) error {
			return es.Delete(ctx, "a", store.Any, store.SoftDelete)
		},
		"snapshot": func(ctx context.Context, _ *sql.DB, es *store.Store) error {
			return es.RecordSnapshot(ctx, store.Snapshot{SourceID: "a", Version: 1, Type: "t", Data: 1})
		},
		"a transaction of es": func(ctx context.Context, _ *sql.DB, es *store.Store) error {
			return es.InTx(ctx, func(*sql.Tx) error { return nil })
		},
		"another backend": func(ctx context.Context, db *sql.DB, _ *store.Store) error {
			_, err := store.New(sqlite.New(db, nil), nil).Append(ctx, "b", store.Any, events(1)...)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := handle(t, "file:"+filepath.Join(t.TempDir(), "events.db")+"?_pragma=busy_timeout(20)&_pragma=journal_mode(WAL)&_txlock=immediate", 0)
			es := store.New(backend(t, db, nil), nil)
			t.Cleanup(func() { _ = es.Close() })
			_, err := db.ExecContext(t.Context(), "create table applied (number integer)")
			require.NoError(t, err)
			_, err = es.Append(t.Context(), "a", store.Any, events(5)...)
			require.NoError(t, err)
			err = es.Project(t.Context(), "report", func(ctx context.Context, _ *sql.Tx, _ []store.Recorded) error {
				return write(ctx, db, es)
			}, nil)
			require.ErrorIs(t, err, store.ErrSelfDeadlock)
			head, err := es.Head(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 5, head)
		})
	}
}

// TestProjectWritesElsewhere: what a handler does in its transaction, or in another database, is no deadlock.
func TestProjectWritesElsewhere(t *testing.T) {
	t.Parallel()
	p := newProjecting(t)
	p.append("a", 2)
	elsewhere, _ := newStore(t)
	p.run(p.Store, func(ctx context.Context, tx *sql.Tx, batch []store.Recorded) error {
		if _, err := p.WithTx(tx).Append(ctx, "thanks", store.Any, events(1)...); err != nil {
			return err
		}
		if _, err := elsewhere.Append(ctx, "b", store.Any, events(1)...); err != nil {
			return err
		}
		if _, err := p.Page(ctx, "a", nil); err != nil { // readers go on
			return err
		}
		return applied(ctx, tx, batch)
	}, store.ProjectOptions{Filter: store.EventFilter{StreamPrefix: "a"}})
	p.has(1, 2)
}

// TestProjectAttached: a lock on a database that the connection has attached may be another program's, and is waited for.
func TestProjectAttached(t *testing.T) {
	t.Parallel()
	p := newProjecting(t)
	p.append("a", 2)
	p.db.SetMaxOpenConns(1) // what is attached is a connection's
	_, err := p.db.ExecContext(t.Context(), "attach ? as other", filepath.Join(t.TempDir(), "other.db"))
	require.NoError(t, err)
	var waited atomic.Bool
	p.run(p.Store, func(ctx context.Context, tx *sql.Tx, batch []store.Recorded) error {
		if waited.CompareAndSwap(false, true) {
			return codeError(5)
		}
		return applied(ctx, tx, batch)
	}, store.ProjectOptions{})
	p.has(1, 2)
}
