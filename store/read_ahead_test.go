package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// numbered is a storage of all events at some positions, which reads two pages at a time.
type numbered struct {
	Storage
	positions []int64
	failAt    int64 // a page that holds it can't be read

	gate     chan struct{} // closed: pages from slowFrom on, counted from 1, are returned
	slowFrom int64
	reads    atomic.Int64
	mu       sync.Mutex
	running  int
	most     int // at a time
}

func (n *numbered) ParallelReads() int { return 2 }

func (n *numbered) ReadAll(_ context.Context, r ReadRequest) (page Part, err error) {
	read := n.reads.Add(1)
	n.mu.Lock()
	n.running++
	n.most = max(n.most, n.running)
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.running--
	}()
	if n.gate != nil && read >= n.slowFrom {
		<-n.gate
	}
	positions := slices.Clone(n.positions)
	if r.Backward {
		slices.Reverse(positions)
	}
	for _, p := range positions {
		if len(page.Events) < r.Limit && (r.Backward && p <= r.From || !r.Backward && p >= r.From) {
			if p == n.failAt {
				return Part{}, errTrap
			}
			page.Events = append(page.Events, Recorded{Number: p})
		}
	}
	return page, nil
}

var errTrap = errors.New("trap")

func upTo(n int64, gone ...int64) (list []int64) {
	for i := int64(1); i <= n; i++ {
		if !slices.Contains(gone, i) {
			list = append(list, i)
		}
	}
	return list
}

// TestReadAhead: reading ahead changes nothing in what is read, and never reads far beyond it.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 2, 3, 10, 100} {
		for _, positions := range [][]int64{nil, upTo(1), upTo(9), upTo(10), upTo(50, 1, 2, 3, 20, 21, 22, 23, 24, 40), upTo(40, 7)} {
			for _, limit := range []int{0, 1, 5, 12} {
				for _, backward := range []bool{false, true} {
					storage := &numbered{positions: positions}
					var got []int64
					for e, err := range New(storage, nil).All(t.Context(), &ReadOptions{PageSize: size, Limit: limit, Backward: backward}) {
						require.NoError(t, err)
						got = append(got, e.Number)
					}
					want := slices.Clone(positions)
					if backward {
						slices.Reverse(want)
					}
					if limit > 0 {
						want = want[:min(limit, len(want))]
					}
					require.Equal(t, want, append(want[:0:0], got...), "size %d, limit %d, backward %v", size, limit, backward)
					require.LessOrEqual(t, storage.most, 2)
					require.Zero(t, storage.running)
					pages := len(want)/size + 1
					require.LessOrEqual(t, int(storage.reads.Load()), 3*pages+2)
				}
			}
		}
	}
}

// TestRoundStream: the end of a stream of as many events as a page has by default is seen at once.
func TestRoundStream(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{DefaultPageSize - 1, DefaultPageSize, DefaultPageSize + 1} {
		storage := &numbered{positions: upTo(n)}
		var got int64
		for e, err := range New(storage, nil).All(t.Context(), nil) {
			require.NoError(t, err)
			got++
			require.Equal(t, got, e.Number)
		}
		require.Equal(t, n, got)
		require.Equal(t, map[bool]int64{true: 1, false: 2}[n <= DefaultPageSize], storage.reads.Load())
		page, err := New(storage, nil).Page(t.Context(), All, nil)
		require.NoError(t, err)
		require.Len(t, page, min(int(n), DefaultPageSize), "a page is what it is said to be")
	}
}

func TestReadAheadFails(t *testing.T) {
	t.Parallel()
	storage := &numbered{positions: upTo(100), failAt: 55}
	n := 0
	for e, err := range New(storage, nil).All(t.Context(), &ReadOptions{PageSize: 10}) {
		if err != nil {
			require.ErrorIs(t, err, errTrap)
			require.Equal(t, 50, n, "after what is before it")
			return
		}
		n++
		require.EqualValues(t, n, e.Number)
	}
	require.Fail(t, "no error")
}

// TestReadAheadLeft: a loop that is left leaves nothing running; and pages are fetched while the loop's body runs.
func TestReadAheadLeft(t *testing.T) {
	t.Parallel()
	storage := &numbered{positions: upTo(100), slowFrom: 3, gate: make(chan struct{})}
	for e, err := range New(storage, nil).All(t.Context(), &ReadOptions{PageSize: 10}) {
		require.NoError(t, err)
		if e.Number == 11 {
			time.AfterFunc(20*time.Millisecond, func() { close(storage.gate) })
			for storage.reads.Load() < 4 { // the second page, and two behind it
				continue
			}
			break
		}
	}
	assert.Zero(t, storage.running)
	assert.EqualValues(t, 4, storage.reads.Load())
}
