package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/postgres/pgxnotify"
	"github.com/eventstore-go/eventstore/backend/postgres/pqnotify"
	"github.com/eventstore-go/eventstore/conformance"
	"github.com/eventstore-go/eventstore/internal/longtest"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	jsonOnly := conformance.Excuse("a jsonb column takes JSON only", "event/bytes", "event/content-type/others")
	one := conformance.Excuse("a pool of one has no second connection", conformance.NeedTwoConnections()...)
	for _, driver := range pgtest.Drivers() {
		for _, run := range []struct {
			name     string
			opts     postgres.Options
			conns    int
			pageSize int
			only     []string
			without  []string
			notifier func(tb testing.TB, s store.Storage) store.Notifier
			excused  map[string]string
		}{
			{name: "", conns: 8},
			{name: "/pool=1/page=3", conns: 1, pageSize: 3, excused: one, only: longtest.Share("all/", "append/", "read/", "filter/", "choose/", "tx/", "cancel/")},
			{name: "/jsonb/noprepare", conns: 8, pageSize: 3, opts: postgres.Options{DataType: "jsonb", NoPrepare: true}, excused: jsonOnly, only: longtest.Share("event/", "append/", "snapshot/", "link/", "bytes/"), without: []string{"project/"}},
			{name: "/listen", conns: 8, only: []string{"sub/"}, notifier: listeners[driver]},
		} {
			if !longtest.On() && run.name != "" && (driver != "pgx" || run.notifier != nil) {
				continue // pgxnotify and pqnotify have tests of their own
			}
			if driver != "pgx" && run.opts.NoPrepare {
				continue // what it changes is on the server
			}
			t.Run(driver+run.name, func(t *testing.T) {
				t.Parallel()
				at := &places{t: t, driver: driver, conns: run.conns, opts: run.opts}
				at.opts.NoGroupCommit = driver != "pgx" // one driver each: it is the same on both
				if driver != "pgx" && run.only == nil { // the other driver sees the same statements
					run.only = longtest.Share("append/", "event/", "read/", "all/", "choose/", "types/", "tx/", "open-tx/", "link/", "delete/", "retry/", "cancel/", "limits/", "snapshot/")
				}
				conformance.Run(t, conformance.Harness{
					Name:     "postgres/" + driver + run.name,
					NotInTx:  run.opts.NoPrepare || run.conns == 1 && (driver != "pgx" || !longtest.On()),
					PageSize: run.pageSize,
					Only:     run.only,
					Without:  run.without,
					Notifier: run.notifier,
					Excused:  run.excused,
					New:      func(tb testing.TB) store.Storage { return at.open(tb) },
				})
			})
		}
	}
}

// listeners make notifiers by driver.
var listeners = map[string]func(tb testing.TB, s store.Storage) store.Notifier{
	"pgx": func(tb testing.TB, s store.Storage) store.Notifier {
		n, err := pgxnotify.New(pgtest.URL(tb), s.(*postgres.Backend).Channel(), nil)
		require.NoError(tb, err)
		return n
	},
	"postgres": func(tb testing.TB, s store.Storage) store.Notifier {
		n, err := pqnotify.New(pgtest.URL(tb), s.(*postgres.Backend).Channel(), nil)
		require.NoError(tb, err)
		return n
	},
}
