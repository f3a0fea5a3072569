package delivery_test

import (
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/history"
	"github.com/eventstore-go/eventstore/internal/history/delivery"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// These show that the checker would find a store that lacks what makes subscriptions safe, in schedules that this store
// stands.

var justOne = []delivery.Subscription{{Name: "one"}}

// consumer starts a process that runs the subscription.
func (s *stage) consumer(name, fault string, hold bool) *process {
	s.Helper()
	return s.start(plan{
		Role: consumes, Process: name, Driver: "pgx", Subscriptions: justOne, TTL: 500 * time.Millisecond, Fault: fault, Hold: hold,
	}, "")
}

// append appends an event to a stream of its own.
func (s *stage) append(es *store.Store, id string) {
	s.Helper()
	_, err := es.Append(s.Context(), "of "+id, store.NoStream, store.Event{Type: "happened", Data: id})
	require.NoError(s, err)
}

// checkpointBy waits until a process has brought the checkpoint up to a number.
func (s *stage) checkpointBy(p *process, number int64) {
	s.Helper()
	s.eventually(p.plan.Process+" saves a checkpoint", func() bool {
		p.Alive()
		return s.number(`select count(*) from `+s.schema+`.audit where process = $1 and checkpoint = $2`, p.plan.Process, number) > 0
	})
}

// TestPausedOwner pauses a process that is about to write a checkpoint for longer than its lease lasts.
func TestPausedOwner(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, fault string
		want        []string
	}{
		{"fenced", "", nil},
		{"not fenced", noFencing, []string{
			`fenced: checkpoint 1 of "one" in epoch N by A was written in an epoch that B took`,
			`forward: checkpoint 1 of "one" in epoch N by A was written behind 2`,
			`durable: A was told that checkpoint 1 of "one" is written in epoch N, which it is not`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, pgtest.URL(t), pgtest.Schema(t), 1)
			s.append(s.es, "first")
			a := s.consumer("A", test.fault, true)
			a.noted("that it saves a checkpoint", func(l delivery.Line) bool { return l.Kind == delivery.Save })
			a.Signal(syscall.SIGSTOP)
			s.append(s.es, "second")
			b := s.consumer("B", test.fault, false)
			s.checkpointBy(b, 2)
			a.GoOn()
			a.Signal(syscall.SIGCONT)
			a.noted("what came of it", func(l delivery.Line) bool { return l.Kind == delivery.Saved && (l.Err != "") == (test.fault == "") })
			a.noted("that the lease is lost", func(l delivery.Line) bool { return l.Kind == delivery.Lost })
			s.append(s.es, "third")
			s.drained(justOne, 3, a, b)
			require.True(t, b.Finish(time.Minute), "%s", b.Verdict())
			require.True(t, a.Finish(time.Minute), "%s", a.Verdict())

			got := anyEpoch(texts(s.history(justOne).Check()))
			got = slices.DeleteFunc(got, func(v string) bool { // B, which lacks the fence as well, may write late, too
				return test.fault != "" && (strings.Contains(v, " by B was written") || strings.Contains(v, ": B was told"))
			})
			assert.ElementsMatch(t, test.want, got)
		})
	}
}

// texts returns what violations say.
func texts(list []delivery.Violation) []string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = v.String()
	}
	return texts
}

// anyEpoch returns texts that name no epoch: on a busy machine a lease is lost more often.
func anyEpoch(texts []string) []string {
	for i, text := range texts {
		texts[i] = epochs.ReplaceAllString(text, "in epoch N")
	}
	return texts
}

var epochs = regexp.MustCompile(`in epoch \d+`)

// TestLateCommit commits a transaction when what was appended after it has been delivered.
func TestLateCommit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, fault string
		want        []string
	}{
		{"by position", "", []string{}},
		{"by sequence", bySequence, []string{
			`gapless: A was sent quick (of quick@1) at 2 behind 0 in epoch N of "one", and not slow (of slow@1) at 1`,
			`earned: A saved checkpoint N of "one" in epoch N, but had not acknowledged slow (of slow@1) at 1`,
			`delivered: slow (of slow@1) at 1 was never delivered to "one"`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, pgtest.URL(t), pgtest.Schema(t), 1)
			tx, err := s.db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			s.append(s.es.WithTx(tx), "slow") // draws 1
			s.append(s.es, "quick")           // draws 2
			a := s.consumer("A", test.fault, false)
			sent := func(id string) func(l delivery.Line) bool {
				return func(l delivery.Line) bool {
					for _, e := range l.Events {
						if e.ID == id {
							return true
						}
					}
					return false
				}
			}
			s.checkpointBy(a, map[string]int64{"": 1, bySequence: 2}[test.fault])
			require.NoError(t, tx.Commit())
			s.append(s.es, "last")
			a.noted("the last event", sent("last"))
			s.drained(justOne, 3, a)
			require.True(t, a.Finish(time.Minute), "%s", a.Verdict())
			b := s.consumer("B", test.fault, false)
			s.append(s.es, "more")
			s.drained(justOne, 4, b)
			require.True(t, b.Finish(time.Minute), "%s", b.Verdict())

			h := s.history(justOne)
			if test.fault == bySequence {
				h.Stored = s.bare()
			}
			found := anyEpoch(texts(h.Check()))
			for i := range found { // 1 or 2, as it was saved before "slow" was looked for, or after
				found[i] = regexp.MustCompile(`checkpoint \d+`).ReplaceAllString(found[i], "checkpoint N")
			}
			assert.ElementsMatch(t, test.want, found)
		})
	}
}

// TestUnknownEpoch: a process takes an epoch without being told, and another one that it is told of.
func TestUnknownEpoch(t *testing.T) {
	t.Parallel()
	s := newStage(t, pgtest.URL(t), pgtest.Schema(t), 1)
	a := s.consumer("A", noAnswer, false)
	a.noted("that it has the lease, for the second time", func(l delivery.Line) bool { return l.Kind == delivery.Took && l.Epoch > 1 })
	s.append(s.es, "first")
	s.drained(justOne, 1, a)
	require.True(t, a.Finish(time.Minute), "%s", a.Verdict())
	assert.Empty(t, s.history(justOne).Check())
}

// bare returns what the store holds as the storage with the fault reads it.
func (s *stage) bare() (list []history.Seen) {
	s.Helper()
	w := &worker{plan: plan{Schema: s.schema, Fault: bySequence}, b: s.b}
	storage, err := (&consumer{worker: w}).storage()
	require.NoError(s, err)
	for e, err := range store.New(storage, nil).All(s.Context(), nil) {
		require.NoError(s, err)
		id, err := store.Decode[string](e)
		require.NoError(s, err)
		list = append(list, history.Seen{Position: e.Number, ID: id, Stream: e.Stream, Version: e.Version})
	}
	return list
}
