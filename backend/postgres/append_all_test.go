package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// TestAppendAllOneRoundTrip: appends to several streams are one statement, new streams or not.
func TestAppendAllOneRoundTrip(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	es := store.New(b, nil)
	list := []store.StreamAppend{store.To("b", store.Any, named(2)...), store.To("a", store.Any, fresh(1)...)}
	_, err := es.AppendAll(t.Context(), list...)
	require.NoError(t, err)
	places, err := b.writeAll(t.Context(), []store.AppendRequest{request("a", store.Version(1), 1), request("c", store.NoStream, 2)})
	require.NoError(t, err)
	require.Len(t, places, 2)
	assert.Equal(t, []int64{2, 2}, []int64{places[0].version, places[1].version})
	assert.Equal(t, places[0].seq+1, places[1].seq, "numbers go up in the order of the call")
	before := number(t, b, `select last_value from /*schema.*/append_seq`)
	places, err = b.writeAll(t.Context(), []store.AppendRequest{request("a", store.Any, 1), request("c", store.NoStream, 2)})
	require.NoError(t, err)
	assert.Nil(t, places, "c is there")
	assert.Equal(t, before, number(t, b, `select last_value from /*schema.*/append_seq`), "a refused call draws no number")
}

// request returns an append of n events with ids drawn just now.
func request(stream string, expected store.Expected, n int) store.AppendRequest {
	r := store.AppendRequest{Stream: stream, Expected: expected, FreshIDs: true}
	for range n {
		r.Events = append(r.Events, store.NewEvent{ID: uuid.New(), Type: "happened", Data: []byte("1")})
	}
	return r
}

func TestLostAnswerToAppendAll(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		expected store.Expected
		events   func(n int) []store.Event
		settings url.Values
	}{
		{name: "any", expected: store.Any, events: fresh},
		{name: "version", expected: store.Version(2), events: fresh},
		{name: "given ids", expected: store.Version(2), events: named},
		{name: "repeatable read", expected: store.Any, events: fresh, settings: url.Values{"default_transaction_isolation": {"repeatable read"}}},
	} {
		for _, driver := range pgtest.Drivers() {
			t.Run(driver+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				l := newLossy(t, driver, Options{}, c.settings)
				_, err := l.direct.Append(t.Context(), "there", store.NoStream, fresh(2)...)
				require.NoError(t, err)
				list := []store.StreamAppend{store.To("there", c.expected, c.events(1)...), store.To("new", store.NoStream, c.events(3)...)}
				var results []store.AppendResult
				err = l.losing(doneSelect, func() (err error) {
					results, err = l.es.AppendAll(t.Context(), list...)
					return err
				})
				assert.Equal(t, int64(3), l.version("there"), "it was written once")
				assert.Equal(t, int64(3), l.version("new"))
				if !l.resent {
					unknown(t, err)
					return
				}
				require.NoError(t, err)
				require.Len(t, results, 2)
				for i, first := range []int64{3, 1} {
					assert.True(t, results[i].Retried)
					assert.Equal(t, first, results[i].First)
				}
			})
		}
	}
}

// TestLostAnswerToLargeAppendAll loses the answer to the commit of appends that take several statements.
func TestLostAnswerToLargeAppendAll(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			l := newLossy(t, driver, Options{}, nil)
			list := []store.StreamAppend{store.To("b", store.NoStream, named(maxChunkEvents-1)...), store.To("a", store.NoStream, named(3)...)}
			unknown(t, l.losing(doneCommit, func() error {
				_, err := l.es.AppendAll(t.Context(), list...)
				return err
			}))
			assert.Equal(t, int64(maxChunkEvents-1), l.version("b"))
			assert.Equal(t, int64(3), l.version("a"))
			results, err := l.es.AppendAll(t.Context(), list...)
			require.NoError(t, err)
			for _, r := range results {
				assert.True(t, r.Retried)
			}
		})
	}
}

// TestAppendAllHoldsNothing: while a call waits for a stream that a transaction holds or creates, it holds no other for long.
func TestAppendAllHoldsNothing(t *testing.T) {
	t.Parallel()
	for name, held := range map[string]string{"held": "there", "created": "new"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, pgtest.URL(t))
			es := store.New(b, nil)
			for _, stream := range []string{"a", "there"} {
				_, err := es.Append(t.Context(), stream, store.NoStream, fresh(1)...)
				require.NoError(t, err)
			}
			tx, err := b.db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			defer tx.Rollback() //nolint:errcheck // it is committed
			_, err = es.WithTx(tx).Append(t.Context(), held, store.Any, fresh(1)...)
			require.NoError(t, err)
			done := make(chan error, 1)
			go func() {
				_, err := es.AppendAll(t.Context(), store.To("a", store.Any, fresh(1)...), store.To(held, store.Any, fresh(1)...))
				done <- err
			}()
			waiting := func(statement string) bool {
				return number(t, b, `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
					and query like '%'||$1||'%'`, strings.ReplaceAll(quote(b.opts.Schema), "_", `\_`)+"."+statement) == 1
			}
			eventually(t, "the call waits and holds nothing", func() bool { return waiting("await_stream") })
			quickly, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err = b.db.ExecContext(quickly, fmt.Sprintf(`select from %s.streams where name = 'a' for update nowait`, quote(b.opts.Schema)))
			require.NoError(t, err, "the other stream is free")
			require.NoError(t, tx.Commit())
			require.NoError(t, <-done)
		})
	}
}

// TestAppendAllNoDeadlock: two transactions lock the streams of a call in one order, whichever order the call has.
func TestAppendAllNoDeadlock(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	es := store.New(b, nil)
	ctx := t.Context()
	const rounds, transactions = 20, 6
	streams := []string{"a", "b", "c", "d"}
	errs := make(chan error, transactions)
	for n := range transactions {
		go func() {
			var err error
			for i := 0; err == nil && i < rounds; i++ {
				err = es.InTx(ctx, func(tx *sql.Tx) error {
					var list []store.StreamAppend
					for k := range streams { // in a different order for each, with streams that are new in each round
						at := (k*(1+2*(n%2)) + n) % len(streams)
						list = append(list, store.To(fmt.Sprint(streams[at], i/2), store.Any, fresh(1)...))
					}
					_, err := es.WithTx(tx).AppendAll(ctx, list...)
					return err
				})
			}
			errs <- err
		}()
	}
	for range transactions {
		require.NoError(t, <-errs)
	}
	assert.Equal(t, int64(rounds*transactions*len(streams)), number(t, b, `select count(*) from /*schema.*/events`))
}

// TestAppendAllReleasesLocks: a refused call in a transaction leaves no stream locked.
func TestAppendAllReleasesLocks(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	es := store.New(b, nil)
	for _, stream := range []string{"a", "b"} {
		_, err := es.Append(t.Context(), stream, store.NoStream, fresh(1)...)
		require.NoError(t, err)
	}
	tx, err := b.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback() //nolint:errcheck // it wrote nothing
	_, err = es.WithTx(tx).AppendAll(t.Context(), store.To("a", store.Any, fresh(1)...), store.To("b", store.Version(7), fresh(1)...))
	require.ErrorIs(t, err, store.ErrWrongExpectedVersion)
	_, err = b.db.ExecContext(t.Context(), fmt.Sprintf(`select from %s.streams for update nowait`, quote(b.opts.Schema)))
	require.NoError(t, err)
}

// TestAppendAllSequenceBehind: a sequence that was set back is set right, and the call goes on.
func TestAppendAllSequenceBehind(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	es := store.New(b, nil)
	for range 5 {
		_, err := es.AppendAll(t.Context(), store.To("a", store.Any, fresh(1)...), store.To("b", store.Any, fresh(2)...))
		require.NoError(t, err)
	}
	_, err := es.Head(t.Context())
	require.NoError(t, err)
	for _, n := range []int{1, maxChunkEvents} {
		number(t, b, `select setval('/*schema.*/append_seq', 2)`)
		_, err = es.AppendAll(t.Context(), store.To("a", store.Any, fresh(n)...), store.To("b", store.Any, fresh(2)...))
		require.NoError(t, err)
	}
	got, err := store.Collect(es.All(t.Context(), nil))
	require.NoError(t, err)
	assert.Len(t, got, 15+1+2+maxChunkEvents+2)
}

// TestPositionTimesNeverGoBack: when the clock of the server is behind that of the one before, positions get the time of the last one.
func TestPositionTimesNeverGoBack(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	es := store.New(b, nil)
	ctx := t.Context()
	at := func() time.Time {
		t.Helper()
		_, err := es.Append(ctx, "s", store.Any, fresh(1)...)
		require.NoError(t, err)
		_, err = es.Head(ctx)
		require.NoError(t, err)
		var at time.Time
		query := strings.NewReplacer(b.opts.replacements()...).Replace(`select placed_at from /*schema.*/log order by position desc limit 1`)
		require.NoError(t, b.db.QueryRowContext(ctx, query).Scan(&at))
		return at
	}
	first := at()
	ahead := first.Add(time.Hour)
	exec := func(query string, args ...any) {
		t.Helper()
		_, err := b.db.ExecContext(ctx, strings.NewReplacer(b.opts.replacements()...).Replace(query), args...)
		require.NoError(t, err)
	}
	exec(`alter table /*schema.*/log disable trigger guard`)
	exec(`update /*schema.*/log set placed_at = $1`, ahead)
	exec(`alter table /*schema.*/log enable trigger guard`)
	for range 3 {
		assert.WithinDuration(t, ahead, at(), 0)
	}
	position, err := es.PositionAt(ctx, ahead)
	require.NoError(t, err)
	assert.Zero(t, position)
	position, err = es.PositionAt(ctx, ahead.Add(time.Microsecond))
	require.NoError(t, err)
	assert.Equal(t, int64(4), position)
}

// TestPastPlans looks at the plans of position_at and version_at on 100,000 events, without and with statistics: each step of the search
// is a look-up.
func TestPastPlans(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	conn, err := b.db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // the pool's
	exec := func(query string) {
		t.Helper()
		_, err := conn.ExecContext(t.Context(), strings.NewReplacer(b.opts.replacements()...).Replace(query))
		require.NoError(t, err)
	}
	exec(`set plan_cache_mode = force_generic_plan`)
	for _, analyze := range []bool{false, true} {
		if !analyze {
			fill(exec, 1, 100_000)
		} else {
			for _, table := range []string{"events", "log", "streams"} {
				exec(`vacuum analyze /*schema.*/` + table)
			}
		}
		ids := `'\x` + strings.Repeat("00", 48) + `'`
		for _, s := range []struct{ name, args, want string }{
			{"position_at", `1700000000000000`, `Index Scan Backward using log_pkey on log l(_1)?\n +Index Cond: \(.*"?position"? <= `},
			{"version_at", `'s-7', 5000`, `events_version_key(?s:.*)log_append_seq_key`},
			{"judge_all", `'{s-7,s-8}', '{2,1}', '{0,2}', ` + ids, `streams_name_key(?s:.*)events_event_id_key`},
		} {
			plan := explain(t, conn, b, s.name, s.args)
			require.Regexp(t, s.want, plan, "%s, analyzed: %v\n%s", s.name, analyze, plan)
			require.NotRegexp(t, "Seq Scan on (events|log|streams)", plan, "%s, analyzed: %v\n%s", s.name, analyze, plan)
			t.Logf("%s, analyzed: %v\n%s", s.name, analyze, plan)
		}
	}
}
