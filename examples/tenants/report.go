package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

// report prints what the tenants cost, from time to time, until ctx ends.
func (all *tenants) report(ctx context.Context, out io.Writer, every time.Duration) error {
	if _, err := fmt.Fprintln(out, "open stores  connections  goroutines  heap MB  transactions/s"); err != nil {
		return err
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var before int64
	var at time.Time
	for {
		var commits int64
		// Its own, too. The server counts them about once a second.
		err := all.db.QueryRowContext(ctx, `select xact_commit from pg_stat_database where datname = current_database()`).Scan(&commits)
		if err != nil {
			return err
		}
		now := time.Now()
		if !at.IsZero() {
			var memory runtime.MemStats
			runtime.ReadMemStats(&memory)
			if _, err := fmt.Fprintf(out, "%11d  %11d  %10d  %7.1f  %14.1f\n", all.opened(), all.db.Stats().OpenConnections,
				runtime.NumGoroutine(), float64(memory.HeapInuse)/1e6, float64(commits-before)/now.Sub(at).Seconds()); err != nil {
				return err
			}
		}
		before, at = commits, now
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// check compares what each tenant has sold with its events: with as many of them as are in its revenue, since another process may go on.
func (all *tenants) check(ctx context.Context, out io.Writer) error {
	var orders, total int64
	for _, t := range all.list {
		var n, have int64
		err := all.db.QueryRowContext(ctx, `select coalesce(sum(orders), 0), coalesce(sum(cents), 0) from revenues where tenant = $1`, t.schema).Scan(&n, &have)
		if err != nil {
			return err
		}
		o := all.newStore(t)
		want, err := sold(ctx, o.es, n)
		if err := errors.Join(err, o.close()); err != nil {
			return fmt.Errorf("tenant %q: %w", t.schema, err)
		}
		if have != want {
			return fmt.Errorf("tenant %q: %d orders came to %d cents, but its revenue is %d", t.schema, n, want, have)
		}
		orders, total = orders+n, total+have
	}
	_, err := fmt.Fprintf(out, "%d orders of %d tenants, %d.%02d in all: every revenue is right\n", orders, len(all.list), total/100, total%100)
	return err
}

// sold returns what the first n orders of a store come to.
func sold(ctx context.Context, es *store.Store, n int64) (cents int64, err error) {
	for e, err := range es.All(ctx, nil) {
		if err != nil {
			return 0, err
		}
		if n == 0 {
			return cents, nil
		}
		o, ok, err := store.As[ordered](e)
		if err != nil {
			return 0, err
		}
		if ok {
			cents, n = cents+o.Cents, n-1
		}
	}
	if n > 0 {
		return 0, fmt.Errorf("%d orders in its revenue are not in the store", n)
	}
	return cents, nil
}
