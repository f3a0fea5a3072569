package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// projecting is a Store on a database of its own, with a table for its read model in another schema.
type projecting struct {
	*store.Store
	t      *testing.T
	db     *sql.DB
	driver string
	url    string
}

func newProjecting(t *testing.T, driver, url string) *projecting {
	t.Helper()
	db := pgtest.Open(t, driver, url)
	b := postgres.New(db, &postgres.Options{Schema: "events"})
	require.NoError(t, migrate.Up(t.Context(), b))
	p := &projecting{t: t, db: db, driver: driver, url: url, Store: store.New(b, &store.Options{
		PollInterval: 20 * time.Millisecond, LeaseTTL: 2 * time.Second,
	})}
	t.Cleanup(func() { _ = p.Close() })
	for _, statement := range []string{
		`create schema reports`,
		`create table reports.applied (position bigint not null, stream text not null, constraint applied_once unique (position) deferrable initially deferred)`,
	} {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	return p
}

func (p *projecting) fill(streams, events int) {
	p.t.Helper()
	for s := range streams {
		list := make([]store.Event, events)
		for i := range list {
			list[i] = store.Event{Type: "happened", Data: i}
		}
		_, err := p.Append(p.t.Context(), fmt.Sprint("s-", s), store.Any, list...)
		require.NoError(p.t, err)
	}
}

// applied writes a row for each event.
func applied(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
	for _, e := range events {
		if _, err := tx.ExecContext(ctx, `insert into reports.applied (position, stream) values ($1, $2)`, e.Number, e.Stream); err != nil {
			return err
		}
	}
	return nil
}

// run runs a projection until the end of the test.
func (p *projecting) run(handler store.BatchHandler, opts *store.ProjectOptions) {
	p.t.Helper()
	opts.MinBackoff, opts.MaxBackoff, opts.RetryInterval = 5*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	ctx, cancel := context.WithCancel(context.WithoutCancel(p.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- p.Project(ctx, "report", handler, opts) }()
	p.t.Cleanup(func() {
		cancel()
		assert.ErrorIs(p.t, <-ended, context.Canceled)
	})
}

// has waits until the projection has come to a position, and fails unless so many rows are there.
func (p *projecting) has(position, rows int64) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	for {
		err := p.WaitForPosition(ctx, "report", position)
		if err == nil {
			break
		}
		require.NoError(p.t, ctx.Err(), "%v", err)
	}
	var n int64
	require.NoError(p.t, p.db.QueryRowContext(p.t.Context(), `select count(*) from reports.applied`).Scan(&n))
	assert.Equal(p.t, rows, n)
}

func blameNobody(t *testing.T) func(store.Recorded, error, int) store.Decision {
	return func(e store.Recorded, err error, _ int) store.Decision {
		t.Errorf("event %d was blamed: %v", e.Number, err)
		return store.Retry
	}
}
