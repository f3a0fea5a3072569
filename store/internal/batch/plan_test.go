package batch

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (t Todo) String() string {
	switch name := []string{"apply", "ask", "leave out", "put aside", "wait", "wait replaying", "postpone", "end"}[t.Do]; t.Do {
	case Apply:
		return fmt.Sprintf("%s %d, tried %d", name, t.N, t.Attempt)
	case Wait, WaitReplaying:
		return fmt.Sprintf("%s %d", name, t.Times)
	case End:
		return name
	default:
		return fmt.Sprintf("%s %d", name, t.Attempt)
	}
}

// answers are what a script may say, beside "left n" and "tried n".
var answers = map[string]func(*Plan){
	"applied":   func(p *Plan) { p.Applied(want / 2) },
	"slow":      func(p *Plan) { p.Applied(want + 1) },
	"fast":      func(p *Plan) { p.Applied(want/4 - 1) },
	"failed":    (*Plan).Failed,
	"refused":   (*Plan).Refused,
	"retry":     func(p *Plan) { p.Decided(Retry) },
	"skip":      func(p *Plan) { p.Decided(Skip) },
	"park":      func(p *Plan) { p.Decided(Park) },
	"settled":   (*Plan).Settled,
	"waited":    (*Plan).Waited,
	"postponed": (*Plan).Postponed,
}

const want = time.Second

// TestPlan: a script says what is left, what is answered, and after "->" what is to be done then.
func TestPlan(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		most   int
		parked bool
		script string
	}{
		"nothing": {1000, false, `
			left 0 -> end`},
		"batches grow while they are full and fast": {1000, false, `
			left 5000 -> apply 100, tried 0
			left 4900 fast -> apply 200, tried 0
			left 4700 fast -> apply 400, tried 0
			left 4300 applied -> apply 400, tried 0
			left 3900 fast -> apply 800, tried 0
			left 3100 fast -> apply 1000, tried 0
			left 2100 fast -> apply 1000, tried 0
			left 1100 slow -> apply 500, tried 0
			left 600 slow -> apply 250, tried 0
			left 10 applied -> apply 10, tried 0
			left 3000 fast -> apply 250, tried 0`},
		"batches have as many events as allowed": {7, false, `
			left 50 -> apply 7, tried 0
			left 43 fast -> apply 7, tried 0
			left 2 applied -> apply 2, tried 0
			left 0 slow -> end`},
		"a slow batch of one stays": {1, false, `
			left 2 -> apply 1, tried 0
			left 1 slow -> apply 1, tried 0`},
		"a batch that fails is halved down to the event": {8, false, `
			left 8 -> apply 8, tried 0
			left 8 failed -> apply 4, tried 0
			left 4 applied -> apply 4, tried 0
			left 4 failed -> apply 2, tried 0
			left 4 failed -> apply 1, tried 0
			left 4 failed -> ask 1
			left 4 retry -> wait replaying 1
			left 4 waited -> apply 1, tried 1
			left 4 failed -> ask 2
			left 4 retry -> wait replaying 2
			left 4 waited -> apply 1, tried 2
			left 3 fast -> apply 2, tried 0
			left 1 fast -> apply 1, tried 0
			left 1 failed -> ask 1`},
		"a batch that the database refuses is not halved": {8, false, `
			left 8 -> apply 8, tried 0
			left 8 refused -> wait 1
			left 8 waited -> apply 8, tried 0
			left 8 refused -> wait 2
			left 8 waited -> apply 8, tried 0
			left 4 applied -> apply 4, tried 0
			left 4 refused -> wait 1`},
		"waits of both kinds count together, attempts only failures": {1, false, `
			left 1 -> apply 1, tried 0
			left 1 refused -> wait 1
			left 1 waited -> apply 1, tried 0
			left 1 failed -> ask 1
			left 1 retry -> wait replaying 2
			left 1 waited -> apply 1, tried 1
			left 1 refused -> wait 3
			left 1 waited -> apply 1, tried 1
			left 1 failed -> ask 2`},
		"skip": {1, false, `
			left 2 -> apply 1, tried 0
			left 2 failed -> ask 1
			left 2 skip -> leave out 1
			left 1 settled -> apply 1, tried 0
			left 1 failed -> ask 1`},
		"park": {1, false, `
			left 2 -> apply 1, tried 0
			left 2 failed -> ask 1
			left 2 park -> put aside 1
			left 1 settled -> apply 1, tried 0`},
		"what can't be written is asked again": {1, false, `
			left 2 -> apply 1, tried 0
			left 2 failed -> ask 1
			left 2 park -> put aside 1
			left 2 refused -> wait 1
			left 2 waited -> apply 1, tried 1
			left 2 failed -> ask 2
			left 2 skip -> leave out 2
			left 2 refused -> wait 2
			left 2 waited -> apply 1, tried 2
			left 1 applied -> apply 1, tried 0`},
		"parked: retried later, others go on": {1, true, `
			left 3 -> apply 1, tried 0
			left 3 failed -> ask 1
			left 3 retry -> postpone 1
			left 2 postponed -> apply 1, tried 0
			left 1 applied -> apply 1, tried 0
			left 1 failed -> ask 1
			left 1 retry -> postpone 1
			left 0 postponed -> end`},
		"parked: attempts are counted from the release": {1, true, `
			left 2 tried 4 -> apply 1, tried 4
			left 2 failed -> ask 5
			left 2 retry -> postpone 5
			left 1 postponed -> apply 1, tried 0`},
		"parked: attempts are of an event alone": {2, true, `
			left 2 tried 4 -> apply 2, tried 0
			left 2 tried 4 failed -> apply 1, tried 4
			left 1 applied -> apply 1, tried 0`},
		"parked: the database's refusals keep all waiting": {1, true, `
			left 2 tried 1 -> apply 1, tried 1
			left 2 tried 1 refused -> wait 1
			left 2 tried 1 waited -> apply 1, tried 1`},
		"parked: skipped, others go on": {1, true, `
			left 2 -> apply 1, tried 0
			left 2 failed -> ask 1
			left 2 skip -> leave out 1
			left 1 settled -> apply 1, tried 0`},
		"parked: what can't be written is postponed": {1, true, `
			left 2 -> apply 1, tried 0
			left 2 failed -> ask 1
			left 2 park -> put aside 1
			left 2 refused -> postpone 1`},
		"parked again: the rest is read again": {1, true, `
			left 2 -> apply 1, tried 0
			left 2 failed -> ask 1
			left 2 park -> put aside 1
			left 1 settled -> end
			left 1 -> end`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := NewSize(c.most, want).Plan(c.parked)
			for line := range strings.Lines(strings.TrimSpace(c.script)) {
				line = strings.TrimSpace(line)
				events, todo, _ := strings.Cut(line, " -> ")
				left, tried := 0, 0
				words := strings.Fields(events)
				for n := 0; n < len(words); n++ {
					switch words[n] {
					case "left":
						n++
						_, err := fmt.Sscan(words[n], &left)
						require.NoError(t, err)
					case "tried":
						n++
						_, err := fmt.Sscan(words[n], &tried)
						require.NoError(t, err)
					default:
						require.Contains(t, answers, words[n])
						answers[words[n]](&p)
					}
				}
				require.Equal(t, todo, p.Next(left, tried).String(), line)
				require.Equal(t, todo, p.Next(left, tried).String(), "asked again: %s", line)
			}
		})
	}
}

// TestPlanBlocks: the new events behind one that has failed wait until it is dealt with; parked ones delay only their key.
func TestPlanBlocks(t *testing.T) {
	t.Parallel()
	for _, parked := range []bool{false, true} {
		p := NewSize(2, want).Plan(parked)
		p.Next(2, 0)
		assert.False(t, p.Blocks())
		p.Failed()
		assert.False(t, p.Blocks(), "it is not known which one has failed")
		p.Next(2, 0)
		p.Failed()
		assert.Equal(t, !parked, p.Blocks())
		p.Decided(Retry)
		assert.Equal(t, !parked, p.Blocks())
		p.Decided(Skip)
		p.Settled()
		assert.False(t, p.Blocks())
	}
}

// TestSizeIsShared: what a batch has taken is known to the plans of other lists.
func TestSizeIsShared(t *testing.T) {
	t.Parallel()
	s := NewSize(1000, want)
	outer := s.Plan(false)
	assert.Equal(t, 100, outer.Next(1000, 0).N)
	outer.Failed()
	inner := s.Plan(true)
	assert.Equal(t, 50, inner.Next(1000, 0).N)
	inner.Applied(0)
	assert.Equal(t, 100, outer.Next(1000, 0).N)
}

// TestPlanRandom: whatever the handler, the database and OnError do, each event is dealt with once and in order, is only asked about
// alone, and has its attempts counted from 1 on; and batches have from 1 to most events.
func TestPlanRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		most := 1 + rnd.IntN(300)
		p := NewSize(most, want).Plan(false)
		list := make([]int, rnd.IntN(1000))
		bad := map[int]int{} // how often each fails
		for n := range list {
			list[n] = n
			if rnd.IntN(20) == 0 {
				bad[n] = 1 + rnd.IntN(4)
			}
		}
		dealt, asked, waits := 0, 0, 0
		for steps := 0; ; steps++ {
			require.Less(t, steps, 100_000)
			todo := p.Next(len(list), 0)
			refused := todo.Do != End && rnd.IntN(10) == 0
			if todo.Do == Ask {
				require.Equal(t, asked+1, todo.Attempt)
				require.Positive(t, bad[list[0]], "it is the one that fails")
				asked++
				bad[list[0]]--
				p.Decided(Decision(rnd.IntN(3)))
				continue
			}
			switch {
			case todo.Do == End:
			case todo.Do == Wait, todo.Do == WaitReplaying:
				waits++
				require.Equal(t, waits, todo.Times)
				p.Waited()
				continue
			case refused:
				p.Refused()
				continue
			case todo.Do == Apply:
				require.Equal(t, asked, todo.Attempt)
				require.GreaterOrEqual(t, todo.N, 1)
				require.LessOrEqual(t, todo.N, min(most, len(list)))
				if slices.ContainsFunc(list[:todo.N], func(e int) bool { return bad[e] > 0 }) {
					p.Failed()
					continue
				}
				p.Applied(time.Duration(rnd.Int64N(int64(2 * want))))
			default:
				p.Settled()
			}
			if todo.Do == End {
				break
			}
			for _, e := range list[:todo.N] {
				require.Equal(t, dealt, e)
				dealt++
			}
			list, asked, waits = list[todo.N:], 0, 0
		}
		require.Empty(t, list)
	}
}
