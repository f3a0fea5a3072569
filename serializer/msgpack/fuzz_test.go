package msgpack_test

import (
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	format "github.com/eventstore-go/eventstore/serializer/msgpack"
)

// allocated returns how many bytes f allocated. Other goroutines must be still.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// targets are places to decode into, of all the kinds that the library treats in a way of its own.
func targets() []any {
	return []any{
		new(any), new(placed), new(map[string]any), new(map[string]string), new(map[any]any), new(map[int]*item),
		new([]string), new([]any), new([]item), new([]byte), new([4]byte), new([4]int), new(string), new(int8), new(uint64),
		new(float32), new(bool), new(time.Time), new(time.Duration), new(**item),
	}
}

// FuzzUnmarshal: no bytes make it panic or allocate more than a small multiple of them, whatever they are decoded into, and
// what decodes encodes again.
func FuzzUnmarshal(f *testing.F) {
	seed, err := format.Format{UseJSONTags: true}.Marshal(placed{Total: 7, At: time.Unix(1, 1), Items: []item{{SKU: "a", Notes: map[string]any{"a": 1}}}})
	require.NoError(f, err)
	for _, data := range []string{
		string(seed), "\xc0", "\x81\x90\xc0", "\xd7\xff\xdf\xff\xff\xff\xff\x00\x00\x00", "\xdf\xff\xff\xff\xff", "\xdd\x00\x00\x00\x02\x01\x02",
		"\xdc\xff\xff", "\x91\xd6\xff\x8f\x00\x00\x00", "\x92\x01\x02", "\xc6\x00\x00\x00\x01x", "\x81\xa1a\xd6\xff\x81\xa1a\x01",
	} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, format := range formats() {
			into := targets()
			errs := make([]error, len(into))
			n := allocated(func() {
				for i := range into {
					errs[i] = format.Unmarshal(data, into[i])
				}
			})
			require.LessOrEqual(t, n, uint64(256<<10+400*len(into)*len(data)), "%+v", format)
			for i := range into {
				if errs[i] != nil {
					continue
				}
				again, err := format.Marshal(into[i])
				require.NoError(t, err, "%+v from %T", format, into[i])
				fresh := reflect.New(reflect.TypeOf(into[i]).Elem()).Interface()
				require.NoError(t, format.Unmarshal(again, fresh), "%+v into %T", format, fresh)
			}
		}
	})
}

// TestBrokenBytes is FuzzUnmarshal for bytes that are almost good.
func TestBrokenBytes(t *testing.T) {
	t.Parallel()
	good, err := format.Format{}.Marshal(placed{Total: 7, At: time.Unix(1, 1), Items: []item{{SKU: "a", Notes: map[string]any{"a": []any{1, nil}}}}})
	require.NoError(t, err)
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		data := append([]byte{}, good...)
		for range 1 + random.IntN(3) {
			data[random.IntN(len(data))] = byte(random.Uint32())
		}
		for _, into := range targets() {
			_ = format.Format{}.Unmarshal(data, into)
		}
	}
}
