package postgres

import (
	"context"
	"database/sql"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// change is the first migration with one thing in it changed: how a test builds a trap in, or a place to stop at.
type change struct{ old, new string }

// setup creates a store in a schema of its own at url and returns its backend, with pgx.
func setup(t *testing.T, url string, changes ...change) *Backend {
	t.Helper()
	db := pgtest.Open(t, "pgx", url)
	b := New(db, &Options{Schema: pgtest.Schema(t)})
	install(t, b, changes...)
	return b
}

func install(t *testing.T, b *Backend, changes ...change) {
	t.Helper()
	up, err := fs.ReadFile(b.Migrations(), "0001_init.up.sql")
	require.NoError(t, err)
	text := string(up)
	render := strings.NewReplacer(b.opts.replacements()...).Replace
	for _, c := range changes {
		c = change{render(c.old), render(c.new)}
		require.Equal(t, 1, strings.Count(text, c.old), "the migration has %q once", c.old)
		text = strings.Replace(text, c.old, c.new, 1)
	}
	statements := []string{b.MigrationQuery("migrate_prepare"), text}
	later, err := fs.Glob(b.Migrations(), "*.up.sql")
	require.NoError(t, err)
	for _, name := range later[1:] {
		text, err := fs.ReadFile(b.Migrations(), name)
		require.NoError(t, err)
		statements = append(statements, string(text))
	}
	for _, statement := range statements {
		_, err = b.db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	_, err = b.db.ExecContext(t.Context(), b.MigrationQuery("migrate_set_version"), latest, latest)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
}

// begin begins a transaction that is rolled back at the end of the test unless it has ended.
func begin(t *testing.T, b *Backend) *sql.Tx {
	t.Helper()
	tx, err := b.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

// appendTo appends n events to a stream and returns the result.
func appendTo(t *testing.T, s store.Storage, stream string, n int) store.AppendResult {
	t.Helper()
	events := make([]store.Event, n)
	for i := range events {
		events[i] = store.Event{Type: "happened", Data: i}
	}
	res, err := store.New(s, nil).Append(t.Context(), stream, store.Any, events...)
	require.NoError(t, err)
	return res
}

// all returns what $all shows, as stream@version, in order.
func all(t *testing.T, b *Backend) []string {
	t.Helper()
	var seen []string
	for e, err := range store.New(b, nil).All(t.Context(), nil) {
		require.NoError(t, err)
		require.EqualValues(t, len(seen)+1, e.Number, "positions have no gaps")
		seen = append(seen, e.Stream+"@"+string(rune('0'+e.Version)))
	}
	return seen
}

// number returns the one number that a query returns; schema-qualify with /*schema.*/.
func number(t *testing.T, b *Backend, query string, args ...any) (n int64) {
	t.Helper()
	query = strings.NewReplacer(b.opts.replacements()...).Replace(query)
	require.NoError(t, b.db.QueryRowContext(t.Context(), query, args...).Scan(&n), query)
	return n
}

func holes(t *testing.T, b *Backend) int64 {
	return number(t, b, `select count(*) from /*schema.*/holes`)
}

// eventually waits until done, looking again and again.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	every := time.NewTicker(5 * time.Millisecond)
	defer every.Stop()
	for !done() {
		select {
		case <-every.C:
		case <-ctx.Done():
			require.Fail(t, "never happened: "+what)
		}
	}
}

// stop is a place where a session waits while another holds it, as long as the lock called by key is held.
func stop(key string) string {
	return `perform pg_advisory_lock(hashtext('` + key + `')); perform pg_advisory_unlock(hashtext('` + key + `'));`
}

// held is a stop that sessions wait at.
type held struct {
	t    *testing.T
	b    *Backend
	key  string
	conn *sql.Conn
}

func hold(t *testing.T, b *Backend, key string) *held {
	t.Helper()
	conn, err := b.db.Conn(t.Context())
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), `select pg_advisory_lock(hashtext($1))`, key)
	require.NoError(t, err)
	h := &held{t, b, key, conn}
	t.Cleanup(func() { _ = conn.Close() })
	return h
}

// reached waits until a session waits at the stop.
func (h *held) reached() {
	h.t.Helper()
	eventually(h.t, "a session waits at "+h.key, func() bool { return h.waiting() > 0 })
}

// left waits until no session waits at the stop: a statement that is cancelled ends a moment after its caller has gone.
func (h *held) left() {
	h.t.Helper()
	eventually(h.t, "no session waits at "+h.key, func() bool { return h.waiting() == 0 })
}

func (h *held) waiting() int64 {
	h.t.Helper()
	return number(h.t, h.b, `select count(*) from pg_locks
		where locktype = 'advisory' and not granted and objid::bigint = hashtext($1)::bigint & 4294967295`, h.key)
}

func (h *held) release() {
	h.t.Helper()
	_, err := h.conn.ExecContext(h.t.Context(), `select pg_advisory_unlock(hashtext($1))`, h.key)
	require.NoError(h.t, err)
}
