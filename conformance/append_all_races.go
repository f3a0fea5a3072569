package conformance

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

// In these cases several calls of AppendAll meet, or one meets an open transaction.
var appendAllRaces = []testCase{
	{name: "concurrent/append-all-transfers", tx: manyTx, run: concurrentTransfers, deadline: longDeadline, why: whyAllOrNone},
	{name: "concurrent/append-all-new", tx: manyTx, run: concurrentAllNew, why: "calls that create the same streams in another order do not wait for each other in a circle"},
	{name: "concurrent/append-all-version", tx: manyTx, run: concurrentAllVersion, why: "P1: of calls that expect the same version of one stream exactly one wins, whatever their other streams"},
	{name: "concurrent/append-all-retry", tx: manyTx, run: concurrentAllRetry, why: "a retry that overtakes the first attempt still writes once"},
	{name: "tx/append-all", tx: ownTx, run: txAppendAll, why: "a call that is refused in a caller's transaction leaves nothing there, and the transaction goes on"},
	{name: "tx/append-all-large", tx: ownTx, run: txAppendAllLarge, deadline: longDeadline, why: "P1: appends in several parts are all or nothing in a transaction too"},
	{name: "open-tx/append-all-waits", tx: writersBesideTx, run: openAllWaits, why: "P6: a call that waits for one stream does not delay appends to its other streams for longer than a moment"},
	{name: "open-tx/append-all-judged", tx: writersBesideTx, run: openAllJudged, why: "P1: a call that waited for a transaction is judged by how it ended"},
	{name: "open-tx/append-all-crosses", tx: writersBesideTx, run: openAllCrosses, why: "two transactions that append to the same streams in another order do not end in a deadlock"},
}

// concurrentTransfers moves amounts between accounts. An account's balance is the sum of the numbers in the metadata.
func concurrentTransfers(f *fixture) {
	const accounts, rounds = 4, 12
	account := func(i int) string { return fmt.Sprint("account ", i) }
	moved := func(amount int) store.Event { return store.Event{Type: "moved", Data: amount} }
	for i := range accounts {
		f.append(account(i), store.NoStream, moved(100))
	}
	f.head()
	var lost atomic.Int64
	var stop atomic.Bool
	done := make(chan error, 1)
	go func() {
		var err error
		for err == nil && !stop.Load() {
			err = f.halfDone()
		}
		done <- err
	}()
	f.allWin(together(callers, func(int) error {
		for range rounds {
			from := rand.IntN(accounts)
			to := (from + 1 + rand.IntN(accounts-1)) % accounts
			expected := store.Any
			if rand.IntN(2) == 0 {
				info, err := f.es.StreamInfo(f.ctx, account(from))
				if err != nil {
					return err
				}
				expected = store.Version(info.Version)
			}
			id := uuid.New()
			out, in := moved(-7), moved(7)
			out.CorrelationID, in.CorrelationID = id, id
			err := f.appendAllErr(store.To(account(from), expected, out), store.To(account(to), store.StreamExists, in))
			if errors.Is(err, store.ErrWrongExpectedVersion) {
				lost.Add(1)
				continue
			}
			if err != nil {
				return err
			}
		}
		return nil
	}))
	stop.Store(true)
	require.NoError(f, <-done)
	require.NoError(f, f.halfDone())
	sum := 0
	for i := range accounts {
		for _, e := range f.read(account(i), nil) {
			amount, err := store.Decode[int](e)
			require.NoError(f, err)
			sum += amount
		}
	}
	assert.Equal(f, 100*accounts, sum)
	total := accounts + 2*(callers*rounds-lost.Load())
	assert.Equal(f, total, f.head())
	f.noGaps(store.All, total)
}

// halfDone returns an error if a stream has an event of a transfer that another one lacks.
func (f *fixture) halfDone() error {
	for e, err := range f.es.All(f.ctx, &store.ReadOptions{Backward: true, Limit: 20}) {
		if err != nil {
			return err
		}
		if e.CorrelationID == uuid.Nil {
			continue
		}
		amount, err := store.Decode[int](e)
		if err != nil {
			return err
		}
		halves := 0
		for i := range 4 {
			events, err := store.Collect(f.es.Stream(f.ctx, fmt.Sprint("account ", i), nil))
			if err != nil {
				return err
			}
			for _, other := range events {
				if other.CorrelationID == e.CorrelationID {
					halves++
				}
			}
		}
		if halves != 2 {
			return fmt.Errorf("of a transfer of %d there are %d events, not 2", amount, halves)
		}
		break // one look is enough; the next one is at another transfer
	}
	return nil
}

func concurrentAllNew(f *fixture) {
	f.each(func(stream string) {
		a, b, c := stream+"a", stream+"b", stream+"c"
		f.allWin(together(callers, func(i int) error {
			list := []store.StreamAppend{store.To(a, store.Any, events(1)...), store.To(b, store.Any, events(1)...), store.To(c, store.Any, events(1)...)}
			rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			return f.appendAllErr(list...)
		}))
		for _, s := range []string{a, b, c} {
			f.noGaps(s, callers)
		}
		a, b = stream+"d", stream+"e"
		f.oneWins(together(callers, func(i int) error {
			list := []store.StreamAppend{store.To(a, store.NoStream, events(1)...), store.To(b, store.NoStream, events(1)...)}
			if i%2 == 0 {
				slices.Reverse(list)
			}
			return f.appendAllErr(list...)
		}), store.ErrStreamExists)
		assert.Equal(f, []int64{1, 1}, f.versions(a, b))
	})
	f.noGaps(store.All, 5*(3*callers+2))
}

func concurrentAllVersion(f *fixture) {
	f.each(func(stream string) {
		f.fill(stream, 1)
		f.oneWins(together(callers, func(i int) error {
			own := store.To(fmt.Sprint(stream, " own ", i), store.NoStream, events(1)...)
			shared := store.To(stream, store.Version(1), events(1)...)
			switch i % 3 {
			case 0:
				return f.appendAllErr(own, shared)
			case 1:
				return f.appendAllErr(shared, own)
			}
			return f.appendErr(stream, store.Version(1), 1)
		}), store.ErrWrongExpectedVersion)
		f.noGaps(stream, 2)
	})
}

func concurrentAllRetry(f *fixture) {
	f.each(func(stream string) {
		a, b := stream+"a", stream+"b"
		list := []store.StreamAppend{store.To(b, store.NoStream, named(2)...), store.To(a, store.Any, named(1)...)}
		var first atomic.Int64
		f.allWin(together(callers, func(int) error {
			results, err := f.es.AppendAll(f.ctx, list...)
			if err == nil && !results[0].Retried {
				first.Add(1)
			}
			return err
		}))
		assert.Equal(f, int64(1), first.Load(), "one wrote, the others are retries")
		assert.Equal(f, []int64{1, 2}, f.versions(a, b))
	})
	f.noGaps(store.All, 15)
}

func txAppendAll(f *fixture) {
	known := f.fill("known", 2)
	again := store.Event{ID: known[1].ID, Type: "t", Data: 1}
	tx := f.begin()
	in := f.in(tx)
	in.appendAll(store.To("a", store.NoStream, events(1)...), store.To("known", store.Version(2), events(1)...))
	require.NoError(f, tx.Rollback())
	assert.Equal(f, []int64{0, 2}, f.versions("a", "known"))

	list := []store.StreamAppend{store.To("b", store.Any, named(1)...), store.To("a", store.Version(1), named(2)...)}
	f.within(func(in *fixture) {
		in.append("a", store.NoStream, events(1)...)
		for range 2 {
			require.ErrorIs(f, in.appendAllErr(store.To("a", store.Any, events(1)...), store.To("new", store.Any, events(1)...), store.To("known", store.Version(7), events(1)...)),
				store.ErrWrongExpectedVersion)
			require.ErrorIs(f, in.appendAllErr(store.To("a", store.Any, events(1)...), store.To("new", store.Any, again)), store.ErrDuplicateEvent)
		}
		first := in.appendAll(list...)
		second := in.appendAll(list...)
		for i := range second {
			assert.True(f, second[i].Retried)
			second[i].Retried = false
		}
		assert.Equal(f, first, second)
	})
	assert.Equal(f, []int64{3, 1, 2, 0}, f.versions("a", "b", "known", "new"))
	assert.Equal(f, []string{"known@1", "known@2", "a@1", "b@1", "a@2", "a@3"}, origins(f.all()))
	for _, r := range f.appendAll(list...) {
		assert.True(f, r.Retried)
	}
}

func txAppendAllLarge(f *fixture) {
	known := named(1)
	f.append("s", store.NoStream, known...)
	a, b := named(3_000), named(3_000)
	f.within(func(in *fixture) {
		bad := append(b[:2_999:2_999], known...)
		require.ErrorIs(f, in.appendAllErr(store.To("b", store.Any, a...), store.To("a", store.Any, bad...)), store.ErrDuplicateEvent)
		assert.Equal(f, []int64{0, 0}, in.versions("a", "b"))
		in.appendAll(store.To("b", store.NoStream, b...), store.To("s", store.Version(1), a...))
	})
	assert.Equal(f, []int64{3_000, 3_001}, f.versions("b", "s"))
	same(f, slices.Concat(idsOf(known), idsOf(b), idsOf(a)), store.IDs(f.read(store.All, &store.ReadOptions{PageSize: 1000})...), "ids")
}

func openAllWaits(f *fixture) {
	f.fill("a", 1)
	f.fill("held", 1)
	tx := f.begin()
	in := f.in(tx)
	in.append("held", store.Version(1), events(1)...)
	in.append("held new", store.NoStream, events(1)...)
	done := make(chan error, 3)
	for _, held := range []string{"held", "held new", "held"} {
		go func() {
			done <- f.appendAllErr(store.To("a", store.Any, events(1)...), store.To(held, store.Any, events(1)...), store.To("z", store.Any, events(1)...))
		}()
	}
	for range 20 {
		f.append("a", store.Any, events(1)...)
		f.append("z", store.Any, events(1)...)
		f.appendAll(store.To("z", store.Any, events(1)...), store.To("a", store.Any, events(1)...))
	}
	select {
	case err := <-done:
		require.Fail(f, "a call did not wait", "error %v", err)
	default:
	}
	require.NoError(f, tx.Commit())
	for range 3 {
		require.NoError(f, <-done)
	}
	assert.Equal(f, []int64{44, 4, 2, 43}, f.versions("a", "held", "held new", "z"))
	f.noGaps(store.All, 93)
}

func openAllJudged(f *fixture) {
	for name, commit := range sorted(map[string]bool{"committed": true, "rolled-back": false}) {
		f.sub(name, func(f *fixture) {
			a, held, fresh := name+" a", name+" held", name+" new"
			f.fill(held, 1)
			tx := f.begin()
			in := f.in(tx)
			in.append(held, store.Version(1), events(1)...)
			in.append(fresh, store.NoStream, events(1)...)
			end := tx.Rollback
			if commit {
				end = tx.Commit
			}
			err := meanwhile(f, end, func() error {
				return f.appendAllErr(store.To(a, store.NoStream, events(1)...), store.To(fresh, store.NoStream, events(1)...), store.To(held, store.Version(1), events(1)...))
			})
			if !commit {
				require.NoError(f, err)
				assert.Equal(f, []int64{1, 2, 1}, f.versions(a, held, fresh))
				return
			}
			require.ErrorIs(f, err, store.ErrWrongExpectedVersion)
			assert.Equal(f, []int64{0, 2, 1}, f.versions(a, held, fresh))
		})
	}
}

func openAllCrosses(f *fixture) {
	f.fill("a", 1)
	f.fill("b", 1)
	first, second := f.begin(), f.begin()
	one, two := f.in(first), f.in(second)
	one.appendAll(store.To("b", store.Version(1), events(1)...), store.To("a", store.Version(1), events(1)...), store.To("n", store.NoStream, events(1)...))
	err := meanwhile(f, first.Commit, func() error {
		return two.appendAllErr(store.To("n", store.Any, events(1)...), store.To("a", store.Any, events(1)...), store.To("b", store.Any, events(1)...))
	})
	require.NoError(f, err)
	require.NoError(f, second.Commit())
	assert.Equal(f, []int64{3, 3, 2}, f.versions("a", "b", "n"))
	f.noGaps(store.All, 8)
}
