package partition

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestKey: these hashes choose partitions in databases that exist, so they never change.
func TestKey(t *testing.T) {
	t.Parallel()
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		key  string
		hash int64
		kept string
	}{
		{"", 8640173135264257171, ""},
		{"a", 4706636184713914157, "a"},
		{"account-7", 312868925583334292, "account-7"},
		{"Käse", 287329357282561135, "Käse"},
		{"a\x00b", 6177947987196938005, "ab #ab78f5eca36d0e2b"},
		{"\xff", 999427759878231147, " #1bbd5c813c69a8d7"},
		{x(1000), 1432454054326338397, x(1000)},
		{x(1001), 3676012742613114150, x(125) + " #6607a439e2873a4c"},
		{x(124) + "é" + x(1000), 0, x(124) + "é #"},
	} {
		kept, hash := Key(c.key)
		if c.hash == 0 { // the cut is not within a character
			assert.True(t, strings.HasPrefix(kept, c.kept), kept)
			continue
		}
		assert.Equal(t, c.hash, hash, "%.20q", c.key)
		assert.Equal(t, c.kept, kept, "%.20q", c.key)
	}
}

func TestShare(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		members string
		me      string
		n       int
		want    []int
	}{
		{"a", "a", 3, []int{0, 1, 2}},
		{"b a", "a", 3, []int{0, 2}},
		{"b a", "b", 3, []int{1}},
		{"c b a", "c", 2, nil},
		{"b a", "c", 3, nil},
		{"", "a", 3, nil},
	} {
		assert.Equal(t, c.want, Share(strings.Fields(c.members), c.me, c.n), "%s of %s", c.me, c.members)
	}
}

// TestShares: each partition is in one share, and shares differ by one at most.
func TestShares(t *testing.T) {
	t.Parallel()
	for members := 1; members <= 5; members++ {
		for n := 1; n <= 12; n++ {
			list := make([]string, members)
			for m := range list {
				list[m] = fmt.Sprint(members - m)
			}
			seen := map[int]int{}
			for _, me := range list {
				share := Share(list, me, n)
				assert.InDelta(t, float64(n)/float64(members), float64(len(share)), 0.99)
				for _, p := range share {
					seen[p]++
				}
			}
			assert.Len(t, seen, n)
			assert.Equal(t, fmt.Sprint(members), list[0], "members stay as they are")
		}
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	at := func(stream int64, checkpoints ...int64) (list []At) {
		for p, c := range checkpoints {
			list = append(list, At{p, c, stream})
		}
		return list
	}
	for name, c := range map[string]struct {
		n          int
		were       []At
		before     []Layout
		after      []Layout
		checkpoint int64
		streamID   int64
		err        error
	}{
		"all at the same place: nothing is left out": {
			n: 2, were: at(7, 5, 5), checkpoint: 5, streamID: 7,
		},
		"one is ahead": {
			n: 2, were: at(7, 9, 5), after: []Layout{{7, []int64{9, 5}}}, checkpoint: 5, streamID: 7,
		},
		"in any order": {
			n: 2, were: []At{{1, 5, 7}, {0, 9, 7}}, after: []Layout{{7, []int64{9, 5}}}, checkpoint: 5, streamID: 7,
		},
		"an earlier layout that still counts stays, and comes first": {
			n: 2, were: at(7, 9, 5), before: []Layout{{7, []int64{6}}},
			after: []Layout{{7, []int64{6}}, {7, []int64{9, 5}}}, checkpoint: 5, streamID: 7,
		},
		"an earlier layout that was passed is dropped": {
			n: 2, were: at(7, 6, 6), before: []Layout{{7, []int64{6, 3}}}, checkpoint: 6, streamID: 7,
		},
		"the stream was created again: what is of the old one is dropped": {
			n: 2, were: []At{{0, 9, 7}, {1, 2, 8}}, before: []Layout{{7, []int64{20}}},
			after: []Layout{{8, []int64{0, 2}}}, checkpoint: 0, streamID: 8,
		},
		"nothing read yet": {
			n: 3, were: at(0, 0, 0, 0),
		},
		"a partition is missing": {
			n: 2, were: at(7, 5), before: []Layout{{7, []int64{6}}}, err: ErrMissing,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			after, checkpoint, streamID, err := Next(c.n, c.were, c.before)
			assert.Equal(t, c.err, err)
			assert.Equal(t, c.after, after)
			assert.Equal(t, c.checkpoint, checkpoint)
			assert.Equal(t, c.streamID, streamID)
		})
	}
}

func TestFurthest(t *testing.T) {
	t.Parallel()
	assert.Zero(t, Furthest(0, nil))
	assert.EqualValues(t, 9, Furthest(9, []Layout{{7, []int64{3, 4}}}))
	assert.EqualValues(t, 10, Furthest(9, []Layout{{7, []int64{3, 10}}, {7, []int64{1}}}))
}

func TestChooser(t *testing.T) {
	t.Parallel()
	assert.True(t, Chooser{Partitions: 1}.All())
	assert.False(t, Chooser{Partitions: 2}.All())
	c := Chooser{Partition: 1, Partitions: 2, Before: []Layout{{7, []int64{10, 20, 30}}, {7, []int64{5}}}}
	assert.False(t, c.All())
	assert.False(t, Chooser{Partitions: 1, Before: c.Before}.All())
	for _, e := range []struct {
		hash, number, streamID int64
		mine                   bool
		why                    string
	}{
		{2, 99, 7, false, "it is the other partition's"},
		{3, 5, 7, false, "both layouts had it"},
		{3, 10, 7, false, "the first of three had it"},
		{3, 11, 7, true, "nobody had it"},
		{5, 30, 7, false, "the third of three had it"},
		{5, 30, 8, true, "that was another stream"},
	} {
		assert.Equal(t, e.mine, c.Mine(e.hash, e.number, e.streamID), e.why)
	}
}

// TestExactlyOnce: however often the number of partitions changes, and wherever the partitions are then, each event is applied by
// one partition of one generation, and events of a key are applied in order.
func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	const events, keys, streamID = 200, 10, 7
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		hashes := make([]int64, events+1)
		for n := range hashes {
			_, hashes[n] = Key(fmt.Sprint(rnd.IntN(keys)))
		}
		applied, last := map[int64]int{}, map[int64]int64{}
		at, before := []At{{0, 0, streamID}}, []Layout(nil)
		run := func(p, to int64) {
			c := Chooser{int(p), len(at), before}
			for number := at[p].Checkpoint + 1; number <= to; number++ {
				if hash := hashes[number]; c.Mine(hash, number, streamID) {
					applied[number]++
					require.Greater(t, number, last[hash], "seed %d: in order", seed)
					last[hash] = number
				}
			}
			at[p].Checkpoint = max(at[p].Checkpoint, to)
		}
		for range rnd.IntN(6) {
			for p := range at {
				run(int64(p), at[p].Checkpoint+rnd.Int64N(events-at[p].Checkpoint+1))
			}
			after, checkpoint, id, err := Next(len(at), at, before)
			require.NoError(t, err)
			require.EqualValues(t, streamID, id)
			at, before = make([]At, 1+rnd.IntN(5)), after
			for p := range at {
				at[p] = At{p, checkpoint, id}
			}
		}
		for p := range at {
			run(int64(p), events)
		}
		for number := int64(1); number <= events; number++ {
			require.Equal(t, 1, applied[number], "seed %d: event %d", seed, number)
		}
	}
}
