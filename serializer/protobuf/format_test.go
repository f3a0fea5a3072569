package protobuf_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/protobuf"
	"github.com/eventstore-go/eventstore/store"
)

type placed struct{ Total int }

func registered() *serializer.Types {
	types := serializer.NewTypes()
	protobuf.Register[*structpb.Struct](types)
	protobuf.Register[*timestamppb.Timestamp](types)
	protobuf.Register[*wrapperspb.BytesValue](types)
	serializer.Register[*wrapperspb.Int64Value](types, "order.counted")
	serializer.Register[placed](types, "order.placed")
	return types
}

// someText is valid UTF-8. A generator of its own each time: they are not for tests in parallel.
func someText() *rapid.Generator[string] { return rapid.StringOf(rapid.Rune()) }

func someJSON(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kinds := 6
		if depth == 0 {
			kinds = 4
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return rapid.Float64().Draw(t, "number")
		case 3:
			return someText().Draw(t, "text")
		case 4:
			return rapid.SliceOfN(someJSON(depth-1), 0, 5).Draw(t, "list")
		}
		m := map[string]any{}
		for _, name := range rapid.SliceOfN(someText(), 0, 5).Draw(t, "names") {
			m[name] = someJSON(depth-1).Draw(t, "value")
		}
		return m
	})
}

func someMessage(t *rapid.T) (name string, m proto.Message) {
	switch rapid.IntRange(0, 3).Draw(t, "message") {
	case 0:
		return "google.protobuf.Timestamp", &timestamppb.Timestamp{Seconds: rapid.Int64().Draw(t, "sec"), Nanos: rapid.Int32().Draw(t, "nsec")}
	case 1:
		return "google.protobuf.BytesValue", wrapperspb.Bytes(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	case 2:
		return "order.counted", wrapperspb.Int64(rapid.Int64().Draw(t, "count"))
	}
	list, err := structpb.NewList(rapid.SliceOfN(someJSON(3), 0, 5).Draw(t, "list"))
	require.NoError(t, err)
	return "google.protobuf.Struct", &structpb.Struct{Fields: map[string]*structpb.Value{someText().Draw(t, "name"): structpb.NewListValue(list)}}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	s := serializer.New(protobuf.Format{}, &serializer.Options{Types: registered()})
	rapid.Check(t, func(t *rapid.T) {
		name, want := someMessage(t)
		given, ok := s.TypeName(want)
		require.True(t, ok)
		require.Equal(t, name, given)
		data, contentType, err := s.Encode(name, want)
		require.NoError(t, err)
		require.Equal(t, protobuf.Name, contentType)
		again, _, err := s.Encode(name, proto.Clone(want))
		require.NoError(t, err)
		require.Equal(t, data, again, "it is deterministic")
		kept := bytes.Clone(data)
		var got any
		require.NoError(t, s.Decode(name, contentType, data, &got))
		require.Equal(t, kept, data)
		clear(data) // it must not be kept
		require.True(t, proto.Equal(want, got.(proto.Message)), "want %v, got %v", want, got)
	})
}

// TestMixedWithJSON appends both to one stream, and reads all with either serializer.
func TestMixedWithJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		types, backend := registered(), memory.New()
		open := func(first, older serializer.Format) *store.Store {
			return store.New(backend, &store.Options{Serializer: serializer.New(first, &serializer.Options{Types: types, Formats: []serializer.Format{older}})})
		}
		asJSON, asMessages := open(serializer.JSONFormat{}, protobuf.Format{}), open(protobuf.Format{}, serializer.JSONFormat{})
		var want []any
		for i := range rapid.IntRange(1, 20).Draw(t, "events") {
			es, value := asJSON, any(placed{i})
			if rapid.Bool().Draw(t, "message") {
				_, value = someMessage(t)
				es = asMessages
			}
			want = append(want, value)
			_, err := es.Append(t.Context(), "order", store.Any, store.Event{Data: value})
			require.NoError(t, err)
		}
		for _, es := range []*store.Store{asJSON, asMessages} {
			n := 0
			for e, err := range es.Stream(t.Context(), "order", nil) {
				require.NoError(t, err)
				got, err := store.Decode[any](e)
				require.NoError(t, err)
				if m, ok := want[n].(proto.Message); ok {
					require.True(t, proto.Equal(m, got.(proto.Message)), "want %v, got %v", m, got)
				} else {
					require.Equal(t, want[n], got)
				}
				n++
			}
			require.Len(t, want, n)
		}
	})
}

// TestDecodeInto decodes into the ways to say what is wanted.
func TestDecodeInto(t *testing.T) {
	t.Parallel()
	es := store.New(memory.New(), &store.Options{Serializer: serializer.New(protobuf.Format{}, &serializer.Options{Types: registered()})})
	_, err := es.Append(t.Context(), "counts", store.Any,
		store.Event{Data: wrapperspb.Int64(17)}, store.Event{Type: "free", Data: wrapperspb.UInt32(18)}, store.Event{Data: &structpb.Struct{}})
	require.NoError(t, err)
	page, err := es.Page(t.Context(), "counts", nil)
	require.NoError(t, err)

	pointer, err := store.Decode[*wrapperspb.Int64Value](page[0])
	require.NoError(t, err)
	require.EqualValues(t, 17, pointer.GetValue())
	into := wrapperspb.Int64(1)
	require.NoError(t, page[0].Decode(into))
	require.EqualValues(t, 17, into.GetValue())

	_, err = store.Decode[any](page[1])
	require.ErrorIs(t, err, store.ErrUnknownType)
	free, err := store.Decode[*wrapperspb.UInt32Value](page[1])
	require.NoError(t, err)
	require.EqualValues(t, 18, free.GetValue())

	require.Empty(t, page[2].Data, "an empty message is no bytes")
	empty, err := store.Decode[any](page[2])
	require.NoError(t, err)
	require.True(t, proto.Equal(&structpb.Struct{}, empty.(proto.Message)))
}

func TestNoMessage(t *testing.T) {
	t.Parallel()
	f := protobuf.Format{}
	var no *protobuf.NotMessageError
	for _, value := range []any{nil, 17, "text", placed{1}, &placed{1}, map[string]int{}} {
		_, err := f.Marshal(value)
		require.ErrorAs(t, err, &no, "%T", value)
		require.False(t, no.Nil)
	}
	_, err := f.Marshal((*structpb.Struct)(nil))
	require.ErrorAs(t, err, &no)
	require.Equal(t, protobuf.NotMessageError{Type: "*structpb.Struct", Nil: true}, *no)
	require.ErrorContains(t, err, "a nil *structpb.Struct is no message")

	var missing **structpb.Struct
	for _, into := range []any{nil, 17, new(int), new(*int), new(**int), new(placed), new(map[string]any), new([]byte), (*structpb.Struct)(nil), missing, new(proto.Message)} {
		require.ErrorAs(t, f.Unmarshal(nil, into), &no, "%T", into)
		require.NotEmpty(t, no.Error())
	}
	require.Panics(t, func() { protobuf.Register[proto.Message](serializer.NewTypes()) }, "it is no type of message")
	types := registered()
	require.Panics(t, func() { protobuf.Register[*structpb.Struct](types) }, "twice")
}

func TestBytesThatDoNotDecode(t *testing.T) {
	t.Parallel()
	s := serializer.New(protobuf.Format{}, &serializer.Options{Types: registered()})
	good, _, err := s.Encode("google.protobuf.BytesValue", wrapperspb.Bytes([]byte("bytes")))
	require.NoError(t, err)
	for _, data := range []string{"\x00", "\xff", "\x0a", "\x0a\xff\xff\xff\xff\x0f", string(good[:len(good)-1]), string(good) + "\x0a"} {
		var value any = "as it was"
		require.Error(t, s.Decode("google.protobuf.BytesValue", protobuf.Name, []byte(data), &value), "%q", data)
		require.Equal(t, "as it was", value)
		pointer := wrapperspb.Bytes(nil)
		kept := pointer
		require.Error(t, s.Decode("google.protobuf.BytesValue", protobuf.Name, []byte(data), &pointer))
		require.Same(t, kept, pointer)
	}
}

// nested is a list in a list in a list.
func nested(depth int) []byte {
	var data []byte
	for range depth {
		value := protowire.AppendBytes(protowire.AppendTag(nil, 6, protowire.BytesType), data)
		data = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), value)
	}
	return data
}

func TestDepth(t *testing.T) {
	t.Parallel()
	require.NoError(t, protobuf.Format{}.Unmarshal(nested(1000), new(structpb.ListValue)))
	require.Error(t, protobuf.Format{}.Unmarshal(nested(6000), new(structpb.ListValue)))
	require.NoError(t, protobuf.Format{RecursionLimit: 101}.Unmarshal(nested(50), new(structpb.ListValue)))
	require.Error(t, protobuf.Format{RecursionLimit: 99}.Unmarshal(nested(50), new(structpb.ListValue)))
	groups := []byte(strings.Repeat("\x0b", 1_000_000)) // of a field that isn't known
	require.Error(t, protobuf.Format{}.Unmarshal(groups, new(structpb.ListValue)))
}

// TestDepthOfWhatIsEncoded: what is encoded can be decoded, and only what can't be is refused.
func TestDepthOfWhatIsEncoded(t *testing.T) {
	t.Parallel()
	inList := func(v *structpb.Value) *structpb.Value {
		return structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{structpb.NewNullValue(), v}})
	}
	inStruct := func(v *structpb.Value) *structpb.Value {
		return structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"a": structpb.NewBoolValue(true), "": v}})
	}
	check := func(limit, depth int, wrap func(*structpb.Value) *structpb.Value) (refused bool) {
		value := structpb.NewNullValue()
		for range depth {
			value = wrap(value)
		}
		f := protobuf.Format{RecursionLimit: limit}
		data, err := f.Marshal(value)
		var deep *protobuf.DepthError
		if errors.As(err, &deep) {
			require.ErrorContains(t, err, "nested deeper than")
			data, err = proto.MarshalOptions{Deterministic: true}.Marshal(value)
			require.NoError(t, err)
			require.Error(t, f.Unmarshal(data, new(structpb.Value)), "limit %d, depth %d", limit, depth)
			return true
		}
		require.NoError(t, err)
		require.NoError(t, f.Unmarshal(data, new(structpb.Value)), "limit %d, depth %d", limit, depth)
		return false
	}
	for name, wrap := range map[string]func(*structpb.Value) *structpb.Value{"list": inList, "map": inStruct} {
		for limit := 1; limit < 40; limit++ {
			for depth := range limit + 2 {
				check(limit, depth, wrap)
			}
		}
		require.False(t, check(0, 3000, wrap), name)
		require.True(t, check(0, 6000, wrap), name)
	}
	require.False(t, check(0, 4999, inList))
	require.True(t, check(0, 5000, inList))

	es := store.New(memory.New(), &store.Options{Serializer: serializer.New(protobuf.Format{RecursionLimit: 3}, &serializer.Options{Types: registered()})})
	deep := &structpb.Struct{Fields: map[string]*structpb.Value{"a": inList(structpb.NewNullValue())}}
	_, err := es.Append(t.Context(), "s", store.Any, store.Event{Data: deep})
	var refused *protobuf.DepthError
	require.ErrorAs(t, err, &refused)
	require.ErrorIs(t, err, store.ErrInvalid)
}

func TestUnknownFields(t *testing.T) {
	t.Parallel()
	data, err := protobuf.Format{}.Marshal(&durationpb.Duration{Seconds: 1, Nanos: 2})
	require.NoError(t, err)
	kept, dropped := new(wrapperspb.Int64Value), new(wrapperspb.Int64Value) // which has no field 2
	require.NoError(t, protobuf.Format{}.Unmarshal(data, kept))
	require.NoError(t, protobuf.Format{DiscardUnknown: true}.Unmarshal(data, dropped))
	again, err := protobuf.Format{}.Marshal(kept)
	require.NoError(t, err)
	require.Equal(t, data, again)
	again, err = protobuf.Format{}.Marshal(dropped)
	require.NoError(t, err)
	require.Less(t, len(again), len(data))
}

func TestTextThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	_, err := protobuf.Format{}.Marshal(wrapperspb.String("\xff"))
	require.Error(t, err)
	require.Error(t, protobuf.Format{}.Unmarshal([]byte("\x0a\x01\xff"), new(wrapperspb.StringValue)))
}
