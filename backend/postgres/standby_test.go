package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

func TestStandby(t *testing.T) {
	t.Parallel()
	primary := pgtest.StartServer(t, "wal_level=replica", "max_wal_senders=10", "hot_standby=on", "wal_keep_size=256MB", "max_standby_streaming_delay=0")
	c := &cluster{t: t, primary: primary, a: primary.StartStandby(t), b: primary.StartStandby(t)}
	// Replay is paused for all of a server: one after the other.
	for _, driver := range pgtest.Drivers() {
		t.Run("alone/"+driver, func(t *testing.T) { testStandbyAlone(c.store(t, driver, "alone_"+driver)) })
		t.Run("reads/"+driver, func(t *testing.T) { testReadsOfStandby(c.store(t, driver, "reads_"+driver)) })
		t.Run("conflict/"+driver, func(t *testing.T) { testRecoveryConflict(c.store(t, driver, "conflict_"+driver)) })
		t.Run("positions/"+driver, func(t *testing.T) { testPositionsForStandby(c.store(t, driver, "positions_"+driver)) })
	}
	for i, stream := range []string{store.All, "s"} {
		t.Run("takeover/"+stream, func(t *testing.T) { testStandbyTakeover(c.store(t, "pgx", fmt.Sprint("takeover_", i)), stream) })
	}
	t.Run("several", func(t *testing.T) { testStandbysBehindOneAddress(c.store(t, "pgx", "several")) })
	t.Run("parked", func(t *testing.T) { testReplayOfParkedOnStandby(c.store(t, "pgx", "parked_late")) })
	t.Run("deleted", func(t *testing.T) { testHardDeleteOnStandby(c.store(t, "pgx", "deleted")) })
	t.Run("down", func(t *testing.T) { testStandbyDown(c.store(t, "pgx", "down")) })
	t.Run("lost", func(t *testing.T) { testLossWithStandby(c.store(t, "pgx", "lost")) })
}

// testStandbyAlone: a store on a standby alone reads and watches. What writes returns ErrReadOnly, and so does Check.
func testStandbyAlone(s *lab) {
	t, ctx := s.t, s.t.Context()
	want := s.append("s", 3)
	s.replayed()
	b := New(pgtest.Open(t, s.driver, s.a.URL()), &Options{Schema: s.schema})
	es := store.New(b, &store.Options{PollInterval: 10 * time.Millisecond})
	defer es.Close() //nolint:errcheck // it has no leases
	err := es.Check(ctx)
	require.ErrorIs(t, err, store.ErrReadOnly)
	assert.ErrorContains(t, err, "the server is a standby: connect to the primary")
	assert.Equal(t, want, s.ids(es, store.All))
	_, err = es.Subscribe(ctx, "s", "reader", nil)
	require.ErrorIs(t, err, store.ErrReadOnly)
	err = es.Consume(ctx, store.All, "reader", func(context.Context, store.Recorded) error { return nil }, nil)
	require.ErrorIs(t, err, store.ErrReadOnly)
	err = es.Project(ctx, "projection", func(context.Context, *sql.Tx, []store.Recorded) error { return nil }, nil)
	require.ErrorIs(t, err, store.ErrReadOnly)
	_, err = Activities(ctx, b.db, s.schema)
	require.ErrorIs(t, err, store.ErrReadOnly)
	_, err = es.Append(ctx, "s", store.Any, store.Event{Type: "happened", Data: 1})
	require.ErrorIs(t, err, store.ErrReadOnly)
	w, err := es.Watch(ctx, store.All, nil)
	require.NoError(t, err)
	want = s.append("s", 1)
	got, err := w.Next(ctx)
	require.NoError(t, err)
	assert.Equal(t, want[3], got[0].ID)
	require.NoError(t, es.Close())
	require.NoError(t, b.Close())

	tx, err := s.writer.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	defer tx.Rollback() //nolint:errcheck // nothing is written
	assert.ErrorContains(t, store.New(s.writer, nil).WithTx(tx).Check(ctx), "the session is read-only")
	require.NoError(t, store.New(s.writer, nil).Check(ctx))
}

// testReadsOfStandby: reads show what the standby has replayed; Primary, and what runs in a transaction, shows everything. Reads give no
// positions and don't write at the standby, also where Reads is the primary itself.
func testReadsOfStandby(s *lab) {
	t, ctx := s.t, s.t.Context()
	b := s.backend(s.a)
	es := store.New(b, nil)
	defer es.Close() //nolint:errcheck // it has no leases
	require.NoError(t, es.Check(ctx))
	old := s.append("s", 3)
	s.replayed()
	s.a.PauseReplay()
	want := s.append("s", 2)
	for _, stream := range []string{store.All, "s"} {
		assert.Equal(t, old, s.ids(es, stream))
		assert.Equal(t, want, s.ids(es.Primary(), stream))
		none, err := es.Page(ctx, stream, &store.ReadOptions{After: 5})
		require.NoError(t, err, "the primary has it")
		assert.Empty(t, none)
		_, err = es.Page(ctx, stream, &store.ReadOptions{After: 6})
		require.ErrorIs(t, err, store.ErrPositionLost)
	}
	require.NoError(t, es.InTx(ctx, func(tx *sql.Tx) error {
		assert.Equal(t, want, s.ids(es.WithTx(tx), "s"))
		return nil
	}))
	_, err := es.Event(ctx, want[4])
	require.ErrorIs(t, err, store.ErrEventNotFound)
	_, err = es.Primary().Event(ctx, want[4])
	require.NoError(t, err)
	back, err := es.Page(ctx, store.All, &store.ReadOptions{Backward: true})
	require.NoError(t, err)
	assert.Len(t, back, 3)
	head, err := es.Head(ctx)
	require.NoError(t, err)
	assert.EqualValues(t, 3, head)
	// A retry of an append, and a snapshot, are judged by what the primary has.
	e := store.Event{ID: uuid.New(), Type: "happened", Data: 1}
	first, err := es.Append(ctx, "s", store.Any, e)
	require.NoError(t, err)
	again, err := es.Append(ctx, "s", store.Any, e)
	require.NoError(t, err)
	assert.True(t, again.Retried)
	assert.Equal(t, first.Last, again.Last)
	require.NoError(t, es.RecordSnapshot(ctx, store.Snapshot{SourceID: "s", Version: 5, Type: "snapshot", Data: 1}))
	_, err = es.ReadSnapshot(ctx, "s")
	require.ErrorIs(t, err, store.ErrSnapshotNotFound)
	require.ErrorIs(t, es.RecordSnapshot(ctx, store.Snapshot{SourceID: "s", Version: 4, Type: "snapshot", Data: 1}), store.ErrSnapshotConflict)
	want = s.ids(es.Primary(), "s")
	s.a.ResumeReplay()
	s.replayed()
	assert.Equal(t, want, s.ids(es, "s"))
	_, err = es.ReadSnapshot(ctx, "s")
	require.NoError(t, err)
	page, err := es.Streams(ctx, nil)
	require.NoError(t, err)
	assert.EqualValues(t, 1, page.Total)

	same := store.New(s.backend(s.primary), nil) // as where the address falls back to the primary
	defer same.Close()                           //nolint:errcheck // it has no leases
	require.NoError(t, same.Check(ctx))
	assert.Equal(t, want, s.ids(same, "s"))
}

// testPositionsForStandby: positions are given at the primary when somebody reads all events from a standby, though no process
// subscribes to anything, and when a process that reads from a standby appends.
func testPositionsForStandby(s *lab) {
	t := s.t
	appendTo(t, s.writer, "s", 3) // and nobody reads
	reader := store.New(s.backend(s.a), nil)
	defer reader.Close() //nolint:errcheck // it has no leases
	eventually(t, "the standby shows them", func() bool { return len(s.ids(reader, store.All)) == 3 })
	writes := s.backend(s.b)
	other := store.New(writes, nil)
	defer other.Close() //nolint:errcheck // it has no leases
	_, err := other.Append(t.Context(), "s", store.Any, store.Event{Type: "happened", Data: 1})
	require.NoError(t, err)
	eventually(t, "it has its position", func() bool {
		return number(t, s.writer, `select coalesce(sum(n * appends), 0) from /*schema.*/log`) == 4
	})
}

// testRecoveryConflict: a read that the standby has cancelled since it is in the way of the replay is repeated.
func testRecoveryConflict(s *lab) {
	t, ctx := s.t, s.t.Context()
	s.append("s", 3)
	s.replayed()
	r := s.backend(s.a).Replica().(*replica)
	admin := pgtest.Open(t, "pgx", s.a.URL())
	for _, statement := range []string{"select count(*), pg_sleep(60) from " + s.schema + ".log", "select count(*), null from " + s.schema + ".log"} {
		attempts := 0
		var head int64
		err := r.read(ctx, func(b *Backend) error {
			if attempts++; attempts > 1 {
				var err error
				head, err = b.Head(ctx)
				return err
			}
			stuck := make(chan error, 1)
			go func() {
				_, err := b.tx.(*sql.Tx).ExecContext(ctx, statement)
				stuck <- err
			}()
			eventually(t, "the standby is at it, with the table locked", func() bool {
				var n int
				require.NoError(t, admin.QueryRowContext(ctx, `select count(*) from pg_locks as l join pg_stat_activity as a using (pid)
					where l.relation = $1::text::regclass and a.query = $2`, s.schema+".log", statement).Scan(&n))
				return n > 0
			})
			_, err := s.writer.db.ExecContext(ctx, `begin; lock table `+s.schema+`.log in access exclusive mode; commit`)
			require.NoError(t, err)
			if err = <-stuck; err != nil {
				return translate(ctx, "stuck", err)
			}
			eventually(t, "the standby has ended the session", func() bool {
				var n int
				require.NoError(t, admin.QueryRowContext(ctx, `select count(*) from pg_stat_activity where query = $1`, statement).Scan(&n))
				return n == 0
			})
			_, err = b.Head(ctx)
			return err
		})
		require.NoError(t, err, statement)
		assert.Equal(t, 2, attempts)
		assert.EqualValues(t, 3, head)
	}
}

// testStandbyTakeover: a process whose standby lags takes over from one whose standby does not. Both the consumer and the projection go on
// behind the last event, each event once, and tell meanwhile that the standby lags.
func testStandbyTakeover(s *lab, stream string) {
	s.b.PauseReplay()
	want := s.append("s", 20)
	first := s.program(s.backend(s.a), stream)
	first.has(want, want)
	first.close()
	want = s.append("s", 5)
	second := s.program(s.backend(s.b), stream)
	if stream == store.All {
		var lag *store.ReplicaLagError
		require.ErrorAs(s.t, second.replicaTrouble(), &lag)
		assert.EqualValues(s.t, 25, lag.Head)
	}
	require.Empty(s.t, second.seen)
	list, err := second.es.Subscriptions(s.t.Context())
	require.NoError(s.t, err)
	assert.EqualValues(s.t, 5, list[0].Lag(), "the lag in lists is behind the primary")
	s.b.ResumeReplay()
	second.has(want[20:], want)
	want = s.append("s", 3)
	second.has(want[20:], want)
	second.close()
}

// testReplayOfParkedOnStandby: an event that one process has parked is replayed by another, whose standby does not have it yet. It is
// applied, and not taken for one that was hard deleted.
func testReplayOfParkedOnStandby(s *lab) {
	t, ctx := s.t, s.t.Context()
	s.b.PauseReplay()
	want := s.append("s", 1)
	run := func(es *store.Store, handler store.BatchHandler) (stop func()) {
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() {
			done <- es.Project(ctx, "projection", handler, &store.ProjectOptions{
				RetryInterval: 20 * time.Millisecond, OnError: func(store.Recorded, error, int) store.Decision { return store.Park },
			})
		}()
		return func() {
			cancel()
			require.ErrorIs(t, <-done, context.Canceled)
			require.NoError(t, es.Close())
		}
	}
	opts := &store.Options{PollInterval: 10 * time.Millisecond, LeaseTTL: 3 * time.Second}
	parked := func() int64 { return number(t, s.writer, `select count(*) from /*schema.*/parked`) }
	stop := run(store.New(s.backend(s.a), opts), func(context.Context, *sql.Tx, []store.Recorded) error { return errors.New("boom") })
	eventually(t, "it is parked", func() bool { return parked() == 1 })
	stop()
	p := &program{s: s}
	stop = run(store.New(s.backend(s.b), opts), p.project)
	n, err := store.New(s.writer, nil).ReplayParked(ctx, "projection", nil)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	eventually(t, "it is replayed", func() bool { return parked() == 0 })
	p.has(nil, want)
	stop()
	s.b.ResumeReplay()
}

// testHardDeleteOnStandby: a stream is hard deleted and created again. The standby shows that late; the subscription hands on the new
// stream from its beginning.
func testHardDeleteOnStandby(s *lab) {
	t, ctx := s.t, s.t.Context()
	old := s.append("s", 5)
	s.replayed()
	p := s.program(s.backend(s.b), "s")
	p.has(old, old)
	s.b.PauseReplay()
	es := store.New(s.writer, &store.Options{HardDelete: true})
	require.NoError(t, es.Delete(ctx, "s", store.Any, store.HardDelete))
	_, err := s.writer.db.ExecContext(ctx, `delete from `+s.schema+`.applied`)
	require.NoError(t, err)
	want := s.append("s", 8)
	s.append("other", 1)
	stale, err := p.es.Page(ctx, "s", nil)
	require.NoError(t, err)
	require.Len(t, stale, 5, "the standby still has the old stream")
	s.b.ResumeReplay()
	p.has(slices.Concat(old, want), want)
	p.close()
}

// testStandbyDown: while the standby is down reads fail with ErrReplica, subscriptions wait, and the primary is read by those who ask it.
func testStandbyDown(s *lab) {
	t, ctx := s.t, s.t.Context()
	want := s.append("s", 3)
	s.replayed()
	p := s.program(s.backend(s.b), store.All)
	p.has(want, want)
	s.b.Stop()
	want = s.append("s", 2)
	_, err := p.es.Page(ctx, "s", nil)
	require.ErrorIs(t, err, store.ErrReplica)
	_, err = p.es.Head(ctx)
	require.ErrorIs(t, err, store.ErrReplica)
	_, err = p.es.StreamInfo(ctx, "s")
	require.ErrorIs(t, err, store.ErrReplica)
	require.ErrorIs(t, p.es.Check(ctx), store.ErrReplica)
	assert.Equal(t, want, s.ids(p.es.Primary(), "s"))
	require.ErrorIs(t, p.replicaTrouble(), store.ErrReplica)
	s.b.Restart()
	p.has(want, want)
	p.close()
}

// testLossWithStandby: the primary is killed, and a standby that was cut off before takes over. The program has read, from the other
// standby, what is lost: it is told. It hands on nothing that the new primary does not have, though its standby still shows that.
func testLossWithStandby(s *lab) {
	t := s.t
	kept := s.append("s", 20)
	both := replaceHost(s.primary, s.a)
	b := New(pgtest.Open(t, "pgx", both), &Options{Schema: s.schema, Reads: pgtest.Open(t, "pgx", s.b.URL())})
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	p := s.program(b, store.All)
	p.has(kept, kept)
	s.replayed()
	s.a.CutOff()
	lost := s.append("s", 10)
	at := *s
	at.writer = New(pgtest.Open(t, "pgx", s.a.URL()), &Options{Schema: s.schema})
	t.Cleanup(func() { require.NoError(t, at.writer.Close()) })
	p.has(lost, lost)

	s.primary.Kill()
	s.a.Promote()
	eventually(t, "both have ended", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.ends) == 2
	})
	for _, err := range p.ends {
		require.ErrorIs(t, err, store.ErrPositionLost)
	}
	want := at.append("s", 15)
	require.Len(t, want, 35)
	after := at.program(b, store.All)
	eventually(t, "the state tells that the standby is not the primary's", func() bool {
		after.mu.Lock()
		defer after.mu.Unlock()
		return slices.ContainsFunc(after.states, func(s store.SubscriptionState) bool {
			return errors.Is(s.Err, store.ErrReplica) && strings.Contains(s.Err.Error(), "does not follow that primary")
		})
	})
	after.mu.Lock()
	for _, id := range after.seen {
		assert.NotContains(t, lost[20:], id)
	}
	after.mu.Unlock()
	after.close()

	// With a standby that follows, which here is the primary itself, it goes on.
	b = New(pgtest.Open(t, "pgx", both), &Options{Schema: s.schema, Reads: pgtest.Open(t, "pgx", s.a.URL())})
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	last := at.program(b, store.All)
	eventually(t, "the read model has everything", func() bool {
		return number(t, at.writer, `select count(*) from /*schema.*/applied`) == 35
	})
	last.close()
}
