package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pageOf is a page of n events from a number on.
func pageOf(from int64, n int) []Recorded {
	list := make([]Recorded, n)
	for i := range list {
		list[i].Number = from + int64(i)
	}
	return list
}

// TestPagesAreBoundedInBytes: partitions keep no more of large pages than there may be, and what is dropped is read again.
func TestPagesAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	const size = 1000
	p := &pages{bytes: 3 * size}
	read := func(from int64, limit int) ([]Recorded, int64, error) {
		list := pageOf(from, limit)
		list[0].Data = make([]byte, size)
		return list, from + int64(limit), nil
	}
	reads := 0
	get := func(from int64) {
		t.Helper()
		list, next, err := p.read(t.Context(), from, 10, func(limit int) ([]Recorded, int64, error) {
			reads++
			return read(from, limit)
		})
		require.NoError(t, err)
		require.Equal(t, from+10, next)
		require.Equal(t, from, list[0].Number)
		kept := 0
		for _, k := range p.kept {
			kept += sizeOf(k.list)
		}
		require.Equal(t, kept, p.size)
		require.LessOrEqual(t, kept, p.bytes)
	}
	for from := int64(1); from <= 101; from += 10 {
		get(from)
		get(from)
	}
	require.Equal(t, 11, reads, "each once")
	require.Len(t, p.kept, 3)
	get(1)
	require.Equal(t, 12, reads, "who is furthest behind reads alone")
}

func TestPagesAreReadOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &pages{}
		var reads atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for from := int64(1); from < 10_000; {
					list, next, err := p.read(t.Context(), from, readSize, func(limit int) ([]Recorded, int64, error) {
						reads.Add(1)
						time.Sleep(time.Millisecond)
						return pageOf(from, limit), from + int64(limit), nil
					})
					assert.NoError(t, err)
					assert.Equal(t, from, list[0].Number)
					from = next
				}
			})
		}
		wg.Wait()
		assert.EqualValues(t, 10, reads.Load())
		assert.LessOrEqual(t, len(p.kept), keptPages)

		_, next, err := p.read(t.Context(), 4321, readSize, func(limit int) ([]Recorded, int64, error) {
			return pageOf(4321, limit), 4321 + int64(limit), nil
		})
		require.NoError(t, err)
		assert.EqualValues(t, 5001, next, "who begins elsewhere comes to where the others are")

		time.Sleep(2 * keptFor)
		before := reads.Load()
		_, _, err = p.read(t.Context(), 9001, readSize, func(limit int) ([]Recorded, int64, error) {
			reads.Add(1)
			return pageOf(9001, limit), 10_001, nil
		})
		require.NoError(t, err)
		assert.Equal(t, before+1, reads.Load(), "what was read long ago is read again")
	})
}

// TestPagesEndIsNotShared: who waits for a page that turns out to be the end looks itself, since there may be more by now.
func TestPagesEndIsNotShared(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{"end": nil, "error": errors.New("the database is away")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &pages{}
				go p.read(t.Context(), 1, readSize, func(int) ([]Recorded, int64, error) { //nolint:errcheck // the other is looked at
					time.Sleep(time.Second / 2)
					return nil, 1, failure
				})
				synctest.Wait()
				list, next, err := p.read(t.Context(), 1, readSize, func(int) ([]Recorded, int64, error) { return pageOf(1, 3), 4, nil })
				require.NoError(t, err)
				assert.Len(t, list, 3)
				assert.EqualValues(t, 4, next)

				ctx, cancel := context.WithCancel(t.Context())
				go p.read(t.Context(), 4, readSize, func(int) ([]Recorded, int64, error) { //nolint:errcheck // the other is looked at
					time.Sleep(time.Hour)
					return nil, 4, nil
				})
				synctest.Wait()
				cancel()
				_, _, err = p.read(ctx, 4, readSize, nil)
				require.ErrorIs(t, err, context.Canceled)
				time.Sleep(time.Hour)
			})
		})
	}
}
