package page_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/internal/page"
)

func TestMemory(t *testing.T) {
	var m page.Memory
	require.Equal(t, []byte{}, m.Keep(nil))
	require.Equal(t, []byte{}, m.Keep([]byte{}))
	var kept, want [][]byte
	for round := range 3 {
		for _, n := range []int{0, 1, 100, 4000, 4096, 4097, 100_000, 5} {
			b := bytes.Repeat([]byte{byte(n + round)}, n)
			want = append(want, bytes.Clone(b))
			kept = append(kept, m.Keep(b))
			clear(b)
		}
	}
	for _, b := range kept {
		_ = append(b, 0xff) // must not reach another
	}
	require.Equal(t, want, kept)
	require.Equal(t, "a", m.String([]byte("a")))
	require.Equal(t, "b", m.String([]byte("b")))
	require.Zero(t, testing.AllocsPerRun(10, func() { m.String([]byte("a")) }))
}
