package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// handlerStates are SQLSTATEs that a handler's statement may get for what is in an event, while its connection goes on: internal
// errors as PostGIS raises them, missing files as pg_read_file does, memory, disk, the operator's, and those of other servers.
var handlerStates = []string{"XX000", "XX001", "53000", "53100", "53200", "53300", "53400", "57000", "57014", "57P01", "57P03", "58000", "58030", "58P01", "08001", "08006"}

// raises creates a function that raises an error, and a table that raises one at the commit.
func (p *projecting) raises() {
	p.t.Helper()
	for _, statement := range []string{
		`create function reports.raise(state text) returns void language plpgsql as $$ begin raise exception 'bad geometry' using errcode = state; end $$`,
		`create table reports.late (state text not null)`,
		`create function reports.raise_late() returns trigger language plpgsql as $$ begin perform reports.raise(new.state); return null; end $$`,
		`create constraint trigger late after insert on reports.late deferrable initially deferred for each row execute function reports.raise_late()`,
	} {
		_, err := p.db.ExecContext(p.t.Context(), statement)
		require.NoError(p.t, err)
	}
}

// TestProjectHandlerStates: an error of a handler is decided about by OnError whatever class its SQLSTATE has, if the connection
// goes on: the batch is halved, only that event is parked, and other keys go on.
func TestProjectHandlerStates(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			p := newProjecting(t, driver, pgtest.Database(t))
			p.raises()
			n := len(handlerStates)
			p.fill(n, 2)
			p.run(func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
				if err := applied(ctx, tx, events); err != nil {
					return err
				}
				for _, e := range events {
					if e.Version == 2 {
						if _, err := tx.ExecContext(ctx, `select reports.raise($1)`, handlerStates[(e.Number-1)/2]); err != nil {
							return err
						}
					}
				}
				return nil
			}, &store.ProjectOptions{OnError: store.RetryThen(2, store.Park)})
			p.has(int64(2*n), int64(n))
			list, err := p.Parked(t.Context(), "report", nil)
			require.NoError(t, err)
			require.Len(t, list, n)
			for _, e := range list {
				assert.EqualValues(t, 2, e.Version)
				assert.Equal(t, 2, e.Attempts)
				assert.Contains(t, e.Error, "bad geometry")
			}
		})
	}
}

// TestProjectCommitStates: so is an error that the commit raises, unless it leaves open whether it was committed.
func TestProjectCommitStates(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			p := newProjecting(t, driver, pgtest.Database(t))
			p.raises()
			states := []string{"XX000", "53100", "57014", "58P01"}
			n := len(states)
			p.fill(n, 2)
			p.run(func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
				for _, e := range events {
					if e.Version == 2 {
						if _, err := tx.ExecContext(ctx, `insert into reports.late values ($1)`, states[(e.Number-1)/2]); err != nil {
							return err
						}
					}
				}
				return applied(ctx, tx, events)
			}, &store.ProjectOptions{OnError: store.RetryThen(1, store.Park)})
			p.has(int64(2*n), int64(n))
			list, err := p.Parked(t.Context(), "report", nil)
			require.NoError(t, err)
			require.Len(t, list, n)
		})
	}
}

// TestConsumeHandlerStates: OnError of Consume decides about every error of a handler.
func TestConsumeHandlerStates(t *testing.T) {
	t.Parallel()
	p := newProjecting(t, "pgx", pgtest.Database(t))
	p.raises()
	p.fill(1, len(handlerStates))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	var asked []string
	calls := 0
	err := p.Consume(ctx, store.All, "mailer", func(ctx context.Context, e store.Recorded) error {
		if calls++; calls > len(handlerStates) {
			cancel() // it is retried, and OnError was not asked
		}
		_, err := p.db.ExecContext(ctx, `select reports.raise($1)`, handlerStates[e.Number-1])
		return err
	}, &store.ConsumeOptions{MaxBackoff: time.Millisecond, OnError: func(e store.Recorded, err error, attempt int) store.Decision {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, fmt.Sprint(e.Number, " ", attempt))
		if len(asked) == len(handlerStates) {
			cancel()
		}
		return store.Skip
	}})
	require.ErrorIs(t, err, context.Canceled)
	var want []string
	for n := range handlerStates {
		want = append(want, fmt.Sprint(n+1, " 1"))
	}
	assert.Equal(t, want, asked)
}
