package storetest_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/storetest"
)

// What follows is the code of docs/testing.md: tests of a small program.

type (
	Deposited struct{ Cents int64 }
	Withdrawn struct{ Cents int64 }
	Account   struct{ Cents int64 }
)

var ErrNotCovered = errors.New("not covered")

func (a Account) With(value any) (Account, error) {
	switch v := value.(type) {
	case Deposited:
		a.Cents += v.Cents
	case Withdrawn:
		a.Cents -= v.Cents
	}
	return a, nil
}

func Withdraw(cents int64) func(Account) ([]store.Event, error) {
	return func(a Account) ([]store.Event, error) {
		if a.Cents < cents {
			return nil, ErrNotCovered
		}
		return []store.Event{{Data: Withdrawn{cents}}}, nil
	}
}

func bankTypes() store.Serializer {
	t := serializer.NewTypes()
	serializer.Register[Deposited](t, "deposited")
	serializer.Register[Withdrawn](t, "withdrawn")
	return serializer.JSON(t)
}

func applyBalances(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
	for _, e := range events {
		d, ok, err := store.As[Deposited](e)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if _, err := tx.ExecContext(ctx, `insert into balances (account, cents) values ($1, $2)
			on conflict (account) do update set cents = balances.cents + excluded.cents`, e.Stream, d.Cents); err != nil {
			return err
		}
	}
	return nil
}

func TestExampleWithdraw(t *testing.T) {
	storetest.Decider(t, bankTypes(), Account.With).
		Given(Deposited{Cents: 5000}).
		When(Withdraw(4000)).
		Then(Withdrawn{Cents: 4000})

	storetest.Decider(t, bankTypes(), Account.With).
		Given(Deposited{Cents: 5000}, Withdrawn{Cents: 4000}).
		When(Withdraw(4000)).
		ThenError(ErrNotCovered)
}

func TestExampleBalances(t *testing.T) {
	backend, db := storetest.SQLite(t, nil) // or pgtest.New(t, "pgx", nil)
	es := storetest.Open(t, backend, &store.Options{Serializer: bankTypes()})
	_, err := db.ExecContext(t.Context(), `create table balances (account text primary key, cents bigint not null)`)
	require.NoError(t, err)
	for _, cents := range []int64{5000, 300} {
		_, err = es.Append(t.Context(), "account-7", store.Any, store.Event{Data: Deposited{cents}})
		require.NoError(t, err)
	}

	require.NoError(t, storetest.Project(t, es, "balances", applyBalances, nil))

	var cents int64
	require.NoError(t, db.QueryRowContext(t.Context(), `select cents from balances where account = 'account-7'`).Scan(&cents))
	assert.EqualValues(t, 5300, cents)
}

// The mail server is down for a minute, and the test takes no time.
func TestExampleMailIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		es := storetest.New(t)
		_, err := es.Append(t.Context(), "order-17", store.NoStream, store.Event{Type: "order.placed"})
		require.NoError(t, err)
		back, sent := time.Now().Add(time.Minute), 0
		go func() {
			_ = es.Consume(t.Context(), store.All, "mails", func(context.Context, store.Recorded) error {
				if time.Now().Before(back) {
					return errors.New("the mail server is down")
				}
				sent++
				return nil
			}, nil)
		}()
		time.Sleep(2 * time.Minute)
		storetest.WaitIdle(t, es, "mails")
		assert.Equal(t, 1, sent)
	})
}

// A change of the program that records other events changes a file, which is seen in the review.
func TestExampleHistory(t *testing.T) {
	es := storetest.Open(t, memory.New(), &store.Options{Serializer: bankTypes()})
	_, err := es.Append(t.Context(), "account-7", store.NoStream, store.Event{Data: Deposited{5000}})
	require.NoError(t, err)
	page, err := es.Page(t.Context(), "account-7", nil)
	require.NoError(t, err)
	_, err = es.Append(store.WithCause(t.Context(), page[0]), "account-7", store.Version(1), store.Event{Data: Withdrawn{1200}})
	require.NoError(t, err)
	storetest.Golden(t, es, "account-7", "testdata/account.golden", nil)
}
