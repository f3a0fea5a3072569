package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

const accounts = 100

func account(n int) string { return fmt.Sprintf("account-%d", n) }

// transferAll transfers money between accounts until ctx ends.
func (b *bank) transferAll(ctx context.Context) error {
	for {
		from, to := rand.IntN(accounts), rand.IntN(accounts)
		if from == to {
			continue
		}
		err := b.transfer(ctx, account(from), account(to), int64(1+rand.IntN(10_000)))
		if err != nil && !errors.Is(err, store.ErrRetryTx) {
			return err
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// transfer moves money: an event for each of the accounts, both or none.
func (b *bank) transfer(ctx context.Context, from, to string, cents int64) error {
	ctx = store.WithCorrelation(ctx, uuid.New())
	return b.es.InTx(ctx, func(tx *sql.Tx) error {
		es := b.es.WithTx(tx)
		first, second := from, to
		if first > second { // everybody locks streams in one order, so that nobody waits in a circle
			first, second = second, first
		}
		for _, stream := range []string{first, second} {
			change := cents
			if stream == from {
				change = -cents
			}
			if _, err := es.Append(ctx, stream, store.Any, store.Event{Data: moved{change}}); err != nil {
				return err
			}
		}
		return nil
	})
}
