package protobuf_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/eventstore-go/eventstore/serializer/protobuf"
)

// allocated returns how many bytes f allocated. Other goroutines must be still.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// FuzzUnmarshal: no bytes make it panic or allocate more than a small multiple of them, and what decodes encodes again.
func FuzzUnmarshal(f *testing.F) {
	example, err := structpb.NewStruct(map[string]any{"a": []any{1, "b", nil, true}, "b": map[string]any{}})
	require.NoError(f, err)
	for _, m := range []proto.Message{example, timestamppb.Now(), wrapperspb.String("text"), &fieldmaskpb.FieldMask{Paths: []string{"a", "b"}}} {
		data, err := proto.Marshal(m)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Add(nested(20))
	f.Add([]byte("\x0a\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, format := range []protobuf.Format{{}, {DiscardUnknown: true, RecursionLimit: 100}} {
			for _, m := range []proto.Message{
				new(structpb.Struct), new(structpb.ListValue), new(timestamppb.Timestamp), new(wrapperspb.StringValue),
				new(wrapperspb.BytesValue), new(fieldmaskpb.FieldMask),
			} {
				var err error
				n := allocated(func() { err = format.Unmarshal(data, m) })
				require.LessOrEqual(t, n, uint64(64<<10+400*len(data)), "%T", m)
				if err != nil {
					continue
				}
				again, err := format.Marshal(m)
				require.NoError(t, err)
				same := m.ProtoReflect().New().Interface()
				require.NoError(t, format.Unmarshal(again, same))
				stable, err := format.Marshal(same)
				require.NoError(t, err)
				require.Equal(t, again, stable)
			}
		}
	})
}
