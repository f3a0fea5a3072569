package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// Ids are never used twice, wherever the sequences were set back to.

// sequencesLost is what a logical replica, or a copy of the tables alone, makes of the sequences.
const sequencesLost = `select setval('/*schema.*/stream_seq', 1, false) + setval('/*schema.*/append_seq', 1, false) + setval('/*schema.*/epoch_seq', 1, false)`

// reader is a subscription to "s" that has acknowledged the five events of a stream which was hard deleted then. It returns the
// id of that stream.
func reader(t *testing.T, b *Backend) (id int64) {
	t.Helper()
	es := store.New(New(b.db, &b.opts), &store.Options{HardDelete: true})
	appendTo(t, b, "other", 1)
	appendTo(t, b, "s", 5)
	info, err := es.StreamInfo(t.Context(), "s")
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2, 3, 4, 5}, consumed(t, es, 5))
	require.NoError(t, es.Delete(t.Context(), "s", store.Any, store.HardDelete))
	require.NoError(t, es.Close()) // it ticks no more
	return info.ID
}

// consumed returns the first n numbers that the subscription to "s" is given.
func consumed(t *testing.T, es *store.Store, n int) (numbers []int64) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	err := es.Consume(ctx, "s", "reader", func(_ context.Context, e store.Recorded) error {
		if numbers = append(numbers, e.Number); len(numbers) == n {
			stop()
		}
		return nil
	}, nil)
	require.ErrorIs(t, err, context.Canceled)
	return numbers
}

func streamID(t *testing.T, b *Backend, stream string) int64 {
	t.Helper()
	info, err := b.StreamInfo(t.Context(), stream)
	require.NoError(t, err)
	return info.ID
}

// TestStreamIDsAreNotUsedAgain creates a stream in each way that there is after the sequence was set back to below the id of a
// stream that was hard deleted.
func TestStreamIDsAreNotUsedAgain(t *testing.T) {
	t.Parallel()
	source := func(es *store.Store) store.Recorded {
		page, err := es.Page(t.Context(), "other", nil)
		require.NoError(t, err)
		return page[0]
	}
	again := func(ctx context.Context, b *Backend, write func(es *store.Store) error) error {
		tx := begin(t, b)
		err := write(store.New(b, nil).WithTx(tx))
		require.ErrorIs(t, err, store.ErrRetryTx)
		require.ErrorIs(t, err, ErrSequenceBehind)
		require.NoError(t, tx.Rollback())
		if _, err := b.Tick(ctx); err != nil {
			return err
		}
		tx = begin(t, b)
		if err := write(store.New(b, nil).WithTx(tx)); err != nil {
			return err
		}
		return tx.Commit()
	}
	put := func(es *store.Store, n int) error {
		_, err := es.Append(t.Context(), "s", store.Any, events8[:n]...)
		return err
	}
	link := func(es *store.Store) error {
		_, err := es.Link(t.Context(), "s", store.Any, source(es).ID)
		return err
	}
	for _, driver := range pgtest.Drivers() {
		for name, create := range map[string]func(b *Backend) error{
			"one":  func(b *Backend) error { return put(store.New(b, nil), 1) },
			"many": func(b *Backend) error { return put(store.New(b, nil), 8) },
			"link": func(b *Backend) error { return link(store.New(b, nil)) },
			"one in tx": func(b *Backend) error {
				return again(t.Context(), b, func(es *store.Store) error { return put(es, 1) })
			},
			"many in tx": func(b *Backend) error {
				return again(t.Context(), b, func(es *store.Store) error { return put(es, 8) })
			},
			"link in tx": func(b *Backend) error { return again(t.Context(), b, link) },
			"group": func(b *Backend) error {
				r := store.AppendRequest{Stream: "s", Expected: store.Any}
				r.Events = append(r.Events, store.NewEvent{ID: [16]byte{1}, Type: "t", Data: []byte("1")})
				ctx, cancel := context.WithCancel(t.Context())
				f := &flush{ctx: ctx, cancel: cancel, copied: make(chan struct{}), members: []*member{{ctx: ctx, r: r, done: make(chan struct{})}}}
				f.send(b) // fails as a whole, and each goes alone then
				require.Zero(t, f.members[0].version)
				_, err := b.appendAlone(t.Context(), r, true)
				return err
			},
		} {
			t.Run(driver+"/"+name, func(t *testing.T) {
				t.Parallel()
				b := New(pgtest.Open(t, driver, pgtest.URL(t)), &Options{Schema: pgtest.Schema(t)})
				install(t, b)
				was := reader(t, b)
				number(t, b, sequencesLost)
				require.NoError(t, create(b))
				require.Greater(t, streamID(t, b, "s"), was)
				es := store.New(b, nil)
				info, err := es.StreamInfo(t.Context(), "s")
				require.NoError(t, err)
				if n := int(info.Version); n < 8 {
					appendTo(t, b, "s", 8-n)
				}
				require.Equal(t, []int64{1, 2, 3, 4, 5, 6, 7, 8}, consumed(t, es, 8))
			})
		}
	}
}

var events8 = func() (list []store.Event) {
	for i := range 8 {
		list = append(list, store.Event{Type: "happened", Data: i})
	}
	return list
}()

// TestSequencesAreSetRight: a read of all events sets right what new streams and appends are numbered by.
func TestSequencesAreSetRight(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	was := reader(t, b)
	number(t, b, sequencesLost)
	_, err := b.Head(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, number(t, b, `select last_value from /*schema.*/stream_seq`), was)
	require.GreaterOrEqual(t, number(t, b, `select last_value from /*schema.*/append_seq`), int64(2))
	tx := begin(t, b)
	appendTo(t, b.WithTx(tx), "s", 1)
	require.NoError(t, tx.Commit())
}

// TestIDDrawnWhileTheSequenceIsSetRight: a session that has drawn the id of a stream that is gone, when another sets the
// sequence right, does not use it.
func TestIDDrawnWhileTheSequenceIsSetRight(t *testing.T) {
	t.Parallel()
	drawn := "  if id <= lowest then\n    raise exception 'eventstore: the sequence stream_seq"
	b := setup(t, pgtest.URL(t), change{drawn, "  if current_setting('eventstore.slow', true) = 'on' then " + stop("drawn") + " end if;\n" + drawn})
	was := reader(t, b)
	number(t, b, sequencesLost)
	at := hold(t, b, "drawn")
	tx := begin(t, b)
	_, err := tx.ExecContext(t.Context(), `set local eventstore.slow = 'on'`)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := store.New(b, nil).WithTx(tx).Append(t.Context(), "slow", store.Any, events8[:1]...)
		done <- err
	}()
	at.reached()
	appendTo(t, b, "s", 1) // sets it right
	require.Greater(t, streamID(t, b, "s"), was)
	at.release()
	require.ErrorIs(t, <-done, store.ErrRetryTx)
}

// TestRetiredIDs: an id is noted only if nothing that is there has a higher one.
func TestRetiredIDs(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	es := store.New(b, &store.Options{HardDelete: true})
	for i := range 6 {
		appendTo(t, b, fmt.Sprint(i), 1)
	}
	gone := func(stream string) {
		require.NoError(t, es.Delete(t.Context(), stream, store.Any, store.HardDelete))
	}
	count := func() int64 { return number(t, b, `select count(*) from /*schema.*/retired where kind = 'stream'`) }
	gone("0")
	gone("3")
	require.Zero(t, count())
	gone("5")
	require.EqualValues(t, 1, count())
	gone("4")
	gone("1")
	require.EqualValues(t, 1, count())
	require.EqualValues(t, 6, number(t, b, `select max(id) from /*schema.*/retired where kind = 'stream'`))
	_, err := b.db.ExecContext(t.Context(), strings.NewReplacer(b.opts.replacements()...).Replace(`delete from /*schema.*/retired`))
	require.ErrorContains(t, err, "refused")

	// A hard delete that is rolled back retires nothing; one of the highest stream, while another is not committed, does.
	tx, other := begin(t, b), begin(t, b)
	require.NoError(t, es.WithTx(tx).Delete(t.Context(), "2", store.Any, store.HardDelete))
	appendTo(t, b.WithTx(other), "new", 1)
	require.NoError(t, tx.Rollback())
	require.NoError(t, other.Commit())
	gone("new")
	require.EqualValues(t, 7, number(t, b, `select max(id) from /*schema.*/retired where kind = 'stream'`))
}

// TestEpochsAreNotUsedAgain: a subscription that was deleted and created again does not take an owner of before for its own,
// though the sequence was set back.
func TestEpochsAreNotUsedAgain(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for name, remove := range map[string]func(t *testing.T, b *Backend, id store.SubscriptionID){
		"delete": func(t *testing.T, b *Backend, id store.SubscriptionID) {
			require.NoError(t, b.DeleteSubscription(ctx, id))
		},
		"remove": func(t *testing.T, b *Backend, id store.SubscriptionID) {
			_, err := b.RemoveSubscriptions(ctx, []store.SubscriptionID{id, {Stream: store.All, Name: "absent"}})
			require.NoError(t, err)
		},
	} {
		for again, create := range map[string]func(t *testing.T, b *Backend, id store.SubscriptionID){
			"lease": func(t *testing.T, b *Backend, id store.SubscriptionID) { lease(t, b, id.Name, "other") },
			"add": func(t *testing.T, b *Backend, id store.SubscriptionID) {
				require.NoError(t, b.AddSubscriptions(ctx, []store.SubscriptionID{id}, 0, 0))
			},
		} {
			t.Run(name+"/"+again, func(t *testing.T) {
				t.Parallel()
				b := setup(t, pgtest.URL(t))
				lease(t, b, "elsewhere", "me")
				old := lease(t, b, "a", "me")
				remove(t, b, old.ID)
				number(t, b, sequencesLost)
				// So often that the numbers come to that of before.
				for range old.Epoch + 1 {
					create(t, b, old.ID)
					err := b.SaveCheckpoint(ctx, store.CheckpointRequest{ID: old.ID, Epoch: old.Epoch, Checkpoint: 7})
					require.ErrorIs(t, err, store.ErrLeaseLost)
					remove(t, b, old.ID)
				}
				require.Greater(t, number(t, b, `select last_value from /*schema.*/epoch_seq`), old.Epoch, "the sequence is set right")
			})
		}
	}
}

// TestLogicalReplica: a logical replica gets the rows of all tables, but not where the sequences are.
func TestLogicalReplica(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	primary, replica := pgtest.StartServer(t, "wal_level=logical"), pgtest.StartServer(t)
	from := New(pgtest.Open(t, "pgx", primary.URL()), &Options{Schema: "events"})
	to := New(pgtest.Open(t, "pgx", replica.URL()), &Options{Schema: "events"})
	install(t, from)
	install(t, to)
	exec := func(b *Backend, statement string) {
		_, err := b.db.ExecContext(ctx, statement)
		require.NoError(t, err, statement)
	}
	exec(to, `truncate events.store; truncate events.eventstore_migrations`) // they come from the primary
	exec(from, `create publication p for all tables`)
	exec(to, `create subscription s connection '`+primary.URL()+`' publication p with (slot_name = p)`)
	was := reader(t, from)
	old := lease(t, from, "gone", "me")
	require.NoError(t, from.DeleteSubscription(ctx, old.ID))
	appendTo(t, from, "last", 1)
	eventually(t, "all has come", func() bool {
		return number(t, to, `select count(*) from /*schema.*/events e join /*schema.*/streams s on s.stream_id = e.stream_id where s.name = 'last'`) == 1
	})
	exec(to, `alter subscription s disable; alter subscription s set (slot_name = none); drop subscription s`)
	exec(from, `select pg_terminate_backend(active_pid) from pg_replication_slots where active`)
	eventually(t, "the slot is free", func() bool { return number(t, from, `select count(*) from pg_replication_slots where active`) == 0 })

	require.EqualValues(t, 1, number(t, to, `select last_value from /*schema.*/stream_seq`), "sequences did not come")
	appendTo(t, to, "s", 8)
	require.Greater(t, streamID(t, to, "s"), was)
	es := store.New(to, nil)
	require.Equal(t, []int64{1, 2, 3, 4, 5, 6, 7, 8}, consumed(t, es, 8))
	require.Greater(t, lease(t, to, "gone", "me").Epoch, old.Epoch)
	var seen []string
	deadline, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for e, err := range es.All(deadline, nil) {
		require.NoError(t, err)
		seen = append(seen, fmt.Sprintf("%d:%s@%d", e.Number, e.Stream, e.Version))
	}
	require.Equal(t, []string{"1:other@1", "7:last@1", "8:s@1", "9:s@2", "10:s@3", "11:s@4", "12:s@5", "13:s@6", "14:s@7", "15:s@8"}, seen)
}
