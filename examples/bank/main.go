// Bank transfers money between accounts, in transactions of its own, and keeps the balances in a table by a projection.
// Kill it whenever you like, start it again, run it in several terminals at a time: no cent is lost or made.
//
//	go run ./examples/bank -db bank.db
//	go run ./examples/bank -db bank.db -check
//	go run ./examples/bank -db postgres://localhost/test
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

func main() {
	db := flag.String("db", "", "`URL` of a PostgreSQL database, or the path of a SQLite file (default: a file in the system's temporary folder)")
	check := flag.Bool("check", false, "compare the balances with the events, and end")
	length := flag.Duration("for", 3*time.Second, "how long to transfer money; 0 until interrupted")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *db, *check, *length); err != nil {
		fmt.Fprintln(os.Stderr, "bank:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, target string, check bool, length time.Duration) error {
	if target == "" {
		target = filepath.Join(os.TempDir(), "eventstore-bank.db")
		if _, err := fmt.Fprintln(out, "The bank is kept in", target); err != nil {
			return err
		}
	}
	b, err := open(ctx, target)
	if err != nil {
		return err
	}
	defer b.close()
	if check {
		return b.check(ctx, out)
	}
	if length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, length)
		defer cancel()
	}
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { return b.transferAll(ctx) })
	work.Go(func() error { return b.project(ctx) })
	work.Go(func() error { return b.report(ctx, out) })
	if err := work.Wait(); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
