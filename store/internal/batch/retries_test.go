package batch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// round is retries of consumers that are called by letters.
type round struct{ *Retries[string, string] }

var begun = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func second(n int) time.Time { return begun.Add(time.Duration(n) * time.Second) }

// newRound returns idle consumers, and busy ones.
func newRound(idle string, busy string) round {
	r := round{NewRetries[string, string]()}
	for _, c := range idle {
		r.Join(string(c))
		r.Rest(string(c))
	}
	for _, c := range busy {
		r.Join(string(c))
	}
	return r
}

// await adds a retry of a consumer, and returns it.
func (r round) await(c string, number int64, at int) *Again[string, string] {
	a := &Again[string, string]{Consumer: c, Number: number, At: second(at)}
	r.Await(a)
	return a
}

// first returns the second at which an idle consumer has something to handle, or -1.
func (r round) first(c string) int {
	at, ok := r.First(c)
	if !ok {
		return -1
	}
	return int(at.Sub(begun) / time.Second)
}

// TestRetriesFirst: an idle consumer handles its own retries, and those of consumers that are busy.
func TestRetriesFirst(t *testing.T) {
	t.Parallel()
	r := newRound("ab", "X")
	assert.Equal(t, -1, r.first("a"))
	r.await("a", 1, 30)
	assert.Equal(t, 30, r.first("a"))
	assert.Equal(t, -1, r.first("b"), "a has time for it")
	r.await("X", 2, 20)
	assert.Equal(t, 20, r.first("a"))
	assert.Equal(t, 20, r.first("b"))
	r.await("X", 3, 10).Alone = true
	assert.Equal(t, 20, r.first("b"), "it could not handle the other one")
	assert.Equal(t, 10, r.first("X"))
	r.Rest("X")
	assert.Equal(t, 30, r.first("a"))
	assert.Equal(t, -1, r.first("b"))
}

func TestRetriesDue(t *testing.T) {
	t.Parallel()
	r := newRound("a", "X")
	late, soon, other := r.await("a", 1, 30), r.await("a", 2, 10), r.await("X", 3, 5)
	assert.Nil(t, r.Due("a", second(9)))
	assert.Same(t, soon, r.Due("a", second(10)))
	assert.Nil(t, r.Due("a", second(10)), "it has begun")
	assert.Same(t, late, r.Due("a", second(40)))
	assert.Nil(t, r.Due("a", second(40)), "X is asked for its own")
	assert.Same(t, other, r.Due("X", second(40)))
	assert.Equal(t, -1, r.first("a"))
}

func TestRetriesHandOver(t *testing.T) {
	t.Parallel()
	r := newRound("ab", "X")
	r.await("a", 1, 0)
	r.await("b", 2, 0)
	soon, late := r.await("X", 3, 10), r.await("X", 4, 20)
	unknown, callback := r.await("X", 5, 5), r.await("X", 6, 30)
	unknown.Alone, callback.Callback = true, true
	assert.Nil(t, r.HandOver("a", second(9)))
	assert.Same(t, soon, r.HandOver("a", second(10)))
	assert.Nil(t, r.HandOver("a", second(10)), "it was handed over")
	assert.Same(t, late, r.HandOver("b", second(100)))
	assert.Same(t, callback, r.HandOver("b", second(100)))
	assert.Nil(t, r.HandOver("a", second(100)), "those of idle consumers, and what nobody else can handle, stay")
	assert.Same(t, soon, r.Handed(3))
	assert.Nil(t, r.Handed(3), "it has begun")
	assert.Nil(t, r.Handed(6), "the queue counts how often a callback is tried")
	r.Drop("a")
	assert.Nil(t, r.Handed(4), "the lease was lost: it comes as a new one")
}

func TestRetriesWake(t *testing.T) {
	t.Parallel()
	r := newRound("ab", "X")
	assert.ElementsMatch(t, []string{"a", "b"}, r.Idle())
	assert.Empty(t, r.Busy("X"), "it has no retries")
	r.await("X", 1, 10)
	assert.ElementsMatch(t, []string{"a", "b"}, r.Busy("X"))
	assert.Empty(t, r.Busy("a"), "its retries would count, not those of others")
	assert.Equal(t, []string{"b"}, r.Busy("X"))
	r.Leave("b")
	assert.Empty(t, r.Busy("X"))
}

func TestRetriesOfOneThatLeaves(t *testing.T) {
	t.Parallel()
	r := newRound("a", "X")
	r.await("X", 1, 10)
	mine := r.await("a", 2, 20)
	r.Leave("X")
	assert.Equal(t, 20, r.first("a"))
	assert.Same(t, mine, r.Due("a", second(30)))
}

// TestRetriesFirstAlone: of the events that no other consumer can handle, the subscription waits at the first.
func TestRetriesFirstAlone(t *testing.T) {
	t.Parallel()
	r := newRound("a", "X")
	r.await("a", 1, 10)
	assert.Nil(t, r.FirstAlone("a"))
	r.await("a", 7, 10).Alone = true
	first := r.await("a", 5, 20)
	first.Alone = true
	r.await("X", 3, 5).Alone = true
	assert.Same(t, first, r.FirstAlone("a"))
	r.Drop("a")
	assert.Nil(t, r.FirstAlone("a"))
}
