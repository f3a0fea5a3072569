package zstd_test

import (
	"bytes"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/zstd"
)

// allocated returns how many bytes f allocated. Other goroutines must be still.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// FuzzDecode: no bytes make it panic, allocate more than a small multiple of MaxSize, or return more than that.
func FuzzDecode(f *testing.F) {
	const maxSize = 1 << 20
	c := zstd.New(&zstd.Options{MaxSize: maxSize})
	for _, text := range []string{strings.Repeat("a letter, ", 200), string(noise(100)) + strings.Repeat("\x00", 2000)} {
		coded, _, err := c.Encode(serializer.Plain{Data: []byte(text)})
		require.NoError(f, err)
		f.Add(coded)
	}
	for _, data := range bombs(f) {
		f.Add(data[:min(len(data), 1000)])
	}
	f.Add([]byte("\x28\xb5\x2f\xfd\xa0\x00\x00\x00\x03\x01\x00\x00"))
	f.Add([]byte("\x50\x2a\x4d\x18\x01\x00\x00\x00x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var got []byte
		n := allocated(func() { got, _ = c.Decode("letter", data) })
		require.LessOrEqual(t, len(got), maxSize)
		require.LessOrEqual(t, n, uint64(8*maxSize+4*len(data)))
	})
}

// FuzzRoundTrip: what is compressed decompresses.
func FuzzRoundTrip(f *testing.F) {
	c := zstd.New(&zstd.Options{Threshold: 1})
	f.Add([]byte("letter"), 1000)
	f.Add([]byte{0}, 1<<18)
	f.Fuzz(func(t *testing.T, word []byte, times int) {
		if times < 0 || len(word) > 0 && times > 1<<18/len(word) {
			return
		}
		data := bytes.Repeat(word, min(times, 1<<18))
		coded, applied, err := c.Encode(serializer.Plain{Data: data})
		require.NoError(t, err)
		if !applied {
			return
		}
		got, err := c.Decode("letter", coded)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got))
	})
}

// TestHeaderAlone is not parallel: it counts what is allocated.
func TestHeaderAlone(t *testing.T) {
	c := zstd.New(nil)
	_, err := c.Decode("letter", []byte("no frame"))
	require.Error(t, err)
	header := []byte("\x28\xb5\x2f\xfd\xa0\x00\x00\x00\x02\x01\x00\x00") // of 32 megabytes, and an empty block
	n := allocated(func() { _, err = c.Decode("letter", header) })
	require.Error(t, err)
	require.Less(t, n, uint64(1<<20), "it takes what the header says for true")
}
