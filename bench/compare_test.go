package bench

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"regexp"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
)

var (
	rounds = flag.Int("rounds", 5, "how often each store is measured")
	length = flag.Duration("time", time.Second, "for how long each time")
	out    = flag.String("out", "../docs", "where the page goes")
	only   = flag.String("only", "", "measure the workloads whose names match this regular expression, and write no page")
)

// TestCompare measures every store with every workload, in turns, and writes the page.
func TestCompare(t *testing.T) {
	server := pgtest.StartServer(t, "fsync=on", "shared_buffers=512MB", "max_wal_size=8GB", "max_connections=300")
	admin := pgtest.Open(t, "pgx", server.URL())
	r := report{rounds: *rounds, figures: figures{}, failures: map[string]map[string]string{}, verdicts: map[string]verdict{}}
	require.NoError(t, admin.QueryRowContext(t.Context(), `select 'PostgreSQL ' || split_part(current_setting('server_version'), ' ', 1)`).Scan(&r.server))
	n := 0
	// on calls f with a store on a database of its own.
	on := func(p peer, f func(l log) error) error {
		n++
		name := fmt.Sprint("peer", n)
		_, err := admin.ExecContext(t.Context(), "create database "+name)
		require.NoError(t, err)
		defer func() {
			_, err := admin.ExecContext(context.WithoutCancel(t.Context()), "drop database "+name+" with (force)")
			require.NoError(t, err)
		}()
		url := server.DatabaseURL(name)
		db, err := sql.Open("pgx", url)
		require.NoError(t, err)
		defer db.Close() //nolint:errcheck // it goes with the database
		db.SetMaxOpenConns(connections)
		db.SetMaxIdleConns(connections)
		l, err := p.open(t.Context(), url, db)
		if err != nil {
			return err
		}
		if c, ok := l.(closer); ok {
			defer c.close() //nolint:errcheck // likewise
		}
		return f(l)
	}
	chosen := regexp.MustCompile(*only)
	for round := range *rounds {
		for _, w := range workloads() {
			if !chosen.MatchString(w.name) {
				continue
			}
			for i := range peers {
				p := peers[(i+round)%len(peers)]
				var figure float64
				err := on(p, func(l log) (err error) {
					figure, err = w.run(t.Context(), l, *length)
					return err
				})
				switch {
				case err == nil:
					r.figures.add(w.name, p.name, figure)
					t.Logf("%d %s: %s: %s %s", round+1, w.name, p.name, text(figure), w.unit)
				case r.failures[w.name] == nil:
					r.failures[w.name] = map[string]string{}
					fallthrough
				default:
					r.failures[w.name][p.name] = firstLine(err.Error())
					if errors.Is(err, errors.ErrUnsupported) {
						r.failures[w.name][p.name] = "–"
					}
					t.Logf("%d %s: %s: %v", round+1, w.name, p.name, err)
				}
			}
		}
	}
	if *only != "" {
		return
	}
	for _, p := range peers {
		var v verdict
		err := on(p, func(l log) error {
			v = judge(t.Context(), l, 5**length)
			return nil
		})
		v.err = errors.Join(v.err, err)
		r.verdicts[p.name] = v
		t.Logf("%s: %+v %v", p.name, v, v.err)
	}
	require.NoError(t, r.write(*out))
}
