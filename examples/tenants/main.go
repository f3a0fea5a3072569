// Tenants keeps a store for each of many tenants, in schemas of one PostgreSQL database and over one pool of connections. It appends
// orders to some of them and keeps what each has sold in a table, by a projection of each store. Stores are open only while there is
// something to do. Run it in several terminals at a time.
//
//	go run ./examples/tenants -db postgres://localhost/test -tenants 1000
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/sync/errgroup"
)

// settings of a run.
type settings struct {
	url     string
	tenants int
	busy    int           // tenants that get orders
	length  time.Duration // of the orders
	rest    time.Duration
	every   time.Duration // between two looks at all tenants, and two lines of the report
}

func main() {
	s := settings{every: time.Second}
	flag.StringVar(&s.url, "db", "", "`URL` of a PostgreSQL database")
	flag.IntVar(&s.tenants, "tenants", 100, "how many tenants there are")
	flag.IntVar(&s.busy, "busy", 10, "how many of them get orders")
	flag.DurationVar(&s.length, "for", 10*time.Second, "how long orders come in")
	flag.DurationVar(&s.rest, "rest", 5*time.Second, "for how long a store rests before it is closed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, s); err != nil {
		fmt.Fprintln(os.Stderr, "tenants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, s settings) error {
	if s.url == "" {
		return errors.New("set -db to the URL of a PostgreSQL database")
	}
	if s.tenants < 1 || s.busy < 1 || s.busy > s.tenants {
		return errors.New("-tenants must be at least 1, and -busy between 1 and that")
	}
	db, err := sql.Open("pgx", s.url)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // nothing is open any more
	db.SetMaxOpenConns(10)
	db.SetMaxIdleConns(10)
	schemas := make([]string, s.tenants)
	for i := range schemas {
		schemas[i] = fmt.Sprintf("tenant_%04d", i)
	}
	all := newTenants(db, schemas, s.rest, 20, slog.Default())
	if err := createRevenues(ctx, db); err != nil {
		return err
	}
	began := time.Now()
	if err := all.migrate(ctx); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "%d tenants were migrated in %v\n", s.tenants, time.Since(began).Round(time.Millisecond)); err != nil {
		return err
	}
	return all.work(ctx, out, s)
}

// work has orders come in, waits until all stores rest, and checks what the projections have made of them.
func (all *tenants) work(ctx context.Context, out io.Writer, s settings) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	background, watching := errgroup.WithContext(ctx)
	background.Go(func() error { return all.watch(watching, s.every) })
	background.Go(func() error { return all.report(watching, out, s.every) })

	err := all.orders(ctx, s)
	if err == nil {
		err = all.resting(ctx)
	}
	stop()
	if e := background.Wait(); !errors.Is(e, context.Canceled) {
		err = errors.Join(err, e)
	}
	if e := all.close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return all.check(context.WithoutCancel(ctx), out)
}

// orders places orders with the busy tenants.
func (all *tenants) orders(ctx context.Context, s settings) error {
	end := time.Now().Add(s.length)
	for time.Now().Before(end) {
		if err := all.order(ctx, all.list[rand.IntN(s.busy)].schema, rand.IntN(1000), 1+rand.Int64N(100_00)); err != nil {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// resting waits until no tenant has anything to do.
func (all *tenants) resting(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !all.known() || all.opened() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
