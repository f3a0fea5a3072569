package checkpoint

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var (
	errDown = errors.New("the database is down")
	epoch   = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

const never = -time.Second

// machine is a Pace with a checkpoint and a clock.
type machine struct {
	*Pace
	at  int64
	now time.Time
}

// step is a step of a script. It does one thing and returns what came of it.
type step struct {
	name string
	do   func(m *machine) any
	want any
}

func after(d time.Duration) step {
	return step{"after " + d.String(), func(m *machine) any { m.now = m.now.Add(d); return nil }, nil}
}

func advance(to int64, wake bool) step {
	return step{"advance", func(m *machine) any { m.at = to; return m.Advance(to, m.now) }, wake}
}

func acked(to int64, wake bool) step {
	return step{"acked", func(m *machine) any { m.at = to; m.Acked(); return m.Advance(to, m.now) }, wake}
}

func ask(due bool) step {
	return step{"ask", func(m *machine) any { return m.Ask(m.at, m.now) }, due}
}

func write(ok bool) step {
	return step{"write", func(m *machine) any { return m.Write(m.at, false, m.now) }, ok}
}

func writeSoon(ok bool) step {
	return step{"write soon", func(m *machine) any { return m.Write(m.at, true, m.now) }, ok}
}

func written(err error, current, refused bool) step {
	return step{"written", func(m *machine) any { return m.Written(m.at, err, current, m.now) }, refused}
}

func committed(checkpoint int64, wake bool) step {
	return step{"committed", func(m *machine) any { return m.Committed(checkpoint, m.at) }, wake}
}

func begin(saved int64) step {
	return step{"begin", func(m *machine) any { m.at = saved; m.Begin(saved); return nil }, nil}
}

func restart() step {
	return step{"restart", func(m *machine) any { m.at = 0; m.Restart(m.now); return nil }, nil}
}

func forgive() step {
	return step{"forgive", func(m *machine) any { m.Forgive(); return nil }, nil}
}

// deadline is how far away the deadline is, or never.
func deadline(d time.Duration) step {
	return step{"deadline", func(m *machine) any {
		if t := m.Deadline(m.at); !t.IsZero() {
			return t.Sub(m.now)
		}
		return never
	}, d}
}

func saved(at int64) step {
	return step{"saved", func(m *machine) any { return m.Saved() }, at}
}

func failure(err error) step {
	return step{"failure", func(m *machine) any { return m.Failure() }, err}
}

func refused(err error) step {
	return step{"refused", func(m *machine) any { return m.Refused() }, err}
}

func TestPace(t *testing.T) {
	t.Parallel()
	paced := Policy{Threshold: 1000, LeftOut: 1000, After: time.Second, Every: time.Second / 4}
	kept := Policy{Threshold: 10, LeftOut: 1000, After: time.Second}
	untimed := Policy{Threshold: 10, LeftOut: 1000, After: never}
	for _, c := range []struct {
		name   string
		policy Policy
		steps  []step
	}{
		{"nothing is ahead", paced, []step{deadline(never), ask(false), write(false), advance(0, false)}},
		{"After makes it due", paced, []step{
			acked(1, true), acked(2, false), deadline(time.Second), ask(false), write(false),
			after(time.Second), ask(true), deadline(never), write(true), written(nil, true, false), saved(2), deadline(never), ask(false),
		}},
		{"half of After is enough beside another", paced, []step{acked(1, true), after(time.Second / 2), write(false), writeSoon(true)}},
		{"a negative After never makes it due", untimed, []step{acked(9, true), deadline(never), after(time.Hour), ask(false), writeSoon(false)}},
		{"a threshold that was asked for is kept to", kept, []step{
			acked(9, true), ask(false), acked(10, true), ask(true), write(true), written(nil, true, false),
			acked(20, true), ask(true), write(true),
		}},
		{"a default threshold has a pace", paced, []step{
			acked(1000, true), ask(true), write(true), after(time.Millisecond), written(nil, true, false),
			acked(2000, true), ask(false), deadline(249 * time.Millisecond), acked(2001, false),
			after(249 * time.Millisecond), ask(true), acked(2002, true), write(true),
		}},
		{"the pace outlives a lease", paced, []step{
			acked(1000, true), write(true), written(nil, true, false), begin(0), acked(1000, true), ask(false), deadline(time.Second / 4),
		}},
		{"events that are left out count from LeftOut on", kept, []step{
			advance(999, true), ask(false), advance(1000, true), ask(true), write(true), written(nil, true, false),
			acked(1010, true), ask(true),
		}},
		{"an acknowledgement counts until a write succeeds", kept, []step{
			acked(10, true), write(true), written(errDown, true, true), failure(errDown), ask(true), write(true), written(nil, true, false),
			advance(20, true), ask(false),
		}},
		{"one write at a time", kept, []step{
			acked(10, true), write(true), acked(20, true), ask(false), write(false), deadline(never), written(nil, true, false), saved(10), ask(true),
		}},
		{"what advances during a write counts since then", paced, []step{
			acked(1, true), after(time.Second), write(true), after(time.Second), acked(2, false), after(time.Second / 2), written(nil, true, false),
			saved(1), deadline(time.Second / 2),
		}},
		{"after a failure nothing is written until it was seen", kept, []step{
			acked(10, true), write(true), written(errDown, true, true), refused(errDown), write(false), failure(errDown), failure(nil), write(true),
		}},
		{"a refused checkpoint is due until one is written", paced, []step{
			acked(1, true), after(time.Second), write(true), written(errDown, true, true), failure(errDown), ask(true), write(true),
			written(nil, true, false), refused(nil), saved(1),
		}},
		{"an answer of another lease or stream only ends the write", kept, []step{
			acked(10, true), write(true), restart(), written(nil, false, false), saved(-1), refused(nil),
			after(time.Second), ask(true), write(true), written(nil, true, false), saved(0),
		}},
		{"an error of another lease or stream is not a refusal", kept, []step{
			acked(10, true), write(true), restart(), written(errDown, false, false), refused(nil), failure(errDown),
		}},
		{"a restart is written even at 0", kept, []step{begin(7), restart(), deadline(time.Second), after(time.Second), ask(true), write(true)}},
		{"what a projection commits leaves nothing to write", paced, []step{
			acked(1, true), after(time.Second), ask(true), committed(1, false), saved(1), deadline(never), ask(false),
		}},
		{"what a projection commits leaves the rest to write", paced, []step{
			acked(2, true), committed(1, false), saved(1), deadline(time.Second),
		}},
		{"a commit ends a refusal", kept, []step{
			acked(10, true), write(true), written(errDown, true, true), committed(10, true), refused(nil), committed(10, false),
		}},
		{"a late failure of what was committed meanwhile is no refusal", kept, []step{
			acked(10, true), write(true), committed(12, false), written(errDown, true, false), refused(nil),
		}},
		{"a late success takes nothing back", kept, []step{acked(10, true), write(true), committed(12, false), written(nil, true, false), saved(12)}},
		{"a lost lease forgives a refusal", kept, []step{acked(10, true), write(true), written(errDown, true, true), forgive(), refused(nil)}},
		{"a lease begins with nothing to write", kept, []step{
			acked(10, true), write(true), written(errDown, true, true), begin(5), refused(nil), failure(nil), deadline(never), saved(5),
			advance(15, true), ask(false), // that was acknowledged under the lease before
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := &machine{Pace: New(c.policy), now: epoch}
			for i, s := range c.steps {
				assert.Equal(t, s.want, s.do(m), "step %d, %s", i+1, s.name)
			}
			assert.False(t, m.Writing() && m.Ask(m.at, m.now), "one write at a time")
		})
	}
}
