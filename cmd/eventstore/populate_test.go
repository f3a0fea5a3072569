package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/serializer/encryption/sqlkeys"
	"github.com/eventstore-go/eventstore/store"
)

// noon is when all that populate appends was appended.
var noon = time.Date(2020, 2, 29, 12, 0, 0, 0, time.UTC)

// populate fills the store with some of everything: deposits to accounts, a correlation, links, a soft-deleted stream, a
// subscription, a projection with parked events, a snapshot.
func populate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: populate")
	}
	l, err := database.Parse(ts.Getenv("EVENTSTORE_DB"))
	ts.Check(err)
	d, err := database.Open(l, database.Options{Create: true})
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ts.Check(migrate.Up(ctx, d.Backend))
	es := store.New(d.Backend, &store.Options{PollInterval: 10 * time.Millisecond})
	ts.Check(fill(ctx, es))
	ts.Check(errors.Join(es.Close(), d.Close()))
}

// id is the nth id of what populate makes.
func id(n int) uuid.UUID { return uuid.MustParse(fmt.Sprintf("00000000-0000-4000-8000-%012d", n)) }

func fill(ctx context.Context, es *store.Store) error {
	n := 0
	deposit := func(stream string, amount int, cause, correlation uuid.UUID) store.Event {
		n++
		return store.Event{
			ID: id(n), Type: "Deposited", Data: json.RawMessage(fmt.Sprintf(`{"to":%q,"amount":%d}`, stream, amount)), CreatedAt: noon.Add(time.Duration(n) * time.Second),
			CausationID: cause, CorrelationID: correlation,
		}
	}
	add := func(stream string, events ...store.Event) error {
		_, err := es.Append(ctx, stream, store.Any, events...)
		return err
	}
	command := id(900)
	first := deposit("account-1", 5, command, id(800))
	withdrawn := deposit("account-2", 7, first.ID, id(800))
	withdrawn.Type, withdrawn.Metadata = "Withdrawn", json.RawMessage(`{"by":"Zoë"}`)
	steps := []error{
		add("account-1", first, deposit("account-1", 6, uuid.Nil, uuid.Nil)),
		add("account-2", withdrawn),
		add("account-3", deposit("account-3", 1, withdrawn.ID, id(800)), deposit("account-3", -1, first.ID, id(800))),
		add("mails", deposit("account-3", 1, id(4), id(800))),
		add("closed", deposit("closed", 9, uuid.Nil, uuid.Nil)),
		es.Delete(ctx, "closed", store.Any, store.SoftDelete),
		es.RecordSnapshot(ctx, store.Snapshot{SourceID: "account-1", Version: 2, Type: "Balance", Data: json.RawMessage(`{"balance":11}`)}),
		subscribe(ctx, es),
		project(ctx, es),
	}
	return errors.Join(steps...)
}

// subscribe makes a subscription that has come to 4.
func subscribe(ctx context.Context, es *store.Store) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	err := es.Consume(ctx, store.All, "mailer", func(_ context.Context, e store.Recorded) error {
		if e.Number == 4 {
			stop()
		}
		return nil
	}, nil)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// project makes a projection that has parked both events of account-3.
func project(ctx context.Context, es *store.Store) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- es.Project(ctx, "balances", func(_ context.Context, _ *sql.Tx, events []store.Recorded) error {
			for _, e := range events {
				if e.Stream == "account-3" && e.Version == 1 {
					return errors.New("no such account")
				}
			}
			return nil
		}, &store.ProjectOptions{Partitions: 2, OnError: store.RetryThen(1, store.Park), MinBackoff: time.Millisecond})
	}()
	err := es.WaitForPosition(ctx, "balances", 7)
	for errors.Is(err, store.ErrProjectionNotFound) && ctx.Err() == nil { // it is just being created
		err = es.WaitForPosition(ctx, "balances", 7)
	}
	stop()
	if e := <-ended; err == nil && !errors.Is(e, context.Canceled) {
		err = e
	}
	return err
}

// park makes a subscription "sms" on account-3 that has parked both of its events.
func park(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: park")
	}
	l, err := database.Parse(ts.Getenv("EVENTSTORE_DB"))
	ts.Check(err)
	d, err := database.Open(l, database.Options{})
	ts.Check(err)
	es := store.New(d.Backend, nil)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- es.Consume(ctx, "account-3", "sms", func(context.Context, store.Recorded) error {
			return errors.New("no such number")
		}, &store.ConsumeOptions{OnError: store.RetryThen(1, store.Park), SubscribeOptions: store.SubscribeOptions{CheckpointThreshold: 1}})
	}()
	for {
		list, err := es.Subscriptions(ctx)
		ts.Check(err)
		if slices.ContainsFunc(list, func(s store.SubscriptionInfo) bool { return s.Name == "sms" && s.Parked == 2 && s.Checkpoint == 2 }) {
			break
		}
		select {
		case err := <-ended:
			ts.Fatalf("it has ended: %v", err)
		default:
		}
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		ts.Check(err)
	}
	ts.Check(errors.Join(es.Close(), d.Close()))
}

// many appends events to a hundred streams, ten at a time: many 20000
func many(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: many N")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	l, err := database.Parse(ts.Getenv("EVENTSTORE_DB"))
	ts.Check(err)
	d, err := database.Open(l, database.Options{Create: true})
	ts.Check(err)
	ctx := context.Background()
	ts.Check(migrate.Up(ctx, d.Backend))
	es := store.New(d.Backend, nil)
	for i := range n / 10 {
		list := make([]store.Event, 10)
		for j := range list {
			list[j] = store.Event{Type: "counted", Data: i*10 + j}
		}
		_, err := es.Append(ctx, fmt.Sprint("stream-", i%100), store.Any, list...)
		ts.Check(err)
	}
	ts.Check(errors.Join(es.Close(), d.Close()))
}

// keys makes a table of keys, and two keys in it for a subject: keys PREFIX SUBJECT
func keys(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: keys PREFIX SUBJECT")
	}
	l, err := database.Parse(ts.Getenv("EVENTSTORE_DB"))
	ts.Check(err)
	d, err := database.Open(l, database.Options{})
	ts.Check(err)
	k, err := sqlkeys.New(d.DB, &sqlkeys.Options{MasterKeys: [][]byte{make([]byte, 32)}, Prefix: args[0]})
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ts.Check(k.Create(ctx))
	_, err = k.Current(ctx, args[1])
	ts.Check(err)
	_, err = k.Rotate(ctx, args[1])
	ts.Check(errors.Join(err, d.Close()))
}
