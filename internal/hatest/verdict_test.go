package hatest_test

import (
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

// sum is what the events, or the projection, say of a stream.
type sum struct{ cents, version, applied, disorder int64 }

// truth is what the store holds.
type truth struct {
	events []store.Recorded     // by position, from 1 on
	at     map[uuid.UUID]int64  // positions
	sums   map[string]sum       // by stream
	orders map[uuid.UUID]string // the streams of events that were appended in a transaction, by id
}

// read reads all there is, and checks that no position, version or id is missing or there twice.
func (l *load) read() *truth {
	l.Helper()
	r := &truth{at: map[uuid.UUID]int64{}, sums: map[string]sum{}, orders: map[uuid.UUID]string{}}
	for e, err := range l.es.All(l.Context(), &store.ReadOptions{PageSize: 10_000}) {
		require.NoError(l, err)
		require.EqualValues(l, len(r.events)+1, e.Number, "positions have no gaps")
		require.Zero(l, r.at[e.ID], "an event is there twice")
		m, err := store.Decode[money](e)
		require.NoError(l, err)
		s := r.sums[e.Stream]
		require.Equal(l, s.version+1, e.Version, "versions of %s have no gaps", e.Stream)
		r.sums[e.Stream] = sum{s.cents + m.Cents, e.Version, s.applied + 1, 0}
		r.events = append(r.events, e)
		r.at[e.ID] = e.Number
		if isTx(e.Stream) {
			r.orders[e.ID] = e.Stream
		}
	}
	return r
}

// tablesMatch checks that the read model and the application's own table have what the store has.
func (l *load) tablesMatch(r *truth) {
	l.Helper()
	have := map[string]sum{}
	rows, err := l.db.QueryContext(l.Context(), `select stream, cents, version, applied, disorder from sums`)
	require.NoError(l, err)
	defer rows.Close() //nolint:errcheck // Err is looked at
	for rows.Next() {
		var stream string
		var s sum
		require.NoError(l, rows.Scan(&stream, &s.cents, &s.version, &s.applied, &s.disorder))
		have[stream] = s
	}
	require.NoError(l, rows.Err())
	assert.Equal(l, r.sums, have, "the read model is what the events say")

	orders := map[uuid.UUID]string{}
	more, err := l.db.QueryContext(l.Context(), `select id, stream from orders`)
	require.NoError(l, err)
	defer more.Close() //nolint:errcheck // Err is looked at
	for more.Next() {
		var id uuid.UUID
		var stream string
		require.NoError(l, more.Scan(&id, &stream))
		orders[id] = stream
	}
	require.NoError(l, more.Err())
	assert.Equal(l, r.orders, orders, "what was written in the transactions of appends is there like the events")
}

// missing returns how many events of lines that were acknowledged the store does not have, and the time of the last.
func (r *truth) missing(lines []line) (n int, last int64) {
	for _, at := range lines {
		if at.Kind != acked {
			continue
		}
		for _, id := range at.IDs {
			if _, found := r.at[id]; !found {
				n++
				last = at.At
			}
		}
	}
	return n, last
}

// count returns how many lines there are of a kind, and how many events they hold.
func count(lines []line, kind string) (n, events int) {
	for _, at := range lines {
		if at.Kind == kind {
			n++
			events += len(at.IDs)
		}
	}
	return n, events
}

// deliveredInOrder checks that the subscription has sent every event from a position on, each for the first time behind the one
// before it, and nothing but what the store has. It returns how many came again.
func (l *load) deliveredInOrder(r *truth, lines []line, from int64) (again int) {
	l.Helper()
	next := from
	for _, at := range lines {
		if at.Kind != delivered || at.Number < from {
			continue
		}
		require.Equal(l, r.at[at.IDs[0]], at.Number, "what was delivered is in that place")
		if at.Number < next {
			again++
			continue
		}
		require.Equal(l, next, at.Number, "an event is delivered for the first time behind those before it")
		next++
	}
	require.EqualValues(l, len(r.events)+1, next, "every event was delivered")
	return again
}

// nothingLost checks that all that was acknowledged is there, once, and nothing else, and that the tables match.
func (l *load) nothingLost(r *truth, lines []line) {
	l.Helper()
	lost, _ := r.missing(lines)
	assert.Zero(l, lost, "events were acknowledged and are not there")
	_, events := count(lines, acked)
	assert.Equal(l, len(r.events), events, "every event is there once, and was acknowledged once")
	l.tablesMatch(r)
}

// toldOfLosses checks that no reader ended but for lost events, that a process in which the
// subscription has sent some is told, and that the subscription has sent every event of the history that
// counts, in order. It returns how often a reader was told, and how many events came again.
func (l *load) toldOfLosses(r *truth, lines []line) (told, again int) {
	l.Helper()
	var fresh []line
	sent, knows := map[string]bool{}, map[string]bool{} // processes
	for _, at := range lines {
		switch {
		case at.Kind == ended:
			assert.True(l, at.Lost, "%s ended: %s", at.Stream, at.Error)
			told++
			knows[at.Process] = knows[at.Process] || at.Stream == mailer
		case at.Kind == delivered && r.at[at.IDs[0]] == at.Number:
			fresh = append(fresh, at)
		case at.Kind == delivered:
			sent[at.Process] = true
		}
	}
	for process := range sent {
		assert.True(l, knows[process], "the subscription of %s has sent lost events, and is told", process)
	}
	return told, l.deliveredInOrder(r, fresh, 1)
}
