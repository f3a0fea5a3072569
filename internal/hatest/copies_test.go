package hatest_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os/exec"
	"strings"
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

// shop is a store on a server, with a subscription and a projection that count.
type shop struct {
	*testing.T

	db      *sql.DB
	storage *postgres.Backend
	es      *store.Store
}

// openShop opens the store on a server, which is there.
func openShop(t *testing.T, url string) *shop {
	t.Helper()
	s := &shop{T: t, db: pgtest.Open(t, "pgx", url)}
	s.storage = postgres.New(s.db, &postgres.Options{Schema: schema})
	s.es = store.New(s.storage, &store.Options{PollInterval: 10 * time.Millisecond})
	t.Cleanup(func() {
		require.NoError(t, s.es.Close())
		require.NoError(t, s.storage.Close())
	})
	return s
}

// newShop creates the store on a server.
func newShop(t *testing.T, url string) *shop {
	t.Helper()
	s := openShop(t, url)
	require.NoError(t, migrate.Up(t.Context(), s.storage))
	_, err := s.db.ExecContext(t.Context(), `create table applied (id uuid primary key)`)
	require.NoError(t, err)
	return s
}

// sell appends events.
func (s *shop) sell(n int) {
	s.Helper()
	for range n {
		_, err := s.es.Append(s.Context(), "till", store.Any, store.Event{Type: "paid", Data: money{1}})
		require.NoError(s, err)
	}
}

// ids returns the ids of all events, by position.
func (s *shop) ids() (ids []uuid.UUID) {
	s.Helper()
	for e, err := range s.es.All(s.Context(), nil) {
		require.NoError(s, err)
		require.EqualValues(s, len(ids)+1, e.Number)
		require.EqualValues(s, len(ids)+1, e.Version)
		ids = append(ids, e.ID)
	}
	return ids
}

// handle runs the subscription and the projection to the end of the store, which is ahead of them. It returns what the subscription was sent.
func (s *shop) handle() (sent []uuid.UUID) {
	s.Helper()
	head := int64(len(s.ids()))
	ctx, stop := context.WithCancel(s.Context())
	defer stop()
	done := make(chan error, 1)
	go func() {
		done <- s.es.Project(ctx, sums, func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
			for _, e := range events {
				if _, err := tx.ExecContext(ctx, `insert into applied (id) values ($1)`, e.ID.String()); err != nil {
					return err
				}
			}
			return nil
		}, nil)
	}()
	sub, err := s.es.Subscribe(ctx, store.All, mailer, nil)
	require.NoError(s, err)
	for last := int64(0); last < head; {
		events, err := sub.Next(ctx)
		require.NoError(s, err)
		last = events[len(events)-1].Number
		sent = append(sent, store.IDs(events...)...)
		require.NoError(s, sub.Ack(ctx, events...))
	}
	require.NoError(s, sub.Close())
	require.NoError(s, s.es.WaitForPosition(ctx, sums, head))
	stop()
	require.ErrorIs(s, <-done, context.Canceled)
	return sent
}

// applied returns how many events the read model has.
func (s *shop) applied() (n int) {
	s.Helper()
	require.NoError(s, s.db.QueryRowContext(s.Context(), `select count(*) from applied`).Scan(&n))
	return n
}

// TestUpgrade: after pg_upgrade, the store and its readers go on.
func TestUpgrade(t *testing.T) {
	asked(t)
	t.Parallel()
	old := pgtest.StartServer(t)
	old.Program(t, "pg_upgrade")
	before := newShop(t, old.URL())
	before.sell(20)
	before.handle()
	before.sell(5) // and nobody has placed them
	tx, err := before.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = before.es.WithTx(tx).Append(t.Context(), "open", store.Any, store.Event{Type: "paid", Data: money{1}})
	require.NoError(t, err)
	before.sell(1)
	was := before.ids()
	require.NoError(t, tx.Rollback()) // it leaves a hole

	after := openShop(t, old.Upgrade(t, old.Bin()).URL())
	require.NoError(t, after.es.Check(t.Context()))
	assert.Equal(t, was, after.ids())
	after.sell(5)
	assert.Equal(t, after.ids()[20:], after.handle(), "the subscription goes on behind its checkpoint")
	assert.Equal(t, 31, after.applied())
}

// TestDumpToTheNewest: a dump goes into the newest version that is supported.
func TestDumpToTheNewest(t *testing.T) {
	asked(t)
	t.Parallel()
	old := pgtest.StartServer(t)
	newest := pgtest.StartServerOf(t, newestBinaries(t))
	before := newShop(t, old.URL())
	before.sell(20)
	before.handle()
	before.sell(5)
	was := before.ids()
	var version string
	require.NoError(t, pgtest.Open(t, "pgx", newest.URL()).QueryRowContext(t.Context(), `show server_version`).Scan(&version))
	t.Log("to PostgreSQL", version)

	dump := exec.CommandContext(t.Context(), old.Program(t, "pg_dump"), old.URL())
	text, err := dump.Output()
	require.NoError(t, err)
	psql := exec.CommandContext(t.Context(), old.Program(t, "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", newest.URL())
	psql.Stdin = bytes.NewReader(text)
	out, err := psql.CombinedOutput()
	require.NoError(t, err, "%s", out)

	after := openShop(t, newest.URL())
	require.NoError(t, after.es.Check(t.Context()))
	assert.Equal(t, was, after.ids())
	after.sell(5)
	assert.Equal(t, after.ids()[20:], after.handle(), "the subscription goes on behind its checkpoint")
	assert.Equal(t, 30, after.applied())
}

// newestBinaries returns the folder of the newest version's binaries.
func newestBinaries(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "../../scripts/ensure-postgres-version", "18").Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// TestPointInTime: a base backup and an archive bring back the store of a moment, its checkpoints and its read model with it. What was
// appended and handled since then is gone, and its numbers are given to other events.
func TestPointInTime(t *testing.T) {
	asked(t)
	t.Parallel()
	archive := pgtest.NewFolder(t)
	server := pgtest.StartServer(t, "wal_level=replica", "archive_mode=on", fmt.Sprintf("archive_command=cp %%p %s/%%f", archive.Path))
	before := newShop(t, server.URL())
	before.sell(10)
	before.handle()
	backup := server.Backup(t)
	before.sell(10)
	before.handle()
	was := before.ids()
	run := func(statement string) {
		t.Helper()
		_, err := before.db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	run(`select pg_create_restore_point('before the mistake')`)
	before.sell(10)
	before.handle()
	var segment string
	require.NoError(t, before.db.QueryRowContext(t.Context(), `select pg_walfile_name(pg_switch_wal())`).Scan(&segment))
	require.Eventually(t, func() bool {
		var archived bool
		require.NoError(t, before.db.QueryRowContext(t.Context(),
			`select coalesce(last_archived_wal >= $1, false) from pg_stat_archiver`, segment).Scan(&archived))
		return archived
	}, time.Minute, 50*time.Millisecond)
	server.Stop()

	backup.Recover("archive_mode=off", fmt.Sprintf("restore_command=cp %s/%%f %%p", archive.Path), "recovery_target_name=before the mistake")
	after := openShop(t, backup.URL())
	assert.Equal(t, was, after.ids())
	assert.Equal(t, 20, after.applied(), "the read model is of the same moment")
	_, err := after.es.Page(t.Context(), store.All, &store.ReadOptions{After: 30})
	require.ErrorIs(t, err, store.ErrPositionLost, "a program that keeps a position of its own is told")
	after.sell(5)
	assert.Equal(t, after.ids()[20:], after.handle(), "the subscription goes on behind the checkpoint of that moment")
	assert.Equal(t, 25, after.applied())
}
