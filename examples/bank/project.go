package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

const projection = "balances"

// project keeps the balances until ctx ends, together with all other programs that do.
func (b *bank) project(ctx context.Context) error {
	return b.es.Project(ctx, projection, apply, &store.ProjectOptions{Partitions: 4, OnError: store.RetryThen(5, store.Park)})
}

// apply adds what was moved to the balances.
func apply(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
	for _, e := range events {
		m, ok, err := store.As[moved](e)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		_, err = tx.ExecContext(ctx, `insert into bank_balances (account, cents, events) values ($1, $2, 1)
			on conflict (account) do update set cents = bank_balances.cents + excluded.cents, events = bank_balances.events + 1`, e.Stream, m.Cents)
		if err != nil {
			return err
		}
	}
	return nil
}

// report prints how far the projection is, once a second.
func (b *bank) report(ctx context.Context, out io.Writer) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		info, err := b.es.Projection(ctx, projection)
		if errors.Is(err, store.ErrProjectionNotFound) {
			continue // nobody has come to it yet
		}
		if err != nil {
			return err
		}
		head, err := b.es.Head(ctx)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%d events, %d not applied yet, %d programs share the work\n", head, info.Lag(), info.Members); err != nil {
			return err
		}
	}
}

// balance is what an account has, and from how many events.
type balance struct{ cents, events int64 }

// check applies what is left and compares the balances with a fold of the events.
func (b *bank) check(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	head, err := b.es.Head(ctx)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- b.project(ctx) }()
	if err := b.caughtUp(ctx, head, ended); err != nil {
		return err
	}
	cancel()
	<-ended //nolint:errcheck // it was cancelled
	want := map[string]balance{}
	for e, err := range b.es.All(context.WithoutCancel(ctx), &store.ReadOptions{Limit: int(max(head, 1))}) {
		if err != nil {
			return err
		}
		m, err := store.Decode[moved](e)
		if err != nil {
			return err
		}
		was := want[e.Stream]
		want[e.Stream] = balance{was.cents + m.Cents, was.events + 1}
	}
	return b.compare(context.WithoutCancel(ctx), out, want)
}

// caughtUp waits until the projection is at a position.
func (b *bank) caughtUp(ctx context.Context, head int64, ended <-chan error) error {
	for {
		err := b.es.WaitForPosition(ctx, projection, head)
		if err == nil {
			return nil
		}
		select {
		case err := <-ended:
			return err
		case <-time.After(10 * time.Millisecond): // it is not there yet
		}
	}
}

// compare compares the balances with what they should be.
func (b *bank) compare(ctx context.Context, out io.Writer, want map[string]balance) error {
	rows, err := b.db.QueryContext(ctx, `select account, cents, events from bank_balances order by account`)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	var sum, events int64
	for rows.Next() {
		var account string
		var have balance
		if err := rows.Scan(&account, &have.cents, &have.events); err != nil {
			return err
		}
		if have != want[account] {
			return fmt.Errorf("%s: the table says %+v, the events say %+v", account, have, want[account])
		}
		delete(want, account)
		sum, events = sum+have.cents, events+have.events
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(want) > 0 {
		return fmt.Errorf("the table lacks %v", slices.Sorted(maps.Keys(want)))
	}
	_, err = fmt.Fprintf(out, "All balances are what %d events say; together they are %d.\n", events, sum)
	return err
}
