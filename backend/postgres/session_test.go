package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// databaseWith creates a database of a name of its own and returns its URL. what follows "create database …".
func databaseWith(t *testing.T, what string, settings ...string) string {
	t.Helper()
	server := pgtest.URL(t)
	db := pgtest.Open(t, "pgx", server)
	name := "session_" + uuid.NewString()[:8]
	_, err := db.ExecContext(t.Context(), fmt.Sprintf("create database %q %s", name, what))
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := db.ExecContext(context.WithoutCancel(t.Context()), fmt.Sprintf("drop database %q with (force)", name))
		require.NoError(t, err)
	})
	for _, setting := range settings {
		_, err := db.ExecContext(t.Context(), fmt.Sprintf("alter database %q set %s", name, setting))
		require.NoError(t, err)
	}
	u, err := url.Parse(server)
	require.NoError(t, err)
	u.Path = "/" + name
	return u.String()
}

// TestEncoding: a database, or a session, that does not encode text as UTF-8 is refused before anything is created or written.
func TestEncoding(t *testing.T) {
	t.Parallel()
	var version int
	require.NoError(t, pgtest.Open(t, "pgx", pgtest.URL(t)).QueryRowContext(t.Context(), "select current_setting('server_version_num')::int").Scan(&version))
	provider := ""
	if version >= 150000 { // a cluster may have been made with ICU, which has not all encodings
		provider = " locale_provider libc"
	}
	for name, c := range map[string]struct {
		what, setting, reason string
	}{
		"LATIN1":         {"encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0" + provider, "", "is encoded in LATIN1"},
		"SQL_ASCII":      {"encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' template template0" + provider, "", "is encoded in SQL_ASCII"},
		"session LATIN1": {"encoding 'UTF8' template template0", "client_encoding = 'LATIN1'", "is LATIN1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var settings []string
			if c.setting != "" {
				settings = append(settings, c.setting)
			}
			at := databaseWith(t, c.what, settings...)
			for _, driver := range pgtest.Drivers() {
				if c.setting != "" && driver == "postgres" {
					continue // lib/pq sets it by itself
				}
				db := pgtest.Open(t, driver, at)
				b := postgres.New(db, nil)
				es := store.New(b, nil)
				_, appended := es.Append(t.Context(), "café", store.Any, store.Event{Type: "happened"})
				for call, err := range map[string]error{
					"up": migrate.Up(t.Context(), b), "check": es.Check(t.Context()), "append": appended,
				} {
					assert.ErrorIs(t, err, store.ErrInvalid, "%s: %s", driver, call)
					assert.ErrorContains(t, err, c.reason, "%s: %s", driver, call)
				}
				var tables int
				require.NoError(t, db.QueryRowContext(t.Context(), "select count(*) from pg_tables where schemaname = 'eventstore'").Scan(&tables))
				assert.Zero(t, tables)
			}
		})
	}
}

// writeOddities appends events with and without what may be null, alone and several at a time, and reads them.
func writeOddities(t *testing.T, es, reader *store.Store) {
	t.Helper()
	at := time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	plain := store.Event{Type: "null", Data: []byte(`{"a":"\\x00\u00e9'"}`)}
	timed := store.Event{Type: "timed", CreatedAt: at, Metadata: []byte(`{}`), CausationID: uuid.New()}
	word := store.Event{Type: "word", Data: []byte(`"null"`), CorrelationID: uuid.New()}
	for name, events := range map[string][]store.Event{
		"one": {plain}, "timed": {timed}, "both": {plain, timed, word}, "reverse": {timed, plain},
	} {
		stream := fmt.Sprintf("%s-%s", name, uuid.NewString())
		began := time.Now()
		_, err := es.Append(t.Context(), stream, store.NoStream, events...)
		require.NoError(t, err)
		_, err = es.Append(t.Context(), stream, store.Any, events[0])
		require.NoError(t, err)
		page, err := reader.Page(t.Context(), stream, nil)
		require.NoError(t, err)
		require.Len(t, page, len(events)+1)
		for i, e := range page {
			want := events[i%len(events)]
			if i == len(events) {
				want = events[0]
			}
			assert.Equal(t, want.Type, e.Type)
			assert.Empty(t, e.ContentType, "a JSON event has none")
			assert.Equal(t, want.CausationID, e.CausationID)
			assert.Equal(t, want.CorrelationID, e.CorrelationID)
			assert.Equal(t, want.Metadata == nil, e.Metadata == nil)
			if want.CreatedAt.IsZero() {
				assert.WithinDuration(t, began, e.CreatedAt, time.Minute)
			} else {
				assert.Equal(t, want.CreatedAt, e.CreatedAt)
			}
		}
		info, err := reader.StreamInfo(t.Context(), stream)
		require.NoError(t, err)
		if events[0].CreatedAt.IsZero() {
			assert.WithinDuration(t, began, info.CreatedAt, time.Minute)
		} else {
			assert.Equal(t, at, info.CreatedAt)
		}
	}
}

// TestIsolationLevels: what a caller's transaction at another level than READ COMMITTED can do, and how the rest fails.
func TestIsolationLevels(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		for _, level := range []sql.IsolationLevel{sql.LevelRepeatableRead, sql.LevelSerializable} {
			t.Run(driver+" "+level.String(), func(t *testing.T) {
				t.Parallel()
				b := postgres.New(pgtest.Open(t, driver, pgtest.URL(t)), &postgres.Options{Schema: pgtest.Schema(t)})
				require.NoError(t, migrate.Up(t.Context(), b))
				es := store.New(b, &store.Options{HardDelete: true})
				one := store.Event{Type: "happened"}
				add := func(es *store.Store, stream string) error {
					_, err := es.Append(t.Context(), stream, store.Any, one)
					return err
				}
				inTx := func(f func(es *store.Store) error) (*sql.Tx, error) {
					tx, err := b.BeginTx(t.Context(), &sql.TxOptions{Isolation: level})
					require.NoError(t, err)
					t.Cleanup(func() { _ = tx.Rollback() })
					return tx, f(es.WithTx(tx))
				}
				require.NoError(t, add(es, "a"))

				_, err := inTx(func(es *store.Store) error { return es.Delete(t.Context(), "a", store.Any, store.HardDelete) })
				require.ErrorIs(t, err, store.ErrIsolation)
				require.NotErrorIs(t, err, store.ErrRetryTx, "running it again does not help")

				for name, write := range map[string]func(es *store.Store) error{
					"append": func(es *store.Store) error { return add(es, "a") },
					"delete": func(es *store.Store) error { return es.Delete(t.Context(), "a", store.Any, store.SoftDelete) },
				} {
					_, err := inTx(func(bound *store.Store) error {
						_, err := bound.StreamInfo(t.Context(), "a") // takes the snapshot
						require.NoError(t, err)
						require.NoError(t, add(es, "a"))
						return write(bound)
					})
					require.ErrorIs(t, err, store.ErrRetryTx, name)
				}

				tx, err := inTx(func(es *store.Store) error { return add(es, "a") })
				require.NoError(t, err)
				require.NoError(t, b.CommitTx(t.Context(), tx))
				require.NoError(t, es.Delete(t.Context(), "a", store.Any, store.HardDelete), "in a transaction of the backend's own")
			})
		}
	}
}

// TestSerializableCommit: two transactions at SERIALIZABLE that write to different streams may not both be committed; the one that is
// not says ErrRetryTx through CommitTx and InTx, and goes through when it is run again.
func TestSerializableCommit(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			u, err := url.Parse(pgtest.URL(t))
			require.NoError(t, err)
			q := u.Query()
			q.Set("default_transaction_isolation", "serializable")
			u.RawQuery = q.Encode()
			b := postgres.New(pgtest.Open(t, driver, u.String()), &postgres.Options{Schema: pgtest.Schema(t)})
			require.NoError(t, migrate.Up(t.Context(), b))
			es := store.New(b, nil)
			for _, stream := range []string{"a", "b"} {
				_, err := es.Append(t.Context(), stream, store.NoStream, store.Event{Type: "happened"})
				require.NoError(t, err)
			}
			// Each reads both streams and writes to its own: whichever commits first, the other has not seen it.
			work := func(tx *sql.Tx, own string) error {
				bound := es.WithTx(tx)
				for _, stream := range []string{"a", "b"} {
					if _, err := bound.Page(t.Context(), stream, nil); err != nil {
						return err
					}
				}
				_, err := bound.Append(t.Context(), own, store.Any, store.Event{Type: "happened"})
				return err
			}
			for name, commit := range map[string]func(f func(tx *sql.Tx) error) error{
				"InTx": func(f func(tx *sql.Tx) error) error { return es.InTx(t.Context(), f) },
				"CommitTx": func(f func(tx *sql.Tx) error) error {
					tx, err := b.BeginTx(t.Context(), nil)
					require.NoError(t, err)
					defer tx.Rollback() //nolint:errcheck // after a commit this does nothing
					return errors.Join(f(tx), b.CommitTx(t.Context(), tx))
				},
			} {
				other, err := b.BeginTx(t.Context(), nil)
				require.NoError(t, err)
				t.Cleanup(func() { _ = other.Rollback() })
				err = commit(func(tx *sql.Tx) error {
					require.NoError(t, work(tx, "a"))
					require.NoError(t, work(other, "b"))
					require.NoError(t, b.CommitTx(t.Context(), other))
					return nil
				})
				require.ErrorIs(t, err, store.ErrRetryTx, name)
				require.NoError(t, commit(func(tx *sql.Tx) error { return work(tx, "a") }), "%s again", name)
			}
		})
	}
}
