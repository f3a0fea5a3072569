package hatest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
)

// isTx reports whether a stream is that of a writer who appends in transactions.
func isTx(stream string) bool { return strings.HasSuffix(writerOf(stream), "-tx") }

// TestSynchronous: with a synchronous standby, nothing that was acknowledged is lost, doubled or stuck, and no program is started
// again, whatever becomes of the leader.
func TestSynchronous(t *testing.T) {
	asked(t)
	c := newCluster(t, mode{synchronous: true})
	l := newLoad(c)
	l.goesOn(0)
	for _, fault := range []struct {
		name string
		do   func(leader *node)
	}{
		{"switchover", func(leader *node) {
			_, err := c.ask(http.MethodPost, leader, "/switchover", map[string]string{"leader": leader.name})
			require.NoError(t, err)
			c.otherLeader(leader)
		}},
		{"PostgreSQL of the leader killed", func(leader *node) {
			pgtest.KillServer(t, c.data(leader))
		}},
		{"PostgreSQL and Patroni of the leader killed", func(leader *node) {
			leader.patroni.Kill()
			pgtest.KillServer(t, c.data(leader))
			c.otherLeader(leader)
			c.start(leader)
		}},
	} {
		if !t.Run(fault.name, func(t *testing.T) {
			outer, inner := c.T, t
			c.T = inner
			defer func() { c.T = outer }()
			c.whole()
			leader, since := c.mustLeader(), now()
			fault.do(leader)
			recovered := now()
			c.whole()
			l.goesOn(recovered)
			l.report(since)
		}) {
			return
		}
	}

	lines := l.finish()
	r := l.read()
	l.nothingLost(r, lines)
	for _, kind := range []string{conflict, ended} {
		for _, at := range lines {
			assert.NotEqual(t, kind, at.Kind, "%+v", at)
		}
	}
	again := l.deliveredInOrder(r, lines, 1)
	n, _ := count(lines, failed)
	t.Logf("%d events; %d appends were made again; %d events were delivered again", len(r.events), n, again)
}

// TestWithoutFencing: the Patroni of the leader is killed, and no watchdog resets the machine. The old primary goes on beside the new
// one until its Patroni is back, and programs have sessions on both. In strict synchronous mode nothing that was acknowledged is lost or
// doubled all the same. A reader may have seen what the old primary has not acknowledged, and is told. (Without strict, Patroni takes
// synchronous_standby_names away when it starts beside the old primary, which then acknowledges what waits.)
func TestWithoutFencing(t *testing.T) {
	asked(t)
	c := newCluster(t, mode{synchronous: true, strict: true})
	l := newLoad(c)
	l.goesOn(0)
	leader, since := c.mustLeader(), now()
	leader.patroni.Kill()
	c.otherLeader(leader)
	c.start(leader)
	c.whole()
	l.goesOn(now())
	l.report(since)

	lines := l.finish()
	r := l.read()
	l.nothingLost(r, lines)
	told, again := l.toldOfLosses(r, lines)
	n, _ := count(lines, failed)
	t.Logf("%d events; %d appends were made again; %d times a reader was told of lost events; %d events were delivered again", len(r.events), n, told, again)
}

// TestLaggingFailover: with asynchronous standbys that have been cut off from the leader, what they had not received is lost with
// it, and each reader that has seen some of that is told.
func TestLaggingFailover(t *testing.T) {
	asked(t)
	c := newCluster(t, mode{})
	l := newLoad(c)
	l.goesOn(0)

	leader := c.mustLeader()
	// The standbys can't receive any more. The first statement may reach them or not.
	for _, statement := range []string{`alter role repl nologin`, `select pg_terminate_backend(pid) from pg_stat_replication`} {
		_, err := l.db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	c.eventually("no standby is connected", func() bool {
		var n int
		require.NoError(t, l.db.QueryRowContext(t.Context(), `select count(*) from pg_stat_replication`).Scan(&n))
		return n == 0
	})
	cut := now()
	l.goesOn(cut)
	killed := now()
	leader.patroni.Kill()
	pgtest.KillServer(t, c.data(leader))
	c.otherLeader(leader)
	_, err := l.db.ExecContext(t.Context(), `alter role repl login`)
	require.NoError(t, err)
	recovered := now()
	c.start(leader)
	c.whole()
	l.goesOn(recovered)
	l.report(killed)

	lines := l.finish()
	r := l.read()
	lost, last := r.missing(lines)
	require.Positive(t, lost, "the standbys lagged")
	assert.Less(t, last, recovered, "what the new leader acknowledged is there")
	l.tablesMatch(r)

	told, again := l.toldOfLosses(r, lines)
	assert.Positive(t, told, "readers that have seen lost events are told")
	t.Logf("%d events were lost; %d times a reader was told; %d events were delivered again", lost, told, again)
}
