package msgpack_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	format "github.com/eventstore-go/eventstore/serializer/msgpack"
	"github.com/eventstore-go/eventstore/store"
)

type item struct {
	SKU   string         `json:"sku"`
	Price float64        `json:"price,omitempty"`
	Codes []uint16       `json:"codes"`
	Notes map[string]any `json:"notes"`
}

type placed struct {
	ID    uuid.UUID      `json:"id"`
	At    time.Time      `json:"at"`
	Items []item         `json:"items"`
	Best  *item          `json:"best,omitempty"`
	Count map[int64]bool `json:"count"`
	Raw   []byte         `json:"raw"`
	Total int64          `json:"total"`
	Own   string         `json:"-"`
}

func someItem(t *rapid.T) item {
	return item{
		SKU:   rapid.String().Draw(t, "sku"),
		Price: rapid.Float64().Draw(t, "price"),
		Codes: rapid.SliceOf(rapid.Uint16()).Draw(t, "codes"),
		Notes: rapid.MapOf(rapid.String(), rapid.Custom(func(t *rapid.T) any {
			return rapid.SampledFrom([]any{nil, true, "text", int8(-3), 1.5, []byte{1}, []any{"a", []any{}}, map[string]any{"x": int8(1)}}).Draw(t, "note")
		})).Draw(t, "notes"),
	}
}

func somePlaced(t *rapid.T) placed {
	p := placed{
		At:    time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "sec"), rapid.Int64Range(0, 999_999_999).Draw(t, "nsec")),
		Items: rapid.SliceOfN(rapid.Custom(someItem), 0, 40).Draw(t, "items"),
		Count: rapid.MapOf(rapid.Int64(), rapid.Bool()).Draw(t, "count"),
		Raw:   rapid.SliceOf(rapid.Byte()).Draw(t, "raw"),
		Total: rapid.Int64().Draw(t, "total"),
	}
	copy(p.ID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
	if rapid.Bool().Draw(t, "best") {
		best := someItem(t)
		p.Best = &best
	}
	return p
}

func registered() *serializer.Types {
	types := serializer.NewTypes()
	serializer.Register[placed](types, "order.placed")
	return types
}

// formats are all the ways to set it up.
func formats() []format.Format {
	var list []format.Format
	for i := range 8 {
		list = append(list, format.Format{UseJSONTags: i&1 != 0, Strict: i&2 != 0, Loose: i&4 != 0})
	}
	return list
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(formats()[:4]).Draw(t, "format")
		s := serializer.New(f, &serializer.Options{Types: registered()})
		want := somePlaced(t)
		data, contentType, err := s.Encode("order.placed", want)
		require.NoError(t, err)
		require.Equal(t, format.Name, contentType)
		again, _, err := s.Encode("order.placed", &want)
		require.NoError(t, err)
		require.Len(t, again, len(data))
		kept := bytes.Clone(data)
		var got any
		require.NoError(t, s.Decode("order.placed", contentType, data, &got))
		require.Equal(t, kept, data)
		clear(data) // it must not be kept
		require.True(t, want.At.Equal(got.(placed).At))
		want.At = got.(placed).At
		require.Equal(t, want, got)
	})
}

// TestMixedWithJSON appends to one stream with one serializer and another, and reads all with either.
func TestMixedWithJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		types, backend := registered(), memory.New()
		json, mp := serializer.JSONFormat{}, format.Format{UseJSONTags: true}
		stores := []*store.Store{
			store.New(backend, &store.Options{Serializer: serializer.New(json, &serializer.Options{Types: types, Formats: []serializer.Format{mp}})}),
			store.New(backend, &store.Options{Serializer: serializer.New(mp, &serializer.Options{Types: types, Formats: []serializer.Format{json}})}),
		}
		var want []int64
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, 1), 1, 20).Draw(t, "writers") {
			want = append(want, rapid.Int64().Draw(t, "total"))
			_, err := stores[i].Append(t.Context(), "order", store.Any, store.Event{Data: placed{Total: want[len(want)-1]}})
			require.NoError(t, err)
		}
		for _, es := range stores {
			var got []int64
			for e, err := range es.Stream(t.Context(), "order", nil) {
				require.NoError(t, err)
				p, err := store.Decode[any](e)
				require.NoError(t, err)
				got = append(got, p.(placed).Total)
			}
			require.Equal(t, want, got)
		}
	})
}

func TestTags(t *testing.T) {
	t.Parallel()
	type both struct {
		A int `json:"a" msgpack:"m"`
		B int `json:"b"`
		C int
	}
	fields := func(f format.Format) []string {
		data, err := f.Marshal(both{1, 2, 3})
		require.NoError(t, err)
		var m map[string]any
		require.NoError(t, f.Unmarshal(data, &m))
		var names []string
		for name := range m {
			names = append(names, name)
		}
		return names
	}
	require.ElementsMatch(t, []string{"m", "B", "C"}, fields(format.Format{}))
	require.ElementsMatch(t, []string{"m", "b", "C"}, fields(format.Format{UseJSONTags: true}))
}

func TestStrict(t *testing.T) {
	t.Parallel()
	data, err := format.Format{}.Marshal(map[string]int{"A": 1, "B": 2})
	require.NoError(t, err)
	var into struct{ A int }
	require.NoError(t, format.Format{}.Unmarshal(data, &into))
	require.Equal(t, 1, into.A)
	require.Error(t, format.Format{Strict: true}.Unmarshal(data, &into))
}

func TestLoose(t *testing.T) {
	t.Parallel()
	data, err := format.Format{}.Marshal([]any{-1, 200, 1 << 40, float32(1.5), []byte("b")})
	require.NoError(t, err)
	var narrow, loose []any
	require.NoError(t, format.Format{}.Unmarshal(data, &narrow))
	require.Equal(t, []any{int8(-1), uint8(200), uint64(1 << 40), float32(1.5), []byte("b")}, narrow)
	require.NoError(t, format.Format{Loose: true}.Unmarshal(data, &loose))
	require.Equal(t, []any{int64(-1), uint64(200), uint64(1 << 40), 1.5, "b"}, loose)
}

// nested returns arrays inside each other.
func nested(depth int) []byte { return append(bytes.Repeat([]byte{0x91}, depth), 0xc0) }

func TestDepth(t *testing.T) {
	t.Parallel()
	f := format.Format{}
	var into any
	require.NoError(t, f.Unmarshal(nested(format.MaxDepth), &into))
	data, err := f.Marshal(into)
	require.NoError(t, err, "what can be read can be written")
	require.Equal(t, nested(format.MaxDepth), data)
	_, err = f.Marshal([]any{into})
	require.Error(t, err, "what can't be read can't be written")
	for _, depth := range []int{format.MaxDepth + 1, 10_000_000} {
		require.ErrorContains(t, f.Unmarshal(nested(depth), new(any)), "nested deeper than 10000")
	}
}

func TestBytesThatDoNotDecode(t *testing.T) {
	t.Parallel()
	s := serializer.New(format.Format{UseJSONTags: true}, &serializer.Options{Types: registered()})
	good, _, err := s.Encode("order.placed", placed{Total: 7, At: time.Now()})
	require.NoError(t, err)
	for name, data := range map[string]string{
		"nothing": "", "a byte that begins no value": "\xc1", "more behind it": string(good) + "\xc0",
		"cut off": string(good[:len(good)-1]), "another type": "\xa1x", "deep": strings.Repeat("\x91", 1_000_000),
		"a map of nothing": "\xdf\xff\xff\xff\xff", "an array of nothing": "\xdd\xff\xff\xff\xff",
		"a string of nothing": "\xdb\xff\xff\xff\xff", "an extension of nothing": "\xc9\xff\xff\xff\xff\xff",
		"an extension": "\xd4\x05x", "an interned string": "\xd4\x80\x00", "a long time": "\xc7\x10\xff0123456789abcdef",
	} {
		var value any = "as it was"
		require.Error(t, s.Decode("order.placed", format.Name, []byte(data), &value), name)
		require.Equal(t, "as it was", value, name)
		require.Error(t, s.Decode("order.placed", format.Name, []byte(data), new(placed)), name)
	}
	for _, into := range []any{nil, placed{}, (*placed)(nil), (*any)(nil), (*[]string)(nil), (*map[string]any)(nil)} {
		require.Error(t, s.Decode("order.placed", format.Name, good, into), "%T is no place to decode into", into)
	}
	for i := range good {
		require.Error(t, s.Decode("order.placed", format.Name, good[:i], new(placed)), "%d bytes of it", i)
	}
}

// TestTimeIsNoMap: the library takes an extension where it wants a map, and then reads on in what it holds.
func TestTimeIsNoMap(t *testing.T) {
	t.Parallel()
	data := []byte("\xd7\xff\xdf\xff\xff\xff\xff\x00\x00\x00") // a time whose bytes are a long map's
	require.NoError(t, format.Format{}.Unmarshal(data, new(time.Time)))
	for _, into := range []any{new(map[string]any), new(map[string]string), new(map[int]int), new(placed)} {
		require.Error(t, format.Format{}.Unmarshal(data, into), "%T", into)
	}
	var inside map[string]map[string]any
	require.Error(t, format.Format{}.Unmarshal(append([]byte("\x81\xa1a"), data...), &inside))
	require.Empty(t, inside)
}

func TestKeyThatGoCanNotHave(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, format.Format{}.Unmarshal([]byte("\x81\x90\xc0"), new(map[any]any)), "hash")
	var byArray map[[2]int]string
	data, err := format.Format{}.Marshal(map[[2]int]string{{1, 2}: "x"})
	require.NoError(t, err)
	require.NoError(t, format.Format{}.Unmarshal(data, &byArray))
	require.Equal(t, "x", byArray[[2]int{1, 2}])
}

func TestValuesThatDoNotEncode(t *testing.T) {
	t.Parallel()
	f := format.Format{}
	for _, value := range []any{make(chan int), func() {}, struct{ C chan int }{make(chan int)}, failing{}, odd("\xc1"), odd("\x01\x02"), odd("")} {
		_, err := f.Marshal(value)
		require.Error(t, err, "%T", value)
	}
	_, err := f.Marshal(failing{})
	require.ErrorIs(t, err, errFailing)
	data, err := f.Marshal(nil)
	require.NoError(t, err)
	require.Equal(t, []byte{0xc0}, data)
}

var errFailing = errors.New("can't be encoded")

type failing struct{}

func (failing) MarshalMsgpack() ([]byte, error) { return nil, errFailing }

// odd encodes as what it holds.
type odd string

func (o odd) MarshalMsgpack() ([]byte, error) { return []byte(o), nil }

// greedy decodes less than there is.
type greedy struct{}

func (*greedy) DecodeMsgpack(*msgpack.Decoder) error { return nil }

func TestDecoderOfItsOwn(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, format.Format{}.Unmarshal([]byte{1}, new(greedy)), "more behind")
	var raw msgpack.RawMessage
	require.NoError(t, format.Format{}.Unmarshal([]byte{0x91, 1}, &raw))
	require.Equal(t, msgpack.RawMessage{0x91, 1}, raw)
}

// TestErrorsLeaveNothingBehind: a decoder that failed halfway is not used again.
func TestErrorsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	for i := range 100 {
		_ = format.Format{}.Unmarshal([]byte{0x91, 0xc1}, new(struct{ Raw msgpack.RawMessage }))
		_ = format.Format{}.Unmarshal([]byte("\x81\x90\xc0"), new(map[any]any))
		var got []string
		data, err := format.Format{}.Marshal([]string{"a", fmt.Sprint(i)})
		require.NoError(t, err)
		require.NoError(t, format.Format{}.Unmarshal(data, &got))
		require.Equal(t, []string{"a", fmt.Sprint(i)}, got)
	}
}

func TestSmallerThanJSON(t *testing.T) {
	t.Parallel()
	value := placed{ID: uuid.New(), Items: []item{{SKU: "a"}, {SKU: "b"}}, Raw: make([]byte, 100), Total: 1 << 30}
	short, err := format.Format{UseJSONTags: true}.Marshal(value)
	require.NoError(t, err)
	long, err := json.Marshal(value)
	require.NoError(t, err)
	require.Less(t, len(short), len(long))
}
