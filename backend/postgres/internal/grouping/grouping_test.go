package grouping_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres/internal/grouping"
)

const patience = 50 * time.Millisecond

// script plays the caller of a group. An append is called by its stream and a number, "a1"; with a "!", two do not fit into a flush. A step is one of
//
//	join a1 = leading     its state after the step
//	leave a1 > b1 c1      who goes next
//	sent a1 b1 > c1
//	pass > a2: b1 c1      for each leader that is passed, who goes alone now: who goes next
//	refuse a1 = alone
//	quit a1 = last        or its state
//	wait 50ms             time goes by
type script struct {
	*testing.T
	g       *grouping.Group[string]
	now     time.Time
	appends map[string]*grouping.Append[string]
}

var states = map[grouping.State]string{
	grouping.Waiting: "waiting", grouping.Leading: "leading", grouping.Together: "together", grouping.Alone: "alone", grouping.Gone: "gone",
}

func names(list []*grouping.Append[string]) string {
	s := make([]string, len(list))
	for i, a := range list {
		s[i] = a.Of
	}
	return strings.Join(s, " ")
}

func (s *script) all(names string) (list []*grouping.Append[string]) {
	for _, name := range strings.Fields(names) {
		list = append(list, s.appends[name])
	}
	return list
}

func (s *script) step(line string) string {
	verb, rest, _ := strings.Cut(strings.Trim(strings.FieldsFunc(line, func(r rune) bool { return r == '=' || r == '>' })[0], " "), " ")
	a := s.appends[rest]
	switch verb {
	case "join":
		bytes := 10
		if strings.HasSuffix(rest, "!") {
			bytes = 600
		}
		a = s.g.Join(rest[:1], 1, bytes, s.now)
		a.Of, s.appends[rest] = rest, a
		assert.Equal(s, rest[:1], a.Stream())
		return "join " + rest + " = " + states[a.State()]
	case "leave":
		return "leave " + rest + " > " + names(s.g.Leave(a, s.now))
	case "sent":
		return "sent " + rest + " > " + names(s.g.Sent(s.all(rest), s.now))
	case "refuse":
		s.g.Refuse(a)
		return "refuse " + rest + " = " + states[a.State()]
	case "quit":
		if s.g.Quit(a) {
			assert.Equal(s, grouping.Together, a.State())
			return "quit " + rest + " = last"
		}
		return "quit " + rest + " = " + states[a.State()]
	case "pass":
		var passed []string
		for _, p := range s.g.Pass(s.now, patience) {
			passed = append(passed, names(p.Alone)+": "+names(p.Next))
		}
		return "pass > " + strings.Join(passed, ", ")
	case "wait":
		d, err := time.ParseDuration(rest)
		require.NoError(s, err)
		s.now = s.now.Add(d)
		return line
	}
	require.Fail(s, "no such step", line)
	return ""
}

// TestTransitions has each row of the table in the comment of Group.
func TestTransitions(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"an append that finds nothing under way leads":       `join a1 = leading; leave a1 >`,
		"as many lead as flushes are allowed":                `join a1 = leading; join b1 = leading; join c1 = waiting; leave b1 > c1; leave a1 >; leave c1 >`,
		"an append waits behind the leader of its stream":    `join a1 = leading; join a2 = waiting; leave a1 > a2; leave a2 >`,
		"an append waits behind one that waits":              `join a1 = leading; join b1 = leading; join c1 = waiting; join c2 = waiting; leave a1 > c1; leave b1 >; leave c1 > c2; leave c2 >`,
		"an append does not overtake one that did not fit":   `join a1 = leading; join b1 = leading; join c1 = waiting; join d1 = waiting; leave a1 > c1 d1; join c2! = waiting; join d2! = waiting; leave b1 >; sent c1 d1 > c2!; join d3 = waiting; leave c2! > d2!; leave d2! > d3; leave d3 >`,
		"those of different streams go together":             `join a1 = leading; join b1 = leading; join c1 = waiting; join d1 = waiting; leave a1 > c1 d1; leave b1 >; sent c1 d1 >`,
		"the second of a stream stays":                       `join a1 = leading; join b1 = leading; join c1 = waiting; join c2 = waiting; join d1 = waiting; leave a1 > c1 d1; leave b1 >; sent c1 d1 > c2; leave c2 >`,
		"the stream of a leader stays out of a flush":        `join a1 = leading; join b1 = leading; join b2 = waiting; join c1 = waiting; join d1 = waiting; leave a1 > c1 d1; sent c1 d1 >; leave b1 > b2; leave b2 >`,
		"the stream of a flush waits for it":                 `join a1 = leading; join b1 = leading; join c1 = waiting; join d1 = waiting; leave a1 > c1 d1; join c2 = waiting; leave b1 >; sent c1 d1 > c2; leave c2 >`,
		"a flush has at most so many members":                `join a1 = leading; join b1 = leading; join c1 = waiting; join d1 = waiting; join e1 = waiting; join f1 = waiting; leave a1 > c1 d1 e1; leave b1 > f1; leave f1 >; sent c1 d1 e1 >`,
		"one that was refused goes alone":                    `join a1 = leading; join b1 = leading; join c1 = waiting; join d1 = waiting; leave a1 > c1 d1; refuse c1 = alone; sent c1 d1 >; leave c1 >; leave b1 >`,
		"also when its flush has ended":                      `join a1 = leading; join b1 = leading; join c1 = waiting; join d1 = waiting; leave a1 > c1 d1; sent c1 d1 >; refuse c1 = alone; leave c1 >; leave b1 >`,
		"others of a stream to which one goes alone do, too": `join a1 = leading; join b1 = leading; join c1 = waiting; join d1 = waiting; leave a1 > c1 d1; refuse c1 = alone; join c2 = alone; leave c1 >; join c3 = alone; leave c2 >; leave c3 >; sent c1 d1 >; join c4 = leading; leave c4 >; leave b1 >`,
		"one that goes alone is not counted":                 `join a1 = leading; join b1 = leading; join c1 = waiting; join d1 = waiting; leave a1 > c1 d1; refuse c1 = alone; sent c1 d1 >; join e1 = leading; leave e1 >; leave b1 >; leave c1 >`,
		"a leader is not passed before its time":             `join a1 = leading; wait 49ms; join a2 = waiting; pass >; leave a1 > a2; leave a2 >`,
		"a leader that is passed makes room for others":      `join a1 = leading; join b1 = leading; wait 50ms; join c1 = waiting; pass > : c1, : ; leave a1 >; leave b1 >; leave c1 >`,
		"those behind a leader that is passed go alone":      `join a1 = leading; join a2 = waiting; join b1 = leading; join a3 = waiting; join c1 = waiting; wait 20ms; leave b1 > c1; wait 30ms; join d1 = waiting; join e1 = waiting; pass > a2 a3: d1 e1; join a4 = alone; leave a1 >; leave a2 >; leave a3 >; leave a4 >; leave c1 >; sent d1 e1 >; join a5 = leading; leave a5 >`,
		"a leader is passed once":                            `join a1 = leading; wait 50ms; pass > : ; pass >; join b1 = leading; leave b1 >; leave a1 >`,
		"the time of a leader begins when it leads":          `join a1 = leading; join a2 = waiting; wait 40ms; leave a1 > a2; wait 40ms; pass >; wait 10ms; pass > : ; leave a2 >`,
		"one that waits may give up":                         `join a1 = leading; join a2 = waiting; join a3 = waiting; quit a2 = gone; leave a1 > a3; leave a3 >`,
		"some of a flush may give up":                        `join a1 = leading; join b1 = leading; join c1 = waiting; join d1 = waiting; leave a1 > c1 d1; leave b1 >; quit c1 = gone; sent c1 d1 >`,
		"the last of a flush ends it":                        `join a1 = leading; join b1 = leading; join c1 = waiting; join d1 = waiting; leave a1 > c1 d1; leave b1 >; quit c1 = gone; quit d1 = last; sent c1 d1 >`,
		"one that has been let go does not give up":          `join a1 = leading; join a2 = waiting; leave a1 > a2; quit a2 = leading; wait 50ms; join a3 = waiting; pass > a3: ; quit a3 = alone; leave a3 >; leave a2 >`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{T: t, now: time.Unix(0, 0), appends: map[string]*grouping.Append[string]{},
				g: grouping.New[string](grouping.Limits{Flushes: 2, Members: 3, Events: 100, Bytes: 1000})}
			for line := range strings.SplitSeq(text, ";") {
				require.Equal(t, strings.TrimSpace(line), strings.TrimSpace(s.step(strings.TrimSpace(line))))
			}
			assert.True(t, s.g.Idle(), "nothing is left behind")
		})
	}
}

// TestBounds: what goes into a flush is bounded, and what does not fit goes next.
func TestBounds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		waiting, events, bytes int // so many, each so large
		flushes                []int
	}{
		"members":               {25, 1, 1, []int{10, 10, 5}},
		"events":                {9, 30, 1, []int{3, 3, 3}},
		"bytes":                 {9, 1, 400, []int{2, 2, 2, 2, 1}},
		"one that is too large": {3, 1000, 1, []int{1, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Unix(0, 0)
			g := grouping.New[string](grouping.Limits{Flushes: 1, Members: 10, Events: 100, Bytes: 1000})
			first := g.Join("first", 1, 1, now)
			for i := range test.waiting {
				g.Join(fmt.Sprint(i), test.events, test.bytes, now)
			}
			var flushes []int
			for next := g.Leave(first, now); len(next) > 0; {
				flushes = append(flushes, len(next))
				if len(next) == 1 {
					next = g.Leave(next[0], now)
				} else {
					next = g.Sent(next, now)
				}
			}
			assert.Equal(t, test.flushes, flushes)
			assert.True(t, g.Idle())
		})
	}
}

// TestRandom plays many callers in any order, and checks what the comment of Group says.
func TestRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			c := &callers{T: t, g: grouping.New[int](limits), r: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(0, 0)}
			for range 300 {
				c.act()
				c.check()
			}
			for len(c.free) > 0 || len(c.flushes) > 0 {
				c.end()
				c.check()
			}
			require.True(t, c.g.Idle())
		})
	}
}

var limits = grouping.Limits{Flushes: 2, Members: 4, Events: 12, Bytes: 100}

type size struct{ events, bytes int }

type callers struct {
	*testing.T
	g       *grouping.Group[int]
	r       *rand.Rand
	now     time.Time
	sizes   []size                    // of all that have joined, which are called by their number
	waiting []*grouping.Append[int]   // in the order they came
	free    []*grouping.Append[int]   // lead, or go alone
	flushes [][]*grouping.Append[int] // under way
}

// act does one thing that a caller or a flush may do.
func (c *callers) act() {
	switch c.r.IntN(10) {
	case 0, 1, 2, 3:
		of := size{events: 1 + c.r.IntN(5), bytes: c.r.IntN(40)}
		a := c.g.Join(fmt.Sprint(c.r.IntN(6)), of.events, of.bytes, c.now)
		a.Of, c.sizes = len(c.sizes), append(c.sizes, of)
		if a.State() == grouping.Waiting {
			c.waiting = append(c.waiting, a)
		} else {
			c.free = append(c.free, a)
		}
	case 4:
		c.now = c.now.Add(time.Duration(c.r.IntN(30)) * time.Millisecond)
		for _, p := range c.g.Pass(c.now, patience) {
			for _, a := range p.Alone {
				c.gone(a, grouping.Alone)
				c.free = append(c.free, a)
			}
			c.next(p.Next)
		}
	case 5:
		c.giveUp()
	default:
		c.end()
	}
}

// end ends an append or a flush.
func (c *callers) end() {
	switch n := c.r.IntN(len(c.free) + len(c.flushes) + 1); {
	case n < len(c.free):
		a := c.free[n]
		c.free = slices.Delete(c.free, n, n+1)
		c.next(c.g.Leave(a, c.now))
	case n < len(c.free)+len(c.flushes):
		n -= len(c.free)
		f := c.flushes[n]
		c.flushes = slices.Delete(c.flushes, n, n+1)
		late := c.r.IntN(2) == 0
		refuse := func() {
			for _, a := range f {
				if a.State() == grouping.Together && a.Of%3 == 0 {
					c.g.Refuse(a)
					c.free = append(c.free, a)
				}
			}
		}
		if !late {
			refuse()
		}
		next := c.g.Sent(f, c.now)
		if late {
			refuse()
		}
		c.next(next)
	}
}

// giveUp has a caller who waits, for its turn or for a flush, give up.
func (c *callers) giveUp() {
	list := slices.Concat(append(c.flushes, c.waiting)...)
	list = slices.DeleteFunc(list, func(a *grouping.Append[int]) bool { return a.State() == grouping.Gone })
	if len(list) == 0 {
		return
	}
	a := list[c.r.IntN(len(list))]
	i := slices.Index(c.waiting, a)
	if i < 0 && slices.ContainsFunc(c.flushes, func(f []*grouping.Append[int]) bool {
		return slices.Contains(f, a) && !slices.ContainsFunc(f, func(b *grouping.Append[int]) bool { return b != a && b.State() == grouping.Together })
	}) {
		return // the last one waits until the flush has ended
	}
	require.False(c, c.g.Quit(a))
	if i >= 0 {
		c.waiting = slices.Delete(c.waiting, i, i+1)
	}
}

// next notes who goes.
func (c *callers) next(list []*grouping.Append[int]) {
	events, bytes := 0, 0
	for _, a := range list {
		events, bytes = events+c.sizes[a.Of].events, bytes+c.sizes[a.Of].bytes
		state := grouping.Together
		if len(list) == 1 {
			state = grouping.Leading
		}
		c.gone(a, state)
	}
	require.LessOrEqual(c, len(list), limits.Members)
	require.True(c, len(list) <= 1 || events <= limits.Events && bytes <= limits.Bytes, "a flush has its bounds")
	if len(list) == 1 {
		c.free = append(c.free, list...)
	} else if len(list) > 1 {
		c.flushes = append(c.flushes, list)
	}
}

// gone takes one out of those that wait: it must be the first of its stream.
func (c *callers) gone(a *grouping.Append[int], state grouping.State) {
	require.Equal(c, state, a.State())
	i := slices.IndexFunc(c.waiting, func(w *grouping.Append[int]) bool { return w.Stream() == a.Stream() })
	require.GreaterOrEqual(c, i, 0)
	require.Same(c, a, c.waiting[i], "the appends to a stream keep their order")
	c.waiting = slices.Delete(c.waiting, i, i+1)
}

func (c *callers) check() {
	busy := map[string]int{}
	n := len(c.flushes)
	for _, a := range c.free {
		if a.State() == grouping.Leading {
			busy[a.Stream()]++
			n++
		}
	}
	for _, f := range c.flushes {
		for _, a := range f {
			busy[a.Stream()]++
		}
	}
	for stream, n := range busy {
		require.Equal(c, 1, n, "appends to %s that lead or are in a flush", stream)
	}
	require.LessOrEqual(c, n, limits.Flushes)
	require.Equal(c, len(c.waiting), c.g.Waiting())
	require.True(c, n > 0 || len(c.waiting) == 0, "an append waits for nothing")
}
