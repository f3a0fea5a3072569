package delivery_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/history"
	"github.com/eventstore-go/eventstore/internal/history/delivery"
	"github.com/eventstore-go/eventstore/internal/longtest"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/internal/tcpproxy"
)

// These say what befalls the processes, and for how long.
const (
	envSeed    = "EVENTSTORE_DELIVERY_SEED"
	envSeconds = "EVENTSTORE_DELIVERY_SECONDS"
)

const ttl = time.Second // of leases

var oneAndLanes = []delivery.Subscription{{Name: "one"}, {Name: "lanes", Lanes: true}}

// TestChaos lets processes append and consume while they are killed and paused, their connections are ended, cut, stalled
// and delayed, and the server is killed and restarted. When all is well again, every event must have been delivered.
func TestChaos(t *testing.T) {
	longtest.Only(t)
	t.Parallel()
	seed := number(t, envSeed, int64(rand.Uint32()))
	seconds := int64(20)
	seconds = number(t, envSeconds, seconds)
	t.Logf("%s=%d makes the same choices again", envSeed, seed)
	// A server that stops in good order waits for those who are at the door, also behind a link that is stalled.
	server := pgtest.StartServer(t, "authentication_timeout=5s")
	c := &chaos{
		stage: newStage(t, server.URL(), "delivery", seed), server: server,
		rng: rand.New(rand.NewPCG(uint64(seed), 0)), steps: map[string]int{},
	}
	c.db.SetMaxIdleConns(0) // none that has ended with the server
	u, err := url.Parse(server.URL())
	require.NoError(t, err)
	for i := range 7 {
		role := consumes
		if i >= 3 {
			role = writes
		}
		s := &slot{index: i, role: role, proxy: tcpproxy.Start(t, u.Host)}
		c.slots = append(c.slots, s)
		c.restart(s)
	}
	begun := time.Now()
	for end := begun.Add(time.Duration(seconds) * time.Second); time.Now().Before(end) || c.calm() && time.Since(begun) < time.Minute; {
		c.step()
		c.repair(time.Now())
		require.False(t, wait(t.Context(), time.Duration(100+c.rng.IntN(300))*time.Millisecond))
	}
	c.repair(end)
	before := c.committed()
	c.eventually("appends are committed again", func() bool { return c.committed() >= before+10 })

	var consumers []*process
	for _, s := range c.slots {
		if s.role == consumes {
			consumers = append(consumers, s.process)
		} else {
			require.True(t, s.process.Finish(time.Minute), "%s", s.process.Verdict())
		}
	}
	c.eventually("all writers' sessions have ended", func() bool {
		return c.number(`select count(*) from pg_stat_activity where application_name like 'writes-%'`) == 0
	})
	head, err := c.es.Head(t.Context())
	require.NoError(t, err)
	c.drained(oneAndLanes, head, consumers...)
	for _, p := range consumers {
		require.True(t, p.Finish(time.Minute), "%s", p.Verdict())
	}

	h := c.history(oneAndLanes)
	c.report(h)
	for i, v := range h.Check() {
		assert.Fail(t, v.String())
		if i == 20 {
			break
		}
	}
}

// chaos is what befalls a stage.
type chaos struct {
	*stage

	server  *pgtest.Server
	slots   []*slot
	rng     *rand.Rand
	repairs []repair
	steps   map[string]int // how often each was done
}

// slot is where a process runs, and another after it.
type slot struct {
	index   int
	role    string
	proxy   *tcpproxy.Proxy
	process *process
	started int
	broken  bool // something waits for repair
}

// repair makes something good again, at a time.
type repair struct {
	at time.Time
	f  func()
}

// end is after all repairs.
var end = time.Now().AddDate(1, 0, 0)

// restart starts a process in a slot.
func (c *chaos) restart(s *slot) {
	c.Helper()
	s.started++
	p := plan{
		Role: s.role, Process: fmt.Sprintf("%s-%d.%d", s.role, s.index, s.started), Driver: pgtest.Drivers()[s.index%2],
	}
	if s.role == consumes {
		p.Subscriptions, p.TTL = oneAndLanes, ttl
		p.Listen = []string{"pgx", "", "postgres", ""}[(s.index+s.started)%4]
	}
	s.process = c.start(p, s.proxy.Addr())
}

// step does something bad.
func (c *chaos) step() {
	c.Helper()
	for _, s := range c.slots {
		s.process.Alive()
	}
	type option struct {
		name   string
		weight int
		do     func(s *slot)
	}
	options := []option{
		{"kill", 4, func(s *slot) {
			s.process.Kill()
			c.restart(s)
		}},
		{"pause", 6, func(s *slot) {
			s.process.Signal(syscall.SIGSTOP)
			p := s.process
			c.later(s, ttl*6/5, 2*ttl, func() {
				if s.process == p {
					p.Signal(syscall.SIGCONT)
				}
			})
		}},
		{"leave", 2, func(s *slot) {
			if !s.broken {
				if !s.process.Finish(10 * time.Second) {
					c.steps["leave, but not in good order"]++
					c.Logf("%s", s.process.Verdict())
				}
				c.restart(s)
			}
		}},
		{"terminate", 4, func(s *slot) { c.terminate(s.process.plan.Process) }},
		{"terminate all", 1, func(*slot) { c.terminate("%") }},
		{"crash", 1, func(*slot) {
			c.server.Kill()
			c.server.Restart()
		}},
		{"restart", 1, func(*slot) { c.server.Restart() }},
		{"cut", 4, func(s *slot) {
			s.proxy.Cut()
			c.later(s, 0, 2*ttl, s.proxy.Restore)
		}},
		{"stall", 4, func(s *slot) {
			s.proxy.Stall()
			c.later(s, 0, 2*ttl, s.proxy.Resume)
		}},
		{"delay", 3, func(s *slot) {
			s.proxy.Delay(time.Duration(1+c.rng.IntN(50)) * time.Millisecond)
			c.later(s, 0, 2*ttl, func() { s.proxy.Delay(0) })
		}},
	}
	total := 0
	for _, o := range options {
		total += o.weight
	}
	n := c.rng.IntN(total)
	s := c.slots[c.rng.IntN(len(c.slots))]
	if c.rng.IntN(2) == 0 {
		s = c.owner(s)
	}
	for _, o := range options {
		if n -= o.weight; n < 0 {
			c.steps[o.name]++
			o.do(s)
			return
		}
	}
}

// owner returns the slot of the process that took the latest lease; s if it is none of today's.
func (c *chaos) owner(s *slot) *slot {
	c.Helper()
	var name string
	err := c.db.QueryRowContext(c.Context(), `select process from `+c.schema+`.audit order by epoch desc limit 1`).Scan(&name)
	if err == nil {
		for _, other := range c.slots {
			if other.process.plan.Process == name {
				return other
			}
		}
	}
	return s
}

// calm reports that nothing much has happened yet, as on a very busy machine: "one" has had two epochs at most.
func (c *chaos) calm() bool {
	c.Helper()
	var epochs int
	err := c.db.QueryRowContext(c.Context(), `select count(distinct epoch) from `+c.schema+`.audit where subscription = 'one'`).Scan(&epochs)
	return err != nil || epochs <= 2
}

// committed returns how many appends writers were told are committed.
func (c *chaos) committed() (n int) {
	c.Helper()
	for _, p := range c.processes {
		if p.plan.Role == writes {
			for _, w := range read[history.Write](p) {
				if w.Outcome == history.Committed {
					n++
				}
			}
		}
	}
	return n
}

// terminate ends the database sessions of processes.
func (c *chaos) terminate(like string) {
	c.Helper()
	c.number(`select count(pg_terminate_backend(pid)) from pg_stat_activity
		where application_name like $1 and application_name ~ '^(writes|consumes)-'`, like)
}

// later has something repaired after a while between least and most.
func (c *chaos) later(s *slot, least, most time.Duration, f func()) {
	s.broken = true
	c.repairs = append(c.repairs, repair{time.Now().Add(least + time.Duration(c.rng.Int64N(int64(most-least)))), func() {
		f()
		s.broken = false
	}})
	slices.SortStableFunc(c.repairs, func(x, y repair) int { return cmp.Compare(x.at.UnixNano(), y.at.UnixNano()) })
}

// repair does all repairs up to a time.
func (c *chaos) repair(until time.Time) {
	for len(c.repairs) > 0 && c.repairs[0].at.Before(until) {
		c.repairs[0].f()
		c.repairs = c.repairs[1:]
	}
}

// report says what happened, and sees to it that it was enough to go wrong.
func (c *chaos) report(h *delivery.History) {
	c.Helper()
	outcomes := map[history.Outcome]int{}
	for _, w := range h.Writes {
		outcomes[w.Outcome]++
	}
	kinds, fenced := map[delivery.Kind]int{}, 0
	sent := map[string]int{}
	for _, p := range h.Consumers {
		for _, l := range p.Lines {
			kinds[l.Kind]++
			sent[l.Subscription] += len(l.Events)
			if strings.Contains(l.Err, "lease") {
				fenced++
			}
		}
	}
	epochs := map[string]map[int64]bool{}
	for _, r := range h.Rows {
		if epochs[r.Subscription] == nil {
			epochs[r.Subscription] = map[int64]bool{}
		}
		epochs[r.Subscription][r.Epoch] = true
	}
	c.Logf("done: %v; processes: %d; appends: %v; events: %d; sent: %v; epochs: %d and %d; rows: %d; lines: %v; fenced: %d",
		c.steps, len(c.processes), outcomes, len(h.Stored), sent, len(epochs["one"]), len(epochs["lanes"]), len(h.Rows), kinds, fenced)
	assert.Greater(c, len(epochs["one"]), 2)
	assert.Positive(c, outcomes[history.Committed])
	assert.Equal(c, []string{"lanes", "one"}, slices.Sorted(maps.Keys(sent)))
}

// number returns what an environment variable says, else the number given.
func number(t *testing.T, name string, otherwise int64) int64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err, name)
	return n
}
