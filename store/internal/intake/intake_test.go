package intake

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func page(first, last int64) Page[int64] {
	p := Page[int64]{Last: last}
	for n := first; n <= last; n++ {
		p.Events = append(p.Events, n)
	}
	return p
}

func newIntake(l Limits) *Intake[int64] {
	in := New(true, l, func(list []int64) int { return 10 * len(list) })
	in.Begin(0)
	return in
}

// TestInbox: what is offered is kept if the subscription has read to the end before, and if it fits.
func TestInbox(t *testing.T) {
	t.Parallel()
	type step struct {
		do            string
		first, last   int64
		wake, tooSlow bool
		behind        bool
		filled        bool
	}
	for _, c := range []struct {
		name   string
		limits Limits
		steps  []step
	}{
		{"behind", Limits{Events: 4, Bytes: 1000}, []step{
			{do: "offer", first: 1, last: 2, behind: true},
			{do: "read"},
			{do: "offer", first: 3, last: 4, wake: true, filled: true},
			{do: "miss", behind: true},
		}},
		{"full", Limits{Events: 4, Bytes: 1000}, []step{
			{do: "read"},
			{do: "offer", first: 1, last: 4, wake: true, filled: true},
			{do: "offer", first: 5, last: 5, wake: true, behind: true},
			{do: "offer", first: 6, last: 6, behind: true},
		}},
		{"full of bytes", Limits{Events: 4, Bytes: 25}, []step{
			{do: "read"},
			{do: "offer", first: 1, last: 3, wake: true, filled: true}, // alone it is kept, whatever its size
			{do: "offer", first: 4, last: 4, wake: true, behind: true},
		}},
		{"too slow", Limits{Events: 4, Bytes: 1000, TooSlow: true}, []step{
			{do: "offer", first: 1, last: 3, behind: true},
			{do: "offer", first: 4, last: 4, behind: true},
			{do: "offer", first: 5, last: 5, wake: true, tooSlow: true, behind: true},
		}},
		{"not too slow, since it reads", Limits{Events: 4, Bytes: 1000, TooSlow: true}, []step{
			{do: "offer", first: 1, last: 4, behind: true},
			{do: "read"},
			{do: "offer", first: 5, last: 8, wake: true, filled: true},
			{do: "take", first: 5, last: 7, filled: true},
			{do: "offer", first: 9, last: 11, wake: true, filled: true},
			{do: "offer", first: 12, last: 12, wake: true, tooSlow: true, behind: true},
		}},
		{"too slow by news", Limits{Events: 4, Bytes: 1000, TooSlow: true}, []step{
			{do: "read"},
			{do: "news", last: 4, behind: true},
			{do: "news", last: 1, tooSlow: true, behind: true},
		}},
		{"news", Limits{Events: 4, Bytes: 1000}, []step{
			{do: "read"},
			{do: "news", last: 5, behind: true},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := newIntake(c.limits)
			for i, s := range c.steps {
				var wake, tooSlow bool
				switch s.do {
				case "offer":
					wake, tooSlow = in.Offer(page(s.first, s.last))
				case "news":
					tooSlow = in.News(int(s.last))
				case "read":
					in.Read()
				case "miss":
					in.Miss()
				case "take":
					p := in.Take(int(s.last - s.first + 1))
					assert.Equal(t, page(s.first, s.last).Events, p.Events, "step %d", i+1)
					assert.Zero(t, p.Last, "only the rest of a page is up to its last number")
				}
				assert.Equal(t, s.wake, wake, "step %d: wake", i+1)
				assert.Equal(t, s.tooSlow, tooSlow, "step %d: too slow", i+1)
				assert.Equal(t, s.behind, in.Behind(), "step %d: behind", i+1)
				assert.Equal(t, s.filled, in.Filled(), "step %d: filled", i+1)
			}
		})
	}
}

// TestLooked: what a look at the stream means.
func TestLooked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		stream   int64 // that numbers count in
		found    Stream
		received int64
		want     Verdict
		differs  bool
		stays    int64 // the stream that numbers count in then
		behind   bool
	}{
		{"the same", 5, Stream{ID: 5, Version: 3, There: true}, 3, Same, false, 5, false},
		{"more of it", 5, Stream{ID: 5, Version: 4, There: true}, 3, Same, true, 5, true},
		{"it is there now", 0, Stream{ID: 5, Version: 2, There: true}, 0, Same, true, 5, true},
		{"it is there, and empty", 0, Stream{ID: 5, There: true}, 0, Same, true, 5, false},
		{"another", 5, Stream{ID: 6, Version: 3, There: true}, 3, Fresh, true, 6, true},
		{"gone", 5, Stream{}, 3, Absent, true, 5, false},
		{"deleted", 5, Stream{ID: 5, Version: 3, There: true, Deleted: true}, 3, Deleted, true, 5, false},
		{"shorter", 5, Stream{ID: 5, Version: 2, There: true}, 3, Short, true, 5, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := New(false, Limits{Events: 4, Bytes: 1000}, func([]int64) int { return 0 })
			in.Begin(c.stream)
			in.Read()
			assert.Equal(t, c.differs, in.Differs(c.found, c.received), "differs")
			assert.True(t, in.InDoubt())
			in.Look()
			assert.Equal(t, c.want, in.Looked(c.found, c.received))
			assert.Equal(t, c.stays, in.Stream())
			assert.Equal(t, c.behind, in.Behind(), "behind")
			assert.False(t, in.InDoubt())
		})
	}
}

// TestSaw: numbers that begin anew put the stream in doubt.
func TestSaw(t *testing.T) {
	t.Parallel()
	in := New(false, Limits{}, func([]int64) int { return 0 })
	in.Begin(5)
	in.Look()
	for i, s := range []struct {
		first, last, received int64
		doubt                 bool
	}{{1, 3, 0, false}, {4, 5, 3, false}, {5, 6, 5, true}, {7, 8, 6, false}, {1, 1, 8, true}} {
		assert.Equal(t, s.doubt, in.Saw(s.first, s.last, s.received), "step %d", i+1)
		assert.Equal(t, s.doubt, in.InDoubt(), "step %d", i+1)
		in.Look()
	}
}

// TestOvertaken: a subscription that took the end of a standby for the end reads on.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	in := newIntake(Limits{Events: 4, Bytes: 1000})
	assert.False(t, in.Overtaken(5, 3), "it reads anyway")
	in.Read()
	assert.False(t, in.Overtaken(3, 3))
	assert.True(t, in.Overtaken(5, 3))
	assert.True(t, in.Behind())
	in.Read()
	in.Offer(page(4, 5))
	assert.False(t, in.Overtaken(5, 3), "it is on its way")
}

// TestProof: whether a page follows what was seen.
func TestProof(t *testing.T) {
	t.Parallel()
	seen := func(number int64, id byte) Seen { return Seen{Number: number, ID: [16]byte{id}} }
	for _, c := range []struct {
		name           string
		seen, at, last Seen
		follows        bool
		then           Seen
	}{
		{"nothing was seen", Seen{}, Seen{}, seen(2, 2), true, seen(2, 2)},
		{"it is in its place", seen(2, 2), seen(2, 2), seen(4, 4), true, seen(4, 4)},
		{"it is not shown", seen(2, 2), Seen{}, seen(4, 4), true, seen(4, 4)},
		{"another number is shown", seen(2, 2), seen(3, 3), seen(4, 4), true, seen(4, 4)},
		{"another event is in its place", seen(2, 2), seen(2, 9), seen(4, 4), false, seen(2, 2)},
		{"an older page", seen(4, 4), Seen{}, seen(2, 2), true, seen(4, 4)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var p Proof
			p.Begin(c.seen, true)
			assert.Equal(t, c.follows, p.Follow(c.at, c.last))
			assert.Equal(t, c.then, p.Seen())
			assert.True(t, p.Unproven())
			p.Prove()
			assert.False(t, p.Unproven())
			p.Doubt()
			asked, ok := p.Recall()
			assert.Equal(t, c.then, asked)
			assert.True(t, ok)
			_, ok = p.Recall()
			assert.False(t, ok, "it is asked about once")
			p.Forget()
			assert.True(t, p.Seen().IsZero())
		})
	}
}
