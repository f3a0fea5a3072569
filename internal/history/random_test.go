package history_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/history"
	"github.com/eventstore-go/eventstore/internal/history/child"
	"github.com/eventstore-go/eventstore/internal/longtest"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// These say what writers choose, and how much each one does.
const (
	envSeed = "EVENTSTORE_HISTORY_SEED"
	envOps  = "EVENTSTORE_HISTORY_OPS"
)

// TestRandomHistory lets two processes write and read at random, with and without group commit, and checks what they saw.
func TestRandomHistory(t *testing.T) {
	t.Parallel()
	for name, alone := range map[string][2]bool{"group": {false, false}, "alone": {true, true}, "mixed": {false, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testRandomHistory(t, alone)
		})
	}
}

// testRandomHistory is TestRandomHistory, with processes that use group commit or do not.
func testRandomHistory(t *testing.T, alone [2]bool) {
	seed := number(t, envSeed, int64(rand.Uint32()))
	ops := 20
	if longtest.On() {
		ops = 60
	}
	ops = int(number(t, envOps, int64(ops)))
	t.Logf("%s=%d makes the writers choose the same again", envSeed, seed)
	db, b, schema := create(t)
	_, err := db.ExecContext(t.Context(), `create sequence `+schema+`.clock`)
	require.NoError(t, err)

	drivers := pgtest.Drivers()
	h := runWorkers(t, len(drivers), func(i int) plan {
		return plan{
			Worker: i, Driver: drivers[i], Schema: schema, Seed: uint64(seed), Writers: 9, Ops: ops, Alone: alone[i],
			URL: pgtest.URL(t) + "&deadlock_timeout=50ms&application_name=" + schema,
		}
	})
	eventually(t, "what the workers left running has ended", func() bool {
		return count(t, db, `select count(*) from pg_stat_activity where application_name = $1`, schema) == 0
	})
	es := store.New(b, nil)
	require.NoError(t, h.ReadFinal(t.Context(), es))
	for i, v := range h.Check() {
		assert.Fail(t, v.String())
		if i == 20 {
			break
		}
	}
	eventually(t, "no hole is left", func() bool {
		_, err := b.Tick(t.Context())
		require.NoError(t, err)
		return count(t, db, `select count(*) from `+schema+`.holes`) == 0
	})
	checkVariety(t, h, count(t, db, `select count(*) from (
		select append_seq < lag(append_seq) over (order by position) as late from `+schema+`.log) as l where late`))
}

// runWorkers runs n workers and returns what they recorded.
func runWorkers(t *testing.T, n int, planned func(i int) plan) history.History {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmds, outs, errs := make([]*exec.Cmd, n), make([]bytes.Buffer, n), make([]bytes.Buffer, n)
	for i := range n {
		cmds[i] = child.Command(ctx, t, planned(i))
		cmds[i].Stdout, cmds[i].Stderr = &outs[i], &errs[i]
		require.NoError(t, cmds[i].Start())
	}
	failed := false
	for i, cmd := range cmds {
		failed = !assert.NoError(t, cmd.Wait(), "worker %d: %s", i, &errs[i]) || failed
	}
	if failed {
		t.FailNow()
	}
	var h history.History
	for i := range outs {
		var part history.History
		require.NoError(t, json.Unmarshal(outs[i].Bytes(), &part))
		h.Merge(part)
	}
	return h
}

// checkVariety sees to it that the history is one that could have gone wrong.
func checkVariety(t *testing.T, h history.History, late int64) {
	t.Helper()
	type class struct {
		history.Kind
		history.Outcome
	}
	classes, pages := map[class]int{}, map[bool]int{}
	for _, w := range h.Writes {
		classes[class{w.Kind, w.Outcome}]++
	}
	for _, p := range h.Pages {
		pages[len(p.Events) > 0]++
	}
	t.Logf("writes: %v; pages with events: %d; events: %d, up to position %d; appends placed late: %d", classes, pages[true], len(h.Final), h.Head, late)
	for _, c := range []class{
		{history.Append, history.Committed}, {history.Append, history.Refused},
		{history.Link, history.Committed}, {history.Link, history.Refused}, {history.Delete, history.Committed},
	} {
		assert.Positive(t, classes[c], "%v", c)
	}
	assert.Positive(t, late)
	assert.Greater(t, h.Head, int64(len(h.Final)), "positions of deleted events")
}

// TestBareSequenceLosesEvents shows that the checker would find a store that takes the number of an append for its
// position, in a schedule that this store stands.
func TestBareSequenceLosesEvents(t *testing.T) {
	t.Parallel()
	db, b, schema := create(t)
	es := store.New(b, nil)
	var right, bare history.Recorder
	now := int64(0)
	clock := func(context.Context) (int64, error) { now++; return now, nil }
	reader := history.Reader{Name: "right", Store: es, Recorder: &right, Clock: clock}

	after := int64(0)
	look := func() {
		_, err := reader.Next(t.Context(), 10)
		require.NoError(t, err)
		p := history.Page{Reader: "bare", After: after, Began: now + 1, Ended: now + 2, End: true, Events: readBare(t, db, schema, after)}
		now += 2
		bare.Read(p)
		if n := len(p.Events); n > 0 {
			after = p.Events[n-1].Position
		}
	}
	write := func(es *store.Store, id string) history.Write {
		w := history.Write{Kind: history.Append, Stream: "stream-" + id, IDs: []string{id}, First: 1, Began: now + 1, Ended: now + 2, Outcome: history.Committed}
		now += 2
		_, err := es.Append(t.Context(), w.Stream, store.NoStream, store.Event{Type: "happened", Data: id})
		require.NoError(t, err)
		return w
	}
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	slow := write(es.WithTx(tx), "a") // draws 1
	quick := write(es, "b")           // draws 2
	look()
	require.NoError(t, tx.Commit())
	slow.Ended = now + 1
	now++
	look()

	h := right.History()
	h.Writes = []history.Write{slow, quick}
	require.NoError(t, h.ReadFinal(t.Context(), es))
	require.Empty(t, h.Check())

	h.Pages = bare.History().Pages
	h.Final = readBare(t, db, schema, 0)
	require.Equal(t, []history.Violation{
		{Promise: "P4", What: "bare read from 0 to 2 and missed a (stream-a@1) at 1"},
	}, h.Check())
}

// readBare reads events of one-event appends as a store would that had no log.
func readBare(t *testing.T, db *sql.DB, schema string, after int64) []history.Seen {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `select e.append_seq, convert_from(e.data, 'UTF8')::jsonb #>> '{}', s.name, e.version
		from `+schema+`.events e join `+schema+`.streams s using (stream_id) where e.append_seq > $1 order by e.append_seq`, after)
	require.NoError(t, err)
	defer rows.Close() //nolint:errcheck // Err is looked at
	var events []history.Seen
	for rows.Next() {
		var s history.Seen
		require.NoError(t, rows.Scan(&s.Position, &s.ID, &s.Stream, &s.Version))
		events = append(events, s)
	}
	require.NoError(t, rows.Err())
	return slices.Clip(events)
}

// create creates a store in a schema of its own.
func create(t *testing.T) (db *sql.DB, b *postgres.Backend, schema string) {
	t.Helper()
	schema = pgtest.Schema(t)
	db = pgtest.Open(t, "pgx", pgtest.URL(t))
	b = postgres.New(db, &postgres.Options{Schema: schema})
	require.NoError(t, migrate.Up(t.Context(), b))
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return db, b, schema
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

func count(t *testing.T, db *sql.DB, query string, args ...any) (n int64) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), query, args...).Scan(&n))
	return n
}

// eventually waits until done, looking again and again.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	every := time.NewTicker(5 * time.Millisecond)
	defer every.Stop()
	for !done() {
		select {
		case <-every.C:
		case <-deadline:
			require.Fail(t, "never happened: "+what)
		}
	}
}
