package zstd_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	lib "github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/msgpack"
	"github.com/eventstore-go/eventstore/serializer/zstd"
	"github.com/eventstore-go/eventstore/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type letter struct {
	Text string `json:"text"`
	Size int    `json:"size"`
}

func registered() *serializer.Types {
	types := serializer.NewTypes()
	serializer.Register[letter](types, "letter")
	return types
}

// noise does not compress.
func noise(n int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return data
}

func encode(t *testing.T, c *zstd.Coding, data []byte) ([]byte, bool) {
	t.Helper()
	kept := bytes.Clone(data)
	coded, applied, err := c.Encode(serializer.Plain{EventType: "letter", Data: data})
	require.NoError(t, err)
	require.Equal(t, kept, data)
	return coded, applied
}

func TestAppliesTo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opts *zstd.Options
		data []byte
		want bool
	}{
		"nothing":                  {nil, nil, false},
		"below the threshold":      {nil, make([]byte, 1023), false},
		"at the threshold":         {nil, make([]byte, 1024), true},
		"a threshold of its own":   {&zstd.Options{Threshold: 100}, make([]byte, 100), true},
		"below it":                 {&zstd.Options{Threshold: 100}, make([]byte, 99), false},
		"noise":                    {nil, noise(10_000), false},
		"as large as allowed":      {&zstd.Options{MaxSize: 4096}, make([]byte, 4096), true},
		"larger":                   {&zstd.Options{MaxSize: 4096}, make([]byte, 4097), false},
		"one byte":                 {&zstd.Options{Threshold: 1}, make([]byte, 1), false},
		"larger than any window":   {&zstd.Options{Level: 22}, make([]byte, 20<<20), true},
		"many blocks, one segment": {&zstd.Options{Level: 1}, bytes.Repeat([]byte("many blocks"), 100_000), true},
	} {
		coding := zstd.New(c.opts)
		coded, applied := encode(t, coding, c.data)
		require.Equal(t, c.want, applied, name)
		if applied {
			require.Less(t, len(coded), len(c.data), name)
			data, err := coding.Decode("letter", coded)
			require.NoError(t, err, name)
			require.True(t, bytes.Equal(c.data, data), name)
		}
	}
}

func TestMistakesPanic(t *testing.T) {
	t.Parallel()
	for _, o := range []zstd.Options{{Threshold: -1}, {Level: -1}, {Level: 23}, {MaxSize: -1}, {MaxSize: 1023}} {
		require.Panics(t, func() { zstd.New(&o) }, "%+v", o)
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	codings := map[int]*zstd.Coding{}
	for _, level := range []int{1, 3, 7, 22} {
		codings[level] = zstd.New(&zstd.Options{Level: level, Threshold: 1})
	}
	rapid.Check(t, func(t *rapid.T) {
		c := codings[rapid.SampledFrom([]int{1, 3, 7, 22}).Draw(t, "level")]
		word := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "word")
		data := bytes.Repeat(word, rapid.IntRange(1, 500).Draw(t, "times"))
		coded, applied, err := c.Encode(serializer.Plain{Data: data})
		require.NoError(t, err)
		if !applied {
			return
		}
		kept := bytes.Clone(coded)
		got, err := c.Decode("", coded)
		require.NoError(t, err)
		require.Equal(t, kept, coded)
		clear(coded) // it must not be kept
		require.True(t, bytes.Equal(data, got))
	})
}

// TestMixed appends with all combinations of formats and codings to one stream, and reads all with each of them.
func TestMixed(t *testing.T) {
	t.Parallel()
	json, mp := serializer.JSONFormat{}, msgpack.Format{UseJSONTags: true}
	low, high := zstd.New(&zstd.Options{Threshold: 50, Level: 1}), zstd.New(&zstd.Options{Level: 10})
	rapid.Check(t, func(t *rapid.T) {
		backend := memory.New()
		var stores []*store.Store
		for _, o := range []struct {
			format serializer.Format
			o      serializer.Options
		}{
			{json, serializer.Options{Formats: []serializer.Format{mp}, OnlyDecode: []serializer.Coding{low}}},
			{mp, serializer.Options{Formats: []serializer.Format{json}, OnlyDecode: []serializer.Coding{high}}},
			{json, serializer.Options{Formats: []serializer.Format{mp}, Codings: []serializer.Coding{low}}},
			{mp, serializer.Options{Formats: []serializer.Format{json}, Codings: []serializer.Coding{high}}},
		} {
			o.o.Types = registered()
			s := serializer.New(o.format, &o.o)
			stores = append(stores, store.New(backend, &store.Options{Serializer: s, MetadataSerializer: s}))
		}
		var want []letter
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(stores)-1), 1, 30).Draw(t, "writers") {
			l := letter{strings.Repeat(rapid.StringN(0, 20, -1).Draw(t, "text"), rapid.IntRange(0, 100).Draw(t, "times")), i}
			want = append(want, l)
			_, err := stores[i].Append(t.Context(), "letters", store.Any, store.Event{Data: l, Metadata: map[string]string{"copy": l.Text}})
			require.NoError(t, err)
		}
		for _, es := range stores {
			var got []letter
			for e, err := range es.Stream(t.Context(), "letters", nil) {
				require.NoError(t, err)
				l, err := store.Decode[any](e)
				require.NoError(t, err)
				got = append(got, l.(letter))
				var metadata map[string]string
				require.NoError(t, e.DecodeMetadata(&metadata))
				require.Equal(t, l.(letter).Text, metadata["copy"])
			}
			require.Equal(t, want, got)
		}
		without := store.New(backend, &store.Options{Serializer: serializer.New(json, &serializer.Options{Types: registered(), Formats: []serializer.Format{mp}})})
		for e, err := range without.Stream(t.Context(), "letters", nil) {
			require.NoError(t, err)
			if _, err = store.Decode[any](e); strings.Contains(strings.Split(e.ContentType, ",")[0], "+zstd") {
				require.ErrorIs(t, err, store.ErrContentType)
			} else {
				require.NoError(t, err)
			}
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	c := zstd.New(nil)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			data := []byte(strings.Repeat(fmt.Sprint("letter ", i), 1000))
			for range 50 {
				coded, applied, err := c.Encode(serializer.Plain{Data: data})
				if err != nil || !applied {
					t.Errorf("applied %v, %v", applied, err)
				}
				if got, err := c.Decode("", coded); err != nil || !bytes.Equal(data, got) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			}
		})
	}
	wg.Wait()
}

// bombs are short, and decompress to 8 megabytes.
func bombs(tb testing.TB) map[string][]byte {
	tb.Helper()
	zeroes := make([]byte, 8<<20)
	single, err := lib.NewWriter(nil, lib.WithSingleSegment(true))
	require.NoError(tb, err)
	plain, err := lib.NewWriter(nil, lib.WithWindowSize(1<<20))
	require.NoError(tb, err)
	return map[string][]byte{
		"one segment":        single.EncodeAll(zeroes, nil),
		"more of them":       plain.EncodeAll(zeroes, nil),
		"many frames":        bytes.Repeat(plain.EncodeAll(zeroes[:1<<20], nil), 8),
		"of no known length": repeated(64),
	}
}

// repeated is a frame that doesn't say how long it is: blocks of 128 KB, each written in four bytes as a zero repeated.
func repeated(blocks int) []byte {
	const block, repeat = 128 << 10, 1 << 1
	data := []byte("\x28\xb5\x2f\xfd\x00\x50")
	for i := range blocks {
		header := block<<3 | repeat
		if i == blocks-1 {
			header |= 1
		}
		data = append(data, byte(header), byte(header>>8), byte(header>>16), 0)
	}
	return data
}

func TestBombs(t *testing.T) {
	t.Parallel()
	small, large := zstd.New(&zstd.Options{MaxSize: 4 << 20}), zstd.New(&zstd.Options{MaxSize: 8 << 20})
	var tooLarge *zstd.TooLargeError
	for name, data := range bombs(t) {
		_, err := small.Decode("", data)
		require.ErrorAs(t, err, &tooLarge, name)
		require.Equal(t, 4<<20, tooLarge.MaxSize)
		require.ErrorContains(t, err, "more than 4194304 bytes")
		got, err := large.Decode("", data)
		require.NoError(t, err, name)
		require.Len(t, got, 8<<20)
	}
	_, err := zstd.New(nil).Decode("", repeated(store.MaxData>>17+1))
	require.ErrorAs(t, err, &tooLarge, "by default, it is what a store takes")
}

func TestBytesThatDoNotDecode(t *testing.T) {
	t.Parallel()
	c := zstd.New(nil)
	good, applied := encode(t, c, []byte(strings.Repeat("a letter, ", 1000)))
	require.True(t, applied)
	for i := range good {
		_, err := c.Decode("", good[:i])
		require.Error(t, err, "%d bytes of it", i)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		if data, err := c.Decode("", bad); err == nil {
			require.Equal(t, strings.Repeat("a letter, ", 1000), string(data), "byte %d: the checksum has found nothing", i)
		}
	}
	for name, data := range map[string]string{
		"nothing": "", "JSON": `{"a":1}`, "more behind it": string(good) + "x", "a frame to skip": "\x50\x2a\x4d\x18\x01\x00\x00\x00x",
		"long by its header": "\x28\xb5\x2f\xfd\xa0\x00\x00\x00\x03\x01\x00\x00",
	} {
		_, err := c.Decode("", []byte(data))
		require.Error(t, err, name)
	}
}
