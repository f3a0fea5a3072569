package conformance

import (
	"database/sql"
	"fmt"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

// In these cases transactions are open beside other connections, and are taken on step by step.
var openTxCases = []testCase{
	{name: "open-tx/not-seen", tx: besideTx, run: openNotSeen, why: "other connections do not see events that may still be rolled back"},
	{name: "open-tx/delete-not-seen", tx: besideTx, run: openDeleteNotSeen, why: "other connections do not see a delete that may still be rolled back"},
	{name: "open-tx/readers-go-on", tx: besideTx, run: openReaders, why: "P6: an open transaction delays no reader"},
	{name: "open-tx/others-go-on", tx: writersBesideTx, run: openOthers, why: "P6: an open transaction delays only writes to the stream that it wrote to"},
	{name: "open-tx/many-wait", tx: writersBesideTx, run: openMany, why: "P6: however many writes wait for a stream, other appends and reads go on, with a pool of any size above one"},
	{name: "open-tx/late-commit", tx: writersBesideTx, run: openLate, why: "P4: an event that commits late comes after everything that a reader has seen, and is not missed"},
	{name: "open-tx/any-order", tx: writersBesideTx, run: openAnyOrder, why: "P3, P4, P5: transactions may commit and roll back in any order"},
	{name: "open-tx/several-appends", tx: writersBesideTx, run: openSeveral, why: "P5: the events of one append are adjacent, also when the transaction had several and others committed between them"},
	{name: "open-tx/same-stream", tx: writersBesideTx, run: openSameStream, why: "P1: a write to the same stream waits for the transaction, and is judged by how it ended"},
	{name: "open-tx/same-id", tx: writersBesideTx, run: openSameID, why: "an id that an open transaction holds is known if it commits, and free if it does not"},
	{name: "open-tx/retry", tx: writersBesideTx, run: openRetry, why: "a retry of an append that is still open writes once, however the first ends"},
	{name: "open-tx/lost-race", tx: writersBesideTx, run: openLostRace, why: "a lost race leaves the caller's transaction usable"},
}

func openNotSeen(f *fixture) {
	source := f.fill("s", 2)
	head := f.head()
	tx := f.begin()
	list := named(2)
	in := f.in(tx)
	in.append("s", store.Version(2), list...)
	in.append("new", store.NoStream, events(1)...)
	in.link("links", store.NoStream, source...)

	assert.Equal(f, source, f.read("s", nil))
	assert.Equal(f, int64(2), f.info("s").Version)
	assert.Equal(f, []string{"s"}, f.byNumber(store.ListOptions{}))
	f.hidden("new", store.ErrStreamNotFound)
	f.hidden("links", store.ErrStreamNotFound)
	_, err := f.es.Event(f.ctx, list[0].ID)
	assert.ErrorIs(f, err, store.ErrEventNotFound)
	assert.Equal(f, span(1, 2), numbers(f.all()))
	assert.Equal(f, head, f.head())

	require.NoError(f, tx.Commit())
	assert.Len(f, f.read("s", nil), 4)
	assert.Len(f, f.read("links", nil), 2)
	assert.Equal(f, []string{"s@1", "s@2", "s@3", "s@4", "new@1"}, origins(f.all()))
	assert.Equal(f, span(1, 5), numbers(f.all()))
}

func openDeleteNotSeen(f *fixture) {
	f.fill("soft", 1)
	hard := f.fill("hard", 2)
	f.link("links", store.NoStream, hard...)
	f.head()
	tx := f.begin()
	in := f.in(tx)
	in.removed("soft", store.SoftDelete)
	in.removed("hard", store.HardDelete)
	assert.Equal(f, store.Active, f.info("soft").Status())
	assert.Equal(f, hard, f.read("hard", nil))
	assert.Len(f, f.read("links", nil), 2)
	assert.Equal(f, span(1, 3), numbers(f.all()))
	require.NoError(f, tx.Commit())
	assert.Equal(f, store.Deleted, f.info("soft").Status())
	f.hidden("hard", store.ErrStreamNotFound)
	assert.Empty(f, f.read("links", nil))
	assert.Equal(f, []int64{1}, numbers(f.all()))
	assert.Equal(f, int64(3), f.head())
}

func openReaders(f *fixture) {
	source := f.fill("s", 3)
	f.fill("other", 2)
	tx := f.begin()
	f.in(tx).append("s", store.Version(3), events(1)...)
	assert.Equal(f, source, f.read("s", &store.ReadOptions{PageSize: 1}))
	assert.Equal(f, span(1, 5), numbers(f.read(store.All, &store.ReadOptions{PageSize: 2})), "events that nobody had read before")
	assert.Equal(f, int64(5), f.head())
	assert.Empty(f, f.read(store.All, &store.ReadOptions{After: 5}))
	require.NoError(f, tx.Rollback())
	assert.Equal(f, span(1, 5), numbers(f.all()))
}

func openOthers(f *fixture) {
	source := f.fill("held", 1)
	f.fill("soft", 1)
	f.fill("hard", 1)
	tx := f.begin()
	in := f.in(tx)
	in.append("held", store.Version(1), events(1)...)
	in.append("held too", store.NoStream, events(1)...)

	for i := range 10 {
		f.append("other", store.Version(int64(i)), events(1)...)
		f.append(fmt.Sprint("new ", i), store.NoStream, events(1)...)
	}
	f.append("large", store.NoStream, events(1_500)...)
	f.link("links", store.NoStream, source...)
	f.delete("soft", store.SoftDelete)
	f.delete("hard", store.HardDelete)
	assert.Equal(f, int64(1_523), f.head(), "all but the open transaction's events are delivered")
	assert.Len(f, f.read(store.All, &store.ReadOptions{PageSize: 1000}), 1_522)
	again := f.in(f.begin())
	again.append("other", store.Version(10), events(1)...)

	require.NoError(f, tx.Commit())
	got := f.read(store.All, &store.ReadOptions{After: 1_523})
	assert.Equal(f, []string{"held@2", "held too@1"}, origins(got))
	assert.Equal(f, span(1_524, 1_525), numbers(got))
}

func openMany(f *fixture) {
	f.fill("held", 1)
	tx := f.begin()
	f.in(tx).append("held", store.Version(1), events(1)...)
	const many, more = 40, 20
	var began atomic.Int64
	done := make(chan error, many)
	for range many {
		go func() {
			began.Add(1)
			done <- f.appendErr("held", store.Any, 1)
		}()
	}
	others := int64(0)
	for after := 0; after < more; others++ {
		if began.Load() == many {
			after++
		}
		f.append("other", store.Version(others), events(1)...)
		assert.Len(f, f.read("held", nil), 1)
	}
	assert.Equal(f, others+1, f.head())
	require.NoError(f, tx.Commit())
	for range many {
		assert.NoError(f, <-done)
	}
	f.noGaps("held", many+2)
}

func openLate(f *fixture) {
	slow := f.begin()
	f.in(slow).append("slow", store.NoStream, events(2)...)
	f.append("fast", store.NoStream, events(1)...)
	assert.Equal(f, []string{"fast@1"}, origins(f.all()))
	f.append("fast", store.Version(1), events(2)...)
	assert.Equal(f, []int64{2, 3}, numbers(f.read(store.All, &store.ReadOptions{After: 1})))
	require.NoError(f, slow.Commit())
	f.append("fast", store.Version(3), events(1)...)
	got := f.read(store.All, &store.ReadOptions{After: 3})
	assert.Equal(f, span(4, 6), numbers(got))
	assert.ElementsMatch(f, []string{"slow@1", "slow@2", "fast@4"}, origins(got))
	assert.Equal(f, []string{"fast@1", "fast@2", "fast@3"}, origins(f.all())[:3], "what was seen stays as it was")
	f.append("slow", store.Version(2), events(1)...)
	assert.Equal(f, []string{"slow@3"}, origins(f.read(store.All, &store.ReadOptions{After: 6})))
}

func openAnyOrder(f *fixture) {
	for name, end := range sorted(map[string][]func(*sql.Tx) error{
		"first-rolled-back":  {(*sql.Tx).Rollback, (*sql.Tx).Commit, (*sql.Tx).Commit},
		"middle-rolled-back": {(*sql.Tx).Commit, (*sql.Tx).Rollback, (*sql.Tx).Commit},
		"newest-rolled-back": {(*sql.Tx).Commit, (*sql.Tx).Commit, (*sql.Tx).Rollback},
		"all-rolled-back":    {(*sql.Tx).Rollback, (*sql.Tx).Rollback, (*sql.Tx).Rollback},
		"all-committed":      {(*sql.Tx).Commit, (*sql.Tx).Commit, (*sql.Tx).Commit},
	}) {
		for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {2, 0, 1}} {
			f.sub(fmt.Sprintf("%s/%d%d%d", name, order[0]+1, order[1]+1, order[2]+1), func(f *fixture) {
				txs := make([]*sql.Tx, 3)
				for i := range txs {
					txs[i] = f.begin()
					f.in(txs[i]).append(fmt.Sprint(f.name, i), store.NoStream, events(2)...)
				}
				seen := f.all()
				for _, i := range order {
					require.NoError(f, end[i](txs[i]))
					f.append(fmt.Sprint(f.name, " between ", i), store.NoStream, events(1)...)
					now := f.all()
					if len(seen) > 0 {
						require.Equal(f, seen, now[:len(seen)], "what was seen changed")
					}
					require.Equal(f, span(1, int64(len(now))), numbers(now))
					seen = now
				}
			})
		}
	}
}

func openSeveral(f *fixture) {
	tx := f.begin()
	in := f.in(tx)
	id := uuid.New
	batch := func() []store.Event {
		list := events(2)
		correlation := id()
		list[0].CorrelationID, list[1].CorrelationID = correlation, correlation
		return list
	}
	in.append("a", store.NoStream, batch()...)
	f.append("x", store.NoStream, batch()...)
	in.append("b", store.NoStream, batch()...)
	f.append("x", store.Version(2), batch()...)
	in.append("a", store.Version(2), batch()...)
	assert.Equal(f, []string{"x@1", "x@2", "x@3", "x@4"}, origins(f.all()))
	f.append("y", store.NoStream, batch()...)
	require.NoError(f, tx.Commit())
	f.append("a", store.Version(4), batch()...)
	f.orderly(14)
}

// meanwhile runs call in the background, ends the transaction, and returns the error of call.
func meanwhile(f *fixture, end func() error, call func() error) error {
	f.Helper()
	begun, done := make(chan struct{}), make(chan error, 1)
	go func() {
		close(begun)
		done <- call()
	}()
	<-begun
	require.NoError(f, end())
	return <-done
}

func openSameStream(f *fixture) {
	for name, c := range sorted(map[string]struct {
		call                  func(stream string) error
		committed, rolledBack error // nil for success
	}{
		"append-version": {func(s string) error { return f.appendErr(s, store.Version(2), 1) }, store.ErrWrongExpectedVersion, nil},
		"append-any":     {func(s string) error { return f.appendErr(s, store.Any, 1) }, nil, nil},
		"append-exists":  {func(s string) error { return f.appendErr(s, store.StreamExists, 1) }, nil, nil},
		"delete-version": {func(s string) error { return f.es.Delete(f.ctx, s, store.Version(2), store.SoftDelete) }, store.ErrWrongExpectedVersion, nil},
		"hard-delete":    {func(s string) error { return f.es.Delete(f.ctx, s, store.Version(2), store.HardDelete) }, store.ErrWrongExpectedVersion, nil},
	}) {
		for end, want := range sorted(map[string]error{"committed": c.committed, "rolled-back": c.rolledBack}) {
			f.sub(name+"/"+end, func(f *fixture) {
				stream := name + " " + end
				f.fill(stream, 2)
				tx := f.begin()
				f.in(tx).append(stream, store.Version(2), events(1)...)
				finish := tx.Commit
				if end == "rolled-back" {
					finish = tx.Rollback
				}
				err := meanwhile(f, finish, func() error { return c.call(stream) })
				if want == nil {
					assert.NoError(f, err)
				} else {
					assert.ErrorIs(f, err, want)
				}
			})
		}
	}
	f.sub("new-stream", func(f *fixture) {
		tx := f.begin()
		f.in(tx).append("new", store.NoStream, events(1)...)
		err := meanwhile(f, tx.Commit, func() error { return f.appendErr("new", store.NoStream, 1) })
		assert.ErrorIs(f, err, store.ErrStreamExists)
		f.noGaps("new", 1)
	})
	f.sub("new-stream-any", func(f *fixture) {
		tx := f.begin()
		f.in(tx).append("any", store.NoStream, events(1)...)
		assert.NoError(f, meanwhile(f, tx.Commit, func() error { return f.appendErr("any", store.Any, 1) }))
		f.noGaps("any", 2)
	})
}

func openSameID(f *fixture) {
	for name, commit := range sorted(map[string]bool{"committed": true, "rolled-back": false}) {
		f.sub(name, func(f *fixture) {
			list := named(2)
			tx := f.begin()
			f.in(tx).append("mine "+name, store.NoStream, list...)
			end := tx.Rollback
			if commit {
				end = tx.Commit
			}
			err := meanwhile(f, end, func() error {
				_, err := f.es.Append(f.ctx, "yours "+name, store.NoStream, list...)
				return err
			})
			if commit {
				assert.ErrorIs(f, err, store.ErrDuplicateEvent)
			} else {
				assert.NoError(f, err)
			}
		})
	}
}

func openRetry(f *fixture) {
	for name, commit := range sorted(map[string]bool{"committed": true, "rolled-back": false}) {
		for _, e := range []store.Expected{store.NoStream, store.Any} {
			f.sub(fmt.Sprintf("%s/%s", name, e), func(f *fixture) {
				list := named(2)
				tx := f.begin()
				f.in(tx).append(f.name, e, list...)
				end := tx.Rollback
				if commit {
					end = tx.Commit
				}
				var res store.AppendResult
				require.NoError(f, meanwhile(f, end, func() (err error) {
					res, err = f.es.Append(f.ctx, f.name, e, list...)
					return err
				}))
				assert.Equal(f, store.AppendResult{Stream: f.name, First: 1, Last: 2, Retried: commit}, res)
				f.noGaps(f.name, 2)
			})
		}
	}
}

func openLostRace(f *fixture) {
	f.fill("s", 1)
	winner, loser := f.begin(), f.begin()
	in := f.in(loser)
	in.append("loser's", store.NoStream, events(1)...)
	require.Equal(f, int64(1), in.info("s").Version)
	f.in(winner).append("s", store.Version(1), events(1)...)
	err := meanwhile(f, winner.Commit, func() error { return in.appendErr("s", store.Version(1), 1) })
	require.ErrorIs(f, err, store.ErrWrongExpectedVersion)
	in.append("s", store.Version(2), events(1)...)
	require.NoError(f, loser.Commit())
	f.noGaps("s", 3)
	f.noGaps(store.All, 4)
	assert.Len(f, f.read("loser's", nil), 1)
}
