package encryption_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/encryption"
	"github.com/eventstore-go/eventstore/serializer/zstd"
	"github.com/eventstore-go/eventstore/store"
)

type registered struct{ Customer, Name string }

func (r registered) EventSubject() string { return r.Customer }

type opened struct{ Shop string }

func types() *serializer.Types {
	types := serializer.NewTypes()
	serializer.Register[registered](types, "customer.registered")
	serializer.Register[opened](types, "shop.opened")
	return types
}

func open(coding serializer.Coding, storage store.Storage) *store.Store {
	return store.New(storage, &store.Options{Serializer: serializer.New(serializer.JSONFormat{}, &serializer.Options{
		Types: types(), Codings: []serializer.Coding{zstd.New(&zstd.Options{Threshold: 100}), coding},
	})})
}

func values(t *testing.T, es *store.Store) (list []any) {
	t.Helper()
	for e, err := range es.All(t.Context(), nil) {
		require.NoError(t, err)
		v, err := e.Values()
		require.NoError(t, err)
		list = append(list, v...)
	}
	return list
}

func TestForget(t *testing.T) {
	t.Parallel()
	coding := encryption.New(encryption.NewMemoryKeys(), nil, nil)
	storage := memory.New()
	es := open(coding, storage)
	ada, mary, shop := registered{"c-1", "Ada " + strings.Repeat("x", 500)}, registered{"c-2", "Mary"}, opened{"here"}
	_, err := es.Append(t.Context(), "customers", store.NoStream, store.Event{Data: ada}, store.Event{Data: shop}, store.Event{Data: mary}, store.Event{Data: ada})
	require.NoError(t, err)
	assert.Equal(t, []any{ada, shop, mary, ada}, values(t, es))
	page, err := es.Page(t.Context(), "customers", nil)
	require.NoError(t, err)
	var contentTypes []string
	for _, e := range page {
		contentTypes = append(contentTypes, e.ContentType)
		assert.NotContains(t, string(e.Data), "Ada")
		assert.NotContains(t, string(e.Data), "Mary")
	}
	assert.Equal(t, []string{"json+zstd+aes", "", "json+aes", "json+zstd+aes"}, contentTypes)
	assert.NotEqual(t, page[0].Data, page[3].Data, "equal events do not look equal")

	require.NoError(t, coding.Rotate(t.Context(), "c-2"))
	_, err = es.Append(t.Context(), "customers", store.Any, store.Event{Data: mary})
	require.NoError(t, err)
	require.NoError(t, coding.Forget(t.Context(), "c-1"))
	gone := serializer.Forgotten{Type: "customer.registered", Subject: "c-1"}
	assert.Equal(t, []any{gone, shop, mary, gone, mary}, values(t, es), "everything else still works, with old keys and new ones")
	_, err = store.Decode[registered](page[0])
	require.ErrorIs(t, err, store.ErrForgotten)
	require.ErrorIs(t, err, store.ErrDecode)
	assert.ErrorContains(t, err, page[0].ID.String())

	// A subscription goes on, and tells.
	var handled []any
	router := store.NewRouter()
	store.On(router, func(_ context.Context, _ store.Recorded, f serializer.Forgotten) error {
		handled = append(handled, f)
		return nil
	})
	store.On(router, func(_ context.Context, _ store.Recorded, r registered) error {
		handled = append(handled, r)
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	err = es.Consume(ctx, "customers", "reader", func(ctx context.Context, e store.Recorded) error {
		if e.Version == 5 {
			cancel()
		}
		return router.Handle(ctx, e)
	}, nil)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, []any{gone, mary, gone, mary}, handled)

	_, err = es.Append(t.Context(), "customers", store.Any, store.Event{Data: ada})
	require.NoError(t, err)
	assert.Equal(t, []any{gone, shop, mary, gone, mary, ada}, values(t, es), "who comes back has a new key")
	require.NoError(t, es.Close())
}

// TestSubjectFunction: values need not know whose they are.
func TestSubjectFunction(t *testing.T) {
	t.Parallel()
	coding := encryption.New(encryption.NewMemoryKeys(), func(eventType string, value any) string {
		if o, ok := value.(opened); ok && eventType == "shop.opened" {
			return o.Shop
		}
		return ""
	}, nil)
	es := open(coding, memory.New())
	_, err := es.Append(t.Context(), "s", store.NoStream, store.Event{Data: opened{"here"}}, store.Event{Data: registered{"c-1", "Ada"}})
	require.NoError(t, err)
	require.NoError(t, coding.Forget(t.Context(), "here"))
	assert.Equal(t, []any{serializer.Forgotten{Type: "shop.opened", Subject: "here"}, registered{"c-1", "Ada"}}, values(t, es))
	_, err = es.Append(t.Context(), "s", store.Any, store.Event{Data: opened{strings.Repeat("s", encryption.MaxSubject+1)}})
	require.ErrorIs(t, err, store.ErrInvalid)
	_, err = es.Append(t.Context(), "s", store.Any, store.Event{Data: opened{"\xff"}})
	require.ErrorIs(t, err, store.ErrInvalid)
}

// TestCache: what another process forgets is forgotten here when the time is over, and not asked for before.
func TestCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys := &counting{KeyStore: encryption.NewMemoryKeys()}
		here, there := encryption.New(keys, nil, nil), encryption.New(keys, nil, &encryption.Options{CacheFor: encryption.NoCache})
		plain := serializer.Plain{EventType: "t", Value: registered{"c-1", "Ada"}, Data: []byte("Ada")}
		coded, applied, err := here.Encode(plain)
		require.NoError(t, err)
		require.True(t, applied)
		for range 100 {
			_, _, err = here.Encode(plain)
			require.NoError(t, err)
			_, err = here.Decode("t", coded)
			require.NoError(t, err)
		}
		assert.Equal(t, 1, keys.count())
		require.NoError(t, there.Forget(t.Context(), "c-1"))
		_, err = there.Decode("t", coded)
		require.ErrorIs(t, err, store.ErrForgotten)
		time.Sleep(encryption.DefaultCacheFor - time.Second)
		_, err = here.Decode("t", coded)
		require.NoError(t, err)
		time.Sleep(time.Second)
		_, err = here.Decode("t", coded)
		require.ErrorIs(t, err, store.ErrForgotten)
	})
}

// counting counts calls, and may fail.
type counting struct {
	encryption.KeyStore
	mu   sync.Mutex
	n    int
	fail error
	wait chan struct{}
}

func (c *counting) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func (c *counting) call(ctx context.Context) error {
	c.mu.Lock()
	c.n++
	wait, fail := c.wait, c.fail
	c.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fail
}

func (c *counting) Current(ctx context.Context, subject string) (encryption.Key, error) {
	key, err := c.KeyStore.Current(ctx, subject)
	return key, errors.Join(err, c.call(ctx))
}

func (c *counting) Key(ctx context.Context, subject string, id int64) (encryption.Key, error) {
	key, err := c.KeyStore.Key(ctx, subject, id)
	return key, errors.Join(err, c.call(ctx))
}

// TestForgetWhileAKeyIsFetched: a key that was on its way is not kept.
func TestForgetWhileAKeyIsFetched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys := &counting{KeyStore: encryption.NewMemoryKeys(), wait: make(chan struct{})}
		coding := encryption.New(keys, nil, nil)
		var coded []byte
		var wg sync.WaitGroup
		wg.Go(func() {
			var err error
			coded, _, err = coding.Encode(serializer.Plain{EventType: "t", Value: registered{"c-1", "Ada"}, Data: []byte("Ada")})
			assert.NoError(t, err)
		})
		synctest.Wait()
		require.NoError(t, coding.Forget(t.Context(), "c-1"))
		close(keys.wait)
		wg.Wait()
		_, err := coding.Decode("t", coded)
		require.ErrorIs(t, err, store.ErrForgotten)
	})
}

// TestKeyStoreIsDown: that is not the same as forgotten, and does not take for ever.
func TestKeyStoreIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys := &counting{KeyStore: encryption.NewMemoryKeys()}
		coding := encryption.New(keys, nil, &encryption.Options{CacheFor: encryption.NoCache, Timeout: 3 * time.Second})
		plain := serializer.Plain{EventType: "t", Value: registered{"c-1", "Ada"}, Data: []byte("Ada")}
		coded, _, err := coding.Encode(plain)
		require.NoError(t, err)
		keys.fail = errors.New("down")
		_, err = coding.Decode("t", coded)
		require.ErrorIs(t, err, keys.fail)
		require.NotErrorIs(t, err, store.ErrForgotten)
		_, _, err = coding.Encode(plain)
		require.ErrorIs(t, err, keys.fail)
		keys.fail, keys.wait = nil, make(chan struct{})
		began := time.Now()
		_, err = coding.Decode("t", coded)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 3*time.Second, time.Since(began))
	})
}

// TestChangedBytes: no byte can be changed, cut off or added, and no header put before another's data.
func TestChangedBytes(t *testing.T) {
	t.Parallel()
	coding := encryption.New(encryption.NewMemoryKeys(), nil, nil)
	encode := func(customer string) []byte {
		coded, applied, err := coding.Encode(serializer.Plain{EventType: "t", Value: registered{Customer: customer}, Data: []byte("some data")})
		require.NoError(t, err)
		require.True(t, applied)
		return coded
	}
	coded, other := encode("c-1"), encode("c-2")
	bad := [][]byte{nil, append(bytes.Clone(coded), 0), append(bytes.Clone(other[:6]), coded[6:]...)}
	for i := range coded {
		changed := bytes.Clone(coded)
		changed[i] ^= 1
		bad = append(bad, changed, coded[:i])
	}
	for _, b := range bad {
		_, err := coding.Decode("t", b)
		var malformed *encryption.MalformedError
		if !errors.Is(err, encryption.ErrNoKey) { // the subject, or the key's id
			require.ErrorAs(t, err, &malformed, "%x", b)
		}
		require.NotErrorIs(t, err, store.ErrForgotten)
	}
	_, err := coding.Decode("another type", coded)
	require.ErrorContains(t, err, "another event type")
	data, err := coding.Decode("t", coded)
	require.NoError(t, err)
	assert.Equal(t, "some data", string(data))
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	coding := encryption.New(encryption.NewMemoryKeys(), nil, nil)
	rapid.Check(t, func(t *rapid.T) {
		subject := rapid.StringN(1, 20, encryption.MaxSubject).Filter(func(s string) bool { return !strings.Contains(s, "\x00") }).Draw(t, "subject")
		eventType, data := rapid.String().Draw(t, "type"), rapid.SliceOf(rapid.Byte()).Draw(t, "data")
		coded, applied, err := coding.Encode(serializer.Plain{EventType: eventType, Value: registered{Customer: subject}, Data: data})
		require.NoError(t, err)
		require.True(t, applied)
		got, err := coding.Decode(eventType, coded)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got))
	})
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	key := encryption.Key{ID: 1, Secret: [32]byte{1, 2, 3}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, v := range []any{key, &key, struct{ Key encryption.Key }{key}} {
			assert.NotContains(t, fmt.Sprintf(verb, v), "1, 2, 3")
			assert.NotContains(t, fmt.Sprintf(verb, v), "1 2 3")
			assert.NotContains(t, fmt.Sprintf(verb, v), "0x1, 0x2")
		}
	}
}

// FuzzDecode: no bytes make it panic.
func FuzzDecode(f *testing.F) {
	coding := encryption.New(encryption.NewMemoryKeys(), nil, &encryption.Options{CacheFor: encryption.NoCache})
	coded, _, err := coding.Encode(serializer.Plain{EventType: "t", Value: registered{Customer: "c-1"}, Data: []byte("some data")})
	require.NoError(f, err)
	for _, seed := range [][]byte{coded, coded[:10], {1}, {1, 1, 3, 'c', '-', '1'}, {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, {1, 1, 0xff, 0xff, 3}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := coding.Decode("t", data)
		if err == nil && string(got) != "some data" {
			t.Fatalf("%x decodes to %q", data, got)
		}
	})
}
