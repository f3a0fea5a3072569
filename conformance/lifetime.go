package conformance

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var storeCases = []testCase{
	{name: "store/closed", tx: noTx, run: storeClosed, why: "after Close every call says so, instead of working by chance"},
	{name: "store/two-on-one-storage", tx: noTx, run: storeTwo, why: "any number of stores may share a storage"},
	{name: "store/close-one", tx: noTx, run: storeCloseOne, why: "closing a store ends what it began, and nothing of the others on the same storage"},
	{name: "store/notifier", run: storeNotifier, why: "subscribers hear at once of commits that this process knows of"},
	{name: "store/codec", run: storeCodec, why: "events decode with the serializer of the store that read them, and not before they are asked to"},
	{name: "tx/none", tx: onlyWithoutTx, run: txNone, why: "a backend without transactions says so, instead of writing outside the caller's"},
}

// everyCall returns the error of each call that a Store has.
func (f *fixture) everyCall(es face) map[string]error {
	_, appended := es.Append(f.ctx, "s", store.Any, events(1)...)
	_, linked := es.Link(f.ctx, "s", store.Any, uuid.New())
	_, read := collect(f, es.Stream(f.ctx, "s", nil))
	_, all := collect(f, es.All(f.ctx, nil))
	_, page := es.Page(f.ctx, "s", nil)
	_, event := es.Event(f.ctx, uuid.New())
	_, head := es.Head(f.ctx)
	_, info := es.StreamInfo(f.ctx, "s")
	_, streams := es.Streams(f.ctx, nil)
	return map[string]error{
		"append": appended, "link": linked, "delete": es.Delete(f.ctx, "s", store.Any, store.SoftDelete),
		"undelete": es.Undelete(f.ctx, "s", store.Any),
		"stream":   read, "all": all, "page": page, "event": event, "head": head, "info": info, "streams": streams,
		"in-tx": es.InTx(f.ctx, func(*sql.Tx) error { return nil }),
	}
}

func storeClosed(f *fixture) {
	f.fill("s", 1)
	require.NoError(f, f.es.Close())
	for name, err := range sorted(f.everyCall(f.es)) {
		f.sub(name, func(f *fixture) { assert.ErrorIs(f, err, store.ErrClosed) })
	}
	f.sub("again", func(f *fixture) { assert.NoError(f, f.es.Close()) })
}

func storeTwo(f *fixture) {
	other := f.open(nil)
	f.fill("s", 1)
	_, err := other.Append(f.ctx, "s", store.Version(1), events(1)...)
	require.NoError(f, err)
	f.append("s", store.Version(2), events(1)...)
	got, err := collect(f, other.All(f.ctx, nil))
	require.NoError(f, err)
	assert.Equal(f, span(1, 3), numbers(got))
	assert.Len(f, f.read("s", nil), 3)
}

func storeCloseOne(f *fixture) {
	first, second := f.open(nil), f.open(nil)
	use := func(es face, stream string) {
		f.Helper()
		_, err := es.Append(f.ctx, stream, store.NoStream, events(1)...)
		require.NoError(f, err)
		got, err := collect(f, es.Stream(f.ctx, stream, nil))
		require.NoError(f, err)
		assert.Len(f, got, 1)
	}
	use(first, "a")
	use(second, "b")
	require.NoError(f, first.Close())
	use(second, "c")
	_, err := first.Head(f.ctx)
	require.ErrorIs(f, err, store.ErrClosed)
	third := f.open(nil)
	use(third, "d")
	require.NoError(f, second.Close())
	use(third, "e")
	require.NoError(f, third.Close())
	use(f.es, "f")
}

// countingNotifier counts its hints.
type countingNotifier struct{ n atomic.Int64 }

func (c *countingNotifier) Notify() { c.n.Add(1) }

// Listen implements [store.Notifier].
func (c *countingNotifier) Listen(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return ctx.Err()
}

func storeNotifier(f *fixture) {
	hints := &countingNotifier{}
	es := f.open(&store.Options{Notifier: hints, HardDelete: true})
	f.Cleanup(func() { _ = es.Close() })
	source := f.fill("source", 1)
	for name, write := range sorted(map[string]func() error{
		"append": func() error { _, err := es.Append(f.ctx, "s", store.Any, events(2)...); return err },
		"link":   func() error { _, err := es.Link(f.ctx, "t", store.Any, source[0].ID); return err },
		"soft-delete": func() error {
			f.fill("u", 1)
			return es.Delete(f.ctx, "u", store.Any, store.SoftDelete)
		},
		"undelete": func() error {
			f.fill("w", 1)
			f.delete("w", store.SoftDelete)
			return es.Undelete(f.ctx, "w", store.Any)
		},
		"hard-delete": func() error {
			f.fill("v", 1)
			return es.Delete(f.ctx, "v", store.Any, store.HardDelete)
		},
		"committed": func() error { es.Committed(); return nil },
	}) {
		f.sub(name, func(f *fixture) {
			was := hints.n.Load()
			require.NoError(f, write())
			assert.Equal(f, was+1, hints.n.Load())
		})
	}
	f.sub("not-on-failure", func(f *fixture) {
		was := hints.n.Load()
		_, err := es.Append(f.ctx, "source", store.NoStream, events(1)...)
		require.Error(f, err)
		_, err = es.Link(f.ctx, "t", store.Any, uuid.New())
		require.Error(f, err)
		require.Error(f, es.Delete(f.ctx, "absent", store.Any, store.SoftDelete))
		require.Error(f, es.Undelete(f.ctx, "source", store.Any))
		_, err = es.Page(f.ctx, "source", nil)
		require.NoError(f, err)
		assert.Equal(f, was, hints.n.Load())
	})
}

// picky is a serializer that stores JSON and can't decode some types.
type picky struct{ rawBytes }

var errPicky = errors.New("this type does not decode")

func (p picky) Decode(eventType, contentType string, data []byte, into any) error {
	if eventType == "bad" {
		return errPicky
	}
	return p.rawBytes.Decode(eventType, contentType, data, into)
}

func storeCodec(f *fixture) {
	es := f.open(&store.Options{Serializer: picky{}, MetadataSerializer: picky{}})
	text := []byte(`{"n":1}`)
	good, bad := store.Event{Type: "good", Data: text, Metadata: text}, store.Event{Type: "bad", Data: text, Metadata: text}
	_, err := es.Append(f.ctx, "s", store.NoStream, good, bad, good)
	require.NoError(f, err)
	got, err := collect(f, es.Stream(f.ctx, "s", nil))
	require.NoError(f, err, "an event that does not decode spoils no page")
	require.Len(f, got, 3)
	one, err := es.Event(f.ctx, got[1].ID)
	require.NoError(f, err)
	for i, e := range append(got, one) {
		var data, metadata []byte
		err, metaErr := e.Decode(&data), e.DecodeMetadata(&metadata)
		if e.Type == "good" {
			require.NoError(f, errors.Join(err, metaErr))
			assert.JSONEq(f, string(text), string(data))
			assert.JSONEq(f, string(text), string(metadata))
			continue
		}
		var undecodable *store.DecodeError
		require.ErrorAs(f, err, &undecodable, "event %d", i)
		assert.Equal(f, store.DecodeError{ID: e.ID, Stream: "s", Version: 2, Type: "bad", Field: "data", Err: errPicky}, *undecodable)
		assert.ErrorIs(f, err, store.ErrDecode)
		assert.ErrorIs(f, metaErr, errPicky)
	}
}

func txNone(f *fixture) {
	f.fill("s", 1)
	bound := f.face(f.store.WithTx(new(sql.Tx)))
	for name, err := range sorted(f.everyCall(bound)) {
		f.sub(name, func(f *fixture) { assert.ErrorIs(f, err, store.ErrNoTransactions) })
	}
	f.sub("begin", func(f *fixture) {
		err := f.es.InTx(f.ctx, func(*sql.Tx) error { f.Error("there is no transaction to run in"); return nil })
		assert.ErrorIs(f, err, store.ErrNoTransactions)
	})
	assert.Len(f, f.read("s", nil), 1)
}
