package encryption_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/encryption"
	"github.com/eventstore-go/eventstore/serializer/msgpack"
	"github.com/eventstore-go/eventstore/serializer/zstd"
	"github.com/eventstore-go/eventstore/store"
)

// bag has no order when msgpack encodes it.
type bag struct{ Items map[string]int }

func (bag) EventSubject() string { return "c-1" }

type (
	oldPrice struct{ Cents int }
	newPrice struct {
		Cents    int
		Currency string
	}
)

func priced(newest bool) *serializer.Types {
	types := types()
	serializer.Register[bag](types, "bag.filled")
	serializer.Register[oldPrice](types, "priced")
	if newest {
		serializer.RegisterVersion[newPrice](types, "priced", 2)
		serializer.Upcast(types, func(p oldPrice) (newPrice, error) { return newPrice{p.Cents, "EUR"}, nil })
	}
	return types
}

func bagOf(n int) bag {
	b := bag{map[string]int{}}
	for i := range n {
		b.Items[strings.Repeat("k", i+1)] = i
	}
	return b
}

// changed changes b, but not its encoded length.
func changed(b bag) bag {
	b.Items["k"] = 9
	return b
}

// TestRetry: a retry gives the same values, in other bytes, perhaps by a newer version of the program.
func TestRetry(t *testing.T) {
	t.Parallel()
	secret := encryption.New(encryption.NewMemoryKeys(), nil, nil)
	compress := zstd.New(&zstd.Options{Threshold: 100})
	long := strings.Repeat("Ada ", 200)
	with := func(format serializer.Format, newest bool, codings ...serializer.Coding) store.Serializer {
		return serializer.New(format, &serializer.Options{
			Types: priced(newest), Formats: map[string][]serializer.Format{
				store.JSON: {msgpack.Format{}}, msgpack.Name: {serializer.JSONFormat{}},
			}[format.Name()],
			Codings: codings, OnlyDecode: others(codings, secret, compress),
		})
	}
	plain := with(serializer.JSONFormat{}, false)
	encrypted := with(serializer.JSONFormat{}, false, secret)
	both := with(serializer.JSONFormat{}, false, compress, secret)
	packed := with(msgpack.Format{}, false)
	packedBoth := with(msgpack.Format{}, false, compress, secret)
	for name, c := range map[string]struct {
		first, again store.Serializer
		event        any // appended first
		same         any // a retry; nil for event
		other        any // no retry
		unregistered string
	}{
		"encrypted":                          {first: encrypted, again: encrypted, event: registered{"c-1", "Ada"}, other: registered{"c-1", "Eve"}},
		"compressed and encrypted":           {first: both, again: both, event: registered{"c-1", long}, other: registered{"c-1", long[:len(long)-1] + "!"}},
		"a map":                              {first: packed, again: packed, event: bagOf(20), other: changed(bagOf(20))},
		"a map, compressed and encrypted":    {first: packedBoth, again: packedBoth, event: bagOf(20), other: changed(bagOf(20))},
		"compression comes":                  {first: plain, again: both, event: registered{"c-1", long}, other: registered{"c-1", long + "!"}},
		"encryption ends":                    {first: encrypted, again: plain, event: registered{"c-1", "Ada"}, other: registered{"c-1", "Eve"}},
		"another format":                     {first: plain, again: packed, event: registered{"c-1", "Ada"}, other: registered{"c-1", "Eve"}},
		"a newer version of the type":        {first: plain, again: with(serializer.JSONFormat{}, true), event: oldPrice{7}, same: newPrice{7, "EUR"}, other: newPrice{7, "USD"}},
		"not registered":                     {first: both, again: both, unregistered: "t", event: map[string]string{"a": "b", "text": long}, other: map[string]string{"a": "c", "text": long}},
		"not registered, of the same length": {first: encrypted, again: encrypted, unregistered: "t", event: []int{1, 2}, other: []int{2, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storage := memory.New()
			if c.same == nil {
				c.same = c.event
			}
			e := store.Event{ID: uuid.New(), Type: c.unregistered, Data: c.event}
			res, err := store.New(storage, &store.Options{Serializer: c.first}).Append(t.Context(), "s", store.NoStream, e)
			require.NoError(t, err)
			res.Retried = true
			again := store.New(storage, &store.Options{Serializer: c.again})
			for range 5 {
				e.Data = c.same
				got, err := again.Append(t.Context(), "s", store.NoStream, e)
				require.NoError(t, err)
				require.Equal(t, res, got)
				e.Data = c.other
				_, err = again.Append(t.Context(), "s", store.NoStream, e)
				var duplicate *store.DuplicateEventError
				require.ErrorAs(t, err, &duplicate)
				assert.Equal(t, "data", duplicate.Differs)
			}
		})
	}

	t.Run("forgotten", func(t *testing.T) {
		storage := memory.New()
		secret := encryption.New(encryption.NewMemoryKeys(), nil, nil)
		es := open(secret, storage)
		e := store.Event{ID: uuid.New(), Data: registered{"c-1", "Ada"}}
		_, err := es.Append(t.Context(), "s", store.NoStream, e)
		require.NoError(t, err)
		require.NoError(t, secret.Forget(t.Context(), "c-1"))
		_, err = es.Append(t.Context(), "s", store.NoStream, e)
		require.Error(t, err, "nothing shows any more that it is the same")
	})
}

// others returns those of all that are not in codings.
func others(codings []serializer.Coding, all ...serializer.Coding) (list []serializer.Coding) {
	for _, c := range all {
		in := false
		for _, used := range codings {
			in = in || used == c
		}
		if !in {
			list = append(list, c)
		}
	}
	return list
}
