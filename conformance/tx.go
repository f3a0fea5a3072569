package conformance

import (
	"context"
	"database/sql"
	"errors"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var txCases = []testCase{
	{name: "tx/commit", tx: ownTx, run: txCommit, why: "all that was done in a caller's transaction is there when it commits"},
	{name: "tx/rollback", tx: ownTx, run: txRollback, why: "nothing that was done in a caller's transaction is left when it rolls back, and no position is used up"},
	{name: "tx/read-own-writes", tx: ownTx, run: txReadOwn, why: "code in a transaction sees what it did"},
	{name: "tx/usable-after-error", tx: ownTx, run: txUsable, why: "a conflict is data: the caller's transaction goes on after it"},
	{name: "tx/retry", tx: ownTx, run: txRetry, why: "a retry is known in a transaction too, whether the first attempt was in this one or before"},
	{name: "tx/calls-while-reading", tx: ownTx, run: txCalls, why: "no rows are open while the caller's code runs, so that it can use the transaction"},
	{name: "tx/order", tx: ownTx, run: txOrder, why: "P5: in $all the appends of a transaction come in the order they were made"},
	{name: "tx/large", tx: ownTx, run: txLarge, deadline: longDeadline, why: "P1: an append in several parts is all or nothing in a transaction too"},
	{name: "tx/cancelled", tx: ownTx, run: txCancelled, why: "a call whose context has ended does nothing, also to the transaction"},
	{name: "tx/ended", tx: ownTx, run: txEnded, why: "a transaction that has ended is not used, and nothing is written beside it"},
	{name: "tx/closed", tx: ownTx, run: txClosed, why: "after Close every call says so, also through a transaction"},
	{name: "tx/notifier", tx: ownTx, run: txNotifier, why: "only the caller knows when its transaction is committed"},
	{name: "tx/in-tx-commits", tx: ownTx, run: inTxCommits, why: "InTx begins, runs, commits, and wakes subscribers at once"},
	{name: "tx/in-tx-rolls-back", tx: ownTx, run: inTxRollsBack, why: "an error ends the transaction and comes back as it is"},
	{name: "tx/in-tx-panics", tx: ownTx, run: inTxPanics, why: "a panic leaves no transaction behind, which would hold its streams and its connection"},
	{name: "tx/in-tx-cancelled", tx: ownTx, run: inTxCancelled, why: "when the context ends, so does the transaction, and InTx returns the context's error, whatever the function made of it"},
	{name: "tx/in-tx-nested", tx: ownTx, run: inTxNested, why: "a caller's transaction is the caller's to end"},
}

// begin begins a transaction as the harness does, and rolls it back at the end of the case if it is still open.
func (f *fixture) begin() *sql.Tx {
	f.Helper()
	tx, err := f.beginTx(f.ctx, f.storage)
	require.NoError(f, err, "begin")
	f.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

// in returns the same fixture over a transaction. It must not read $all.
func (f *fixture) in(tx *sql.Tx) *fixture {
	g := *f
	g.store = f.store.WithTx(tx)
	g.es = f.face(g.store)
	return &g
}

// within runs f in a transaction and commits it.
func (f *fixture) within(run func(in *fixture)) {
	f.Helper()
	tx := f.begin()
	run(f.in(tx))
	require.NoError(f, tx.Commit(), "commit")
}

func (f *fixture) removed(stream string, kind store.DeleteKind) {
	f.Helper()
	require.NoError(f, f.es.Delete(f.ctx, stream, store.Any, kind))
}

func txCommit(f *fixture) {
	source := f.fill("source", 2)
	f.fill("soft", 1)
	f.fill("hard", 1)
	f.head()
	f.within(func(in *fixture) {
		assert.Equal(f, store.AppendResult{Stream: "s", First: 1, Last: 2}, in.append("s", store.NoStream, events(2)...))
		assert.Equal(f, store.AppendResult{Stream: "s", First: 3, Last: 3}, in.append("s", store.Version(2), events(1)...))
		assert.Equal(f, store.AppendResult{Stream: "links", First: 1, Last: 2}, in.link("links", store.NoStream, source...))
		in.removed("soft", store.SoftDelete)
		in.removed("hard", store.HardDelete)
	})
	assert.Equal(f, span(1, 3), numbers(f.read("s", nil)))
	assert.Len(f, f.read("links", nil), 2)
	assert.Equal(f, store.Deleted, f.info("soft").Status())
	f.hidden("hard", store.ErrStreamNotFound)
	assert.Equal(f, []string{"source@1", "source@2", "soft@1", "s@1", "s@2", "s@3"}, origins(f.all()))
	assert.Equal(f, []int64{1, 2, 3, 5, 6, 7}, numbers(f.all()))
}

func txRollback(f *fixture) {
	list := named(3)
	for name, write := range sorted(map[string]func(in *fixture, stream string){
		"append":      func(in *fixture, stream string) { in.append(stream, store.Version(2), list...) },
		"append-new":  func(in *fixture, stream string) { in.append("new", store.NoStream, list...) },
		"link":        func(in *fixture, stream string) { in.link("new", store.NoStream, in.read(stream, nil)...) },
		"soft-delete": func(in *fixture, stream string) { in.removed(stream, store.SoftDelete) },
		"hard-delete": func(in *fixture, stream string) { in.removed(stream, store.HardDelete) },
	}) {
		f.sub(name, func(f *fixture) {
			source := f.fill(name, 2)
			was, head := f.info(name), f.head()
			tx := f.begin()
			write(f.in(tx), name)
			require.NoError(f, tx.Rollback())
			assert.Equal(f, was, f.info(name))
			assert.Equal(f, source, f.read(name, nil))
			assert.Equal(f, head, f.head())
			_, err := f.es.StreamInfo(f.ctx, "new")
			assert.ErrorIs(f, err, store.ErrStreamNotFound)
			_, err = f.es.Event(f.ctx, list[0].ID)
			assert.ErrorIs(f, err, store.ErrEventNotFound)
			f.append(name, store.Version(2), events(1)...)
			assert.Equal(f, span(1, head+1), numbers(f.all()), "the rollback used up a position")
		})
	}
	f.sub("ids-are-free", func(f *fixture) {
		assert.False(f, f.append("free", store.NoStream, list...).Retried)
	})
}

func txReadOwn(f *fixture) {
	source := f.fill("source", 2)
	f.within(func(in *fixture) {
		list := named(2)
		in.append("s", store.NoStream, list...)
		in.link("s", store.Version(2), source[0])
		got := in.read("s", &store.ReadOptions{PageSize: 1})
		assert.Equal(f, []string{"s@1", "s@2", "source@1"}, origins(got))
		assert.Equal(f, span(3, 1), numbers(in.read("s", &store.ReadOptions{Backward: true})))
		assert.Equal(f, int64(3), in.info("s").Version)
		e, err := in.es.Event(f.ctx, list[1].ID)
		require.NoError(f, err)
		assert.Equal(f, got[1], e)
		assert.Equal(f, []string{"source", "s"}, in.byCursor(store.ListOptions{}))
		in.removed("source", store.SoftDelete)
		in.hidden("source", store.ErrStreamDeleted)
		in.removed("s", store.HardDelete)
		in.hidden("s", store.ErrStreamNotFound)
		_, err = in.es.Event(f.ctx, list[1].ID)
		assert.ErrorIs(f, err, store.ErrEventNotFound)
	})
}

func txUsable(f *fixture) {
	known := f.fill("known", 2)
	f.fill("deleted", 1)
	f.delete("deleted", store.SoftDelete)
	again := store.Event{ID: known[1].ID, Type: "t", Data: 1}
	for name, c := range sorted(map[string]struct {
		call func(in *fixture) error
		is   error
	}{
		"version":   {func(in *fixture) error { return in.appendErr("known", store.Version(1), 2) }, store.ErrWrongExpectedVersion},
		"no-stream": {func(in *fixture) error { return in.appendErr("known", store.NoStream, 1) }, store.ErrStreamExists},
		"exists":    {func(in *fixture) error { return in.appendErr("absent", store.StreamExists, 1) }, store.ErrStreamNotFound},
		"deleted":   {func(in *fixture) error { return in.appendErr("deleted", store.Any, 1) }, store.ErrStreamDeleted},
		"known-id":  {func(in *fixture) error { _, err := in.es.Append(f.ctx, "other", store.Any, again); return err }, store.ErrDuplicateEvent},
		"known-id-too": {func(in *fixture) error {
			_, err := in.es.Append(f.ctx, "known", store.Any, named(1)[0], again)
			return err
		}, store.ErrDuplicateEvent},
		"unknown-link": {func(in *fixture) error { _, err := in.es.Link(f.ctx, "links", store.Any, uuid.New()); return err }, store.ErrEventNotFound},
		"known-link":   {func(in *fixture) error { _, err := in.es.Link(f.ctx, "known", store.Any, again.ID); return err }, store.ErrDuplicateEvent},
		"link-version": {func(in *fixture) error { _, err := in.es.Link(f.ctx, "known", store.Version(7), again.ID); return err }, store.ErrWrongExpectedVersion},
		"delete":       {func(in *fixture) error { return in.es.Delete(f.ctx, "absent", store.Any, store.HardDelete) }, store.ErrStreamNotFound},
		"read":         {func(in *fixture) error { _, err := in.es.Page(f.ctx, "absent", nil); return err }, store.ErrStreamNotFound},
		"event":        {func(in *fixture) error { _, err := in.es.Event(f.ctx, uuid.New()); return err }, store.ErrEventNotFound},
	}) {
		f.sub(name, func(f *fixture) {
			f.within(func(in *fixture) {
				in.append("before "+name, store.NoStream, events(1)...)
				require.ErrorIs(f, c.call(in), c.is)
				in.append("after "+name, store.NoStream, events(1)...)
				require.ErrorIs(f, c.call(in), c.is)
			})
			assert.Len(f, f.read("before "+name, nil), 1)
			assert.Len(f, f.read("after "+name, nil), 1)
			assert.Len(f, f.read("known", nil), 2)
		})
	}
}

func txRetry(f *fixture) {
	one, two := named(2), named(2)
	first := f.append("s", store.NoStream, one...)
	f.within(func(in *fixture) {
		res := in.append("s", store.NoStream, one...)
		assert.Equal(f, store.AppendResult{Stream: "s", First: first.First, Last: first.Last, Retried: true}, res, "of a committed append")
		in.append("s", store.Version(2), two...)
		res = in.append("s", store.Version(2), two...)
		assert.Equal(f, store.AppendResult{Stream: "s", First: 3, Last: 4, Retried: true}, res, "of an append of this transaction")
		_, err := in.es.Append(f.ctx, "t", store.Any, two...)
		assert.ErrorIs(f, err, store.ErrDuplicateEvent)
		_, err = in.es.Append(f.ctx, "s", store.Any, two[1], two[0])
		assert.ErrorIs(f, err, store.ErrDuplicateEvent)
	})
	assert.Equal(f, span(1, 4), numbers(f.all()))
}

func txCalls(f *fixture) {
	f.fill("s", 4)
	tx := f.begin()
	in := f.in(tx)
	for e, err := range in.es.Stream(f.ctx, "s", &store.ReadOptions{PageSize: 2}) {
		require.NoError(f, err)
		var one int
		require.NoError(f, tx.QueryRowContext(f.ctx, "select 1").Scan(&one), "a statement of the caller's")
		in.link("copy", store.Any, e)
		in.append("t", store.Any, events(1)...)
		assert.Len(f, in.read("s", &store.ReadOptions{PageSize: 1}), 4)
	}
	require.NoError(f, tx.Commit())
	assert.Len(f, f.read("copy", nil), 4)
	assert.Len(f, f.read("t", nil), 4)
}

func txOrder(f *fixture) {
	f.fill("s", 1)
	f.within(func(in *fixture) {
		in.append("b", store.NoStream, events(2)...)
		in.append("a", store.NoStream, events(1)...)
		in.append("s", store.Version(1), events(2)...)
		in.append("b", store.Version(2), events(1)...)
	})
	f.append("c", store.NoStream, events(1)...)
	assert.Equal(f, []string{"s@1", "b@1", "b@2", "a@1", "s@2", "s@3", "b@3", "c@1"}, origins(f.all()))
	assert.Equal(f, span(1, 8), numbers(f.all()))
}

func txLarge(f *fixture) {
	known := named(1)
	f.append("s", store.NoStream, known...)
	list := named(2_500)
	tx := f.begin()
	in := f.in(tx)
	_, err := in.es.Append(f.ctx, "s", store.Any, append(list[:2_499:2_499], known...)...)
	require.ErrorIs(f, err, store.ErrDuplicateEvent)
	in.append("s", store.Version(1), list...)
	assert.Equal(f, int64(2_501), in.info("s").Version)
	require.NoError(f, tx.Rollback())
	assert.Equal(f, int64(1), f.info("s").Version)
	f.within(func(in *fixture) { in.append("s", store.Version(1), list...) })
	got := f.read(store.All, &store.ReadOptions{PageSize: max(f.PageSize, 100)})
	same(f, span(1, 2_501), numbers(got), "positions")
	same(f, append(idsOf(known), idsOf(list)...), store.IDs(got...), "ids")
}

func txCancelled(f *fixture) {
	source := f.fill("source", 1)
	f.within(func(in *fixture) {
		in.append("s", store.NoStream, events(1)...)
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		_, err := in.es.Append(ctx, "s", store.Any, events(1)...)
		assert.ErrorIs(f, err, context.Canceled)
		_, err = in.es.Link(ctx, "s", store.Any, source[0].ID)
		assert.ErrorIs(f, err, context.Canceled)
		assert.ErrorIs(f, in.es.Delete(ctx, "s", store.Any, store.SoftDelete), context.Canceled)
		_, err = in.es.Page(ctx, "s", nil)
		assert.ErrorIs(f, err, context.Canceled)
		in.append("s", store.Version(1), events(1)...)
	})
	assert.Len(f, f.read("s", nil), 2)
}

func txEnded(f *fixture) {
	f.fill("s", 1)
	tx := f.begin()
	in := f.in(tx)
	in.append("s", store.Version(1), events(1)...)
	require.NoError(f, tx.Commit())
	assert.ErrorIs(f, in.appendErr("s", store.Any, 1), sql.ErrTxDone)
	_, err := in.es.Page(f.ctx, "s", nil)
	assert.ErrorIs(f, err, sql.ErrTxDone)
	assert.ErrorIs(f, in.es.Delete(f.ctx, "s", store.Any, store.SoftDelete), sql.ErrTxDone)
	assert.ErrorIs(f, in.es.Undelete(f.ctx, "s", store.Any), sql.ErrTxDone)
	assert.Len(f, f.read("s", nil), 2)
}

func txClosed(f *fixture) {
	f.fill("s", 1)
	tx := f.begin()
	in := f.in(tx)
	in.append("s", store.Version(1), events(1)...)
	require.NoError(f, in.es.Close(), "closing the view does nothing")
	in.append("s", store.Version(2), events(1)...)
	require.NoError(f, f.es.Close())
	assert.ErrorIs(f, in.appendErr("s", store.Any, 1), store.ErrClosed)
	require.NoError(f, tx.Commit(), "the transaction is still the caller's")
}

// hinting opens another Store on the same storage, with a notifier.
func (f *fixture) hinting(n store.Notifier) *store.Store {
	es := store.New(f.storage, &store.Options{Notifier: n})
	f.Cleanup(func() { _ = es.Close() })
	return es
}

func txNotifier(f *fixture) {
	hints := &countingNotifier{}
	source := f.fill("source", 1)
	es := f.hinting(hints)
	tx := f.begin()
	in := f.face(es.WithTx(tx))
	_, err := in.Append(f.ctx, "s", store.Any, events(1)...)
	require.NoError(f, err)
	_, err = in.Link(f.ctx, "s", store.Any, source[0].ID)
	require.NoError(f, err)
	require.NoError(f, in.Delete(f.ctx, "s", store.Any, store.SoftDelete))
	require.NoError(f, tx.Commit())
	assert.Zero(f, hints.n.Load(), "hints before the commit was known")
	f.face(es).Committed()
	assert.Equal(f, int64(1), hints.n.Load())
}

func inTxCommits(f *fixture) {
	hints := &countingNotifier{}
	es := f.hinting(hints)
	err := f.face(es).InTx(f.ctx, func(tx *sql.Tx) error {
		in := f.in(tx)
		in.append("a", store.NoStream, events(1)...)
		in.append("b", store.NoStream, events(2)...)
		assert.Zero(f, hints.n.Load())
		return nil
	})
	require.NoError(f, err)
	assert.Equal(f, int64(1), hints.n.Load())
	assert.Equal(f, []string{"a@1", "b@1", "b@2"}, origins(f.all()))
}

func inTxRollsBack(f *fixture) {
	hints := &countingNotifier{}
	es := f.hinting(hints)
	failure := errors.New("the caller's own")
	err := f.face(es).InTx(f.ctx, func(tx *sql.Tx) error {
		f.in(tx).append("a", store.NoStream, events(1)...)
		return failure
	})
	assert.Equal(f, failure, err)
	assert.Zero(f, hints.n.Load())
	assert.Empty(f, f.all())
	f.append("a", store.NoStream, events(1)...)
}

func inTxPanics(f *fixture) {
	assert.PanicsWithValue(f, "the caller's own", func() {
		_ = f.es.InTx(f.ctx, func(tx *sql.Tx) error {
			f.in(tx).append("a", store.NoStream, events(1)...)
			panic("the caller's own")
		})
	})
	assert.Empty(f, f.all())
	f.append("a", store.NoStream, events(1)...)
}

func inTxCancelled(f *fixture) {
	hints := &countingNotifier{}
	es := f.face(f.hinting(hints))
	own := errors.New("the caller's own")
	for name, fails := range sorted(map[string]func(ctx context.Context, tx *sql.Tx) error{
		"nothing-noticed": func(context.Context, *sql.Tx) error { return nil },
		"own-error":       func(context.Context, *sql.Tx) error { return own },
		"tx-done":         func(context.Context, *sql.Tx) error { return sql.ErrTxDone }, // what a statement in it returns
		"statement": func(ctx context.Context, tx *sql.Tx) error {
			return tx.QueryRowContext(ctx, "select 1").Scan(new(int))
		},
	}) {
		f.sub(name, func(f *fixture) {
			ctx, cancel := context.WithCancel(f.ctx)
			defer cancel()
			var failed error
			err := es.InTx(ctx, func(tx *sql.Tx) error {
				f.in(tx).append("a", store.NoStream, events(1)...)
				cancel()
				failed = fails(ctx, tx)
				return failed
			})
			require.ErrorIs(f, err, context.Canceled)
			if failed != nil {
				assert.ErrorIs(f, err, failed, "the function's error is not lost")
			}
			_, err = f.es.StreamInfo(f.ctx, "a")
			assert.ErrorIs(f, err, store.ErrStreamNotFound, "nothing is left")
			assert.Zero(f, hints.n.Load())
		})
	}
	f.sub("before", func(f *fixture) {
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		err := es.InTx(ctx, func(*sql.Tx) error { f.Error("the transaction has begun"); return nil })
		assert.ErrorIs(f, err, context.Canceled)
	})
}

func inTxNested(f *fixture) {
	f.within(func(in *fixture) {
		err := in.es.InTx(f.ctx, func(*sql.Tx) error { f.Error("there is a transaction already"); return nil })
		assert.ErrorIs(f, err, store.ErrNoTransactions)
		in.append("s", store.NoStream, events(1)...)
	})
	assert.Len(f, f.read("s", nil), 1)
}
