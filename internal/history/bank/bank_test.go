package bank_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/history/child"
	"github.com/eventstore-go/eventstore/internal/longtest"
	"github.com/eventstore-go/eventstore/internal/pgtest"
)

// envSeconds says for how long things go wrong.
const envSeconds = "EVENTSTORE_BANK_SECONDS"

// TestBank lets things go wrong for a while, and judges. What was parked is replayed then, and the read model built again.
func TestBank(t *testing.T) {
	longtest.Only(t)
	t.Parallel()
	length := time.Minute
	if text := os.Getenv(envSeconds); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		length = time.Duration(n) * time.Second
	}
	b := newBank(t, "")
	b.patience += length / 2 // it may be behind
	for end := time.Now().Add(length); time.Now().Before(end) || b.steps["kill"] == 0; {
		b.step()
	}
	b.calm()
	b.drained()
	parked, n := b.parked()
	info, err := b.es.Projection(t.Context(), projection)
	require.NoError(t, err)
	t.Logf("%d transfers; %v; %d events of %d accounts are parked; the generation of partitions has %d",
		b.number(`select count(*) from journal`), b.steps, n, len(parked), len(info.Partitions))
	require.Empty(t, b.violations(), "when all is well again")

	b.exec(`insert into cure values (true)`)
	replayed, err := b.es.ReplayParked(t.Context(), projection, nil)
	require.NoError(t, err)
	b.eventually("nothing is parked", func() bool {
		info, err := b.es.Projection(t.Context(), projection)
		return err == nil && info.Parked() == 0
	})
	require.Empty(t, b.violations(), "when what was parked is replayed")
	require.Zero(t, b.number(`select coalesce(sum(cents), 0) from balances`), "money is neither made nor lost")

	require.NoError(t, b.es.ResetProjection(t.Context(), projection, clearBalances))
	b.drained()
	require.Empty(t, b.violations(), "when it is built again")
	t.Logf("%d were replayed; rebuilt from %d events", replayed, b.number(`select sum(applied) from balances`))
	for _, s := range b.slots {
		b.finish(s.process)
	}
	assert.Positive(t, b.steps["kill"])
}

// TestBroken: a projection whose checkpoint is not in the handler's transaction, and one without a fence, must be found out.
// What is broken may also come to a stop for good before anybody sees it: then another bank is opened.
func TestBroken(t *testing.T) {
	longtest.Only(t)
	t.Parallel()
	for _, fault := range []string{outside, noFence} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			found := false
			for n := 1; n <= 5 && !found; n++ {
				t.Run(strconv.Itoa(n), func(t *testing.T) { found = foundOut(t, fault) })
			}
			require.True(t, found, "nobody has noticed")
		})
	}
}

// foundOut reports whether a fault is seen in the balances within a minute.
func foundOut(t *testing.T, fault string) bool {
	b := newBank(t, fault)
	b.losing = fault == noFence
	defer b.calm()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); b.step() {
		if n := b.number(`select count(*) from balances where disorder > 0`); n > 0 {
			t.Logf("found after %v: %d accounts have events that were not applied as the next one", b.steps, n)
			return true
		}
	}
	t.Logf("not found after %v", b.steps)
	return false
}

// bank is a stage on which things go wrong.
type bank struct {
	*stage

	slots   []*slot
	repairs []repair
	losing  bool           // only leases are lost: whoever starts anew knows nothing of one it had
	steps   map[string]int // how often each was done
}

// slot is where a process runs, and another after it.
type slot struct {
	role    string
	fault   string
	index   int
	started int
	process *child.Process
}

// repair makes something good again, at a time.
type repair struct {
	at time.Time
	f  func()
}

func newBank(t *testing.T, fault string) *bank {
	t.Helper()
	b := &bank{stage: newStage(t), steps: map[string]int{}}
	for i := range 7 {
		s := &slot{index: i, role: transfers}
		if i >= 4 {
			s.role, s.fault = projects, fault
		}
		b.slots = append(b.slots, s)
		b.restart(s)
	}
	b.eventually("there is a projection", func() bool {
		_, err := b.es.Projection(t.Context(), projection)
		return err == nil
	})
	return b
}

// restart starts a process in a slot.
func (b *bank) restart(s *slot) {
	b.Helper()
	s.started++
	s.process = b.start(plan{
		Role: s.role, Name: fmt.Sprintf("%s-%d.%d", s.role, s.index, s.started), Driver: pgtest.Drivers()[s.index%2], Fault: s.fault,
	})
}

// step does something bad, and waits a while.
func (b *bank) step() {
	b.Helper()
	for _, s := range b.slots {
		s.process.Alive()
	}
	s := b.slots[rand.IntN(len(b.slots))]
	if rand.IntN(3) > 0 {
		s = b.slots[4+rand.IntN(3)] // one that projects
	}
	n := rand.IntN(20)
	if b.losing {
		n = []int{4, 12}[rand.IntN(2)] // pause or rob
	}
	name := ""
	switch {
	case n < 4:
		name = "kill"
		s.process.Kill()
		b.restart(s)
	case n < 8:
		name = "pause"
		p := s.process
		p.Signal(syscall.SIGSTOP)
		b.later(ttl*3/2, 3*ttl, func() {
			if s.process == p {
				p.Signal(syscall.SIGCONT)
			}
		})
	case n < 12:
		name = "terminate"
		b.number(`select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = $1`, s.process.Name())
	case n < 15:
		name = b.try("rob", func(ctx context.Context) error { // somebody takes a lease by force, and forgets it
			_, err := b.db.ExecContext(ctx, `update bank.subscriptions set owner = 'robber', epoch = nextval('bank.epoch_seq'), lease_until = clock_timestamp() + interval '300 milliseconds'
				where ctid = (select ctid from bank.subscriptions order by random() limit 1)`)
			return err
		})
	case n < 17:
		name = b.try("repartition", func(ctx context.Context) error { return b.es.Repartition(ctx, projection, 1+rand.IntN(6)) })
	case n < 18:
		name = "crash"
		b.server.Kill()
		b.server.Restart()
	case n < 19:
		name = "leave"
		if b.repairs == nil {
			b.finish(s.process)
			b.restart(s)
		}
	default:
		name = b.try("replay", func(ctx context.Context) error {
			_, err := b.es.ReplayParked(ctx, projection, nil)
			return err
		})
	}
	b.steps[name]++
	pause(b.Context(), time.Duration(100+rand.IntN(400))*time.Millisecond)
	b.repair(time.Now())
}

// try does something that may have to wait for a process that is paused, and would wait for ever: nobody wakes that up
// meanwhile. It returns the name, and says there if it was in vain.
func (b *bank) try(name string, f func(ctx context.Context) error) string {
	ctx, cancel := context.WithTimeout(b.Context(), 2*ttl)
	defer cancel()
	if err := f(ctx); err != nil {
		return name + ", in vain"
	}
	return name
}

// later has something repaired after a while between least and most.
func (b *bank) later(least, most time.Duration, f func()) {
	b.repairs = append(b.repairs, repair{time.Now().Add(least + rand.N(most-least)), f})
	slices.SortStableFunc(b.repairs, func(x, y repair) int { return cmp.Compare(x.at.UnixNano(), y.at.UnixNano()) })
}

// repair does all repairs up to a time.
func (b *bank) repair(until time.Time) {
	for len(b.repairs) > 0 && b.repairs[0].at.Before(until) {
		b.repairs[0].f()
		b.repairs = b.repairs[1:]
	}
	if len(b.repairs) == 0 {
		b.repairs = nil
	}
}

// calm repairs everything, and ends the transfers.
func (b *bank) calm() {
	b.Helper()
	b.repair(time.Now().Add(time.Hour))
	for _, s := range b.slots[:4] {
		b.finish(s.process)
	}
	b.slots = b.slots[4:]
	b.eventually("no transfer is under way", func() bool {
		return b.number(`select count(*) from pg_stat_activity where application_name like 'transfers-%'`) == 0
	})
}
