package postgres

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// TestGateOrder: writes to a stream pass one at a time, in the order they came, and other streams are free. A write that gives up
// leaves the line.
func TestGateOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		var passed []int
		first := g.queue("a")
		require.NoError(t, first.wait(t.Context()))
		given, giveUp := context.WithCancel(t.Context())
		for i := range 2 * flowing {
			ctx := t.Context()
			if i == 2 {
				ctx = given
			}
			turn := g.queue("a")
			go func() {
				defer turn.end()
				if _, err := turn.near(ctx); err == nil && turn.wait(ctx) == nil {
					passed = append(passed, i)
				}
			}()
		}
		synctest.Wait()
		require.Empty(t, passed)
		other := g.queue("b")
		require.NoError(t, other.wait(t.Context()))
		giveUp()
		synctest.Wait()
		first.end()
		synctest.Wait()
		want := []int{0, 1}
		for i := 3; i < 2*flowing; i++ {
			want = append(want, i)
		}
		require.Equal(t, want, passed)
		other.end()
		other.end()
		require.Empty(t, g.lines)
	})
}

// TestGateTry: those behind the first in line may try if the writes before were quick, and as long as the first is.
func TestGateTry(t *testing.T) {
	t.Parallel()
	mayTry := func(list []*turn) (n int) {
		for _, turn := range list {
			if isClosed(turn.try) {
				n++
			}
		}
		return n
	}
	for _, test := range []struct {
		name string
		took time.Duration // by the last of the writes before
		want int
	}{{"quick", quick, depth - 1}, {"slow", quick + 1, 0}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGate()
				turns := make([]*turn, flowing+2*depth)
				for i := range turns {
					turns[i] = g.queue("a")
				}
				for i, turn := range turns[:flowing] {
					require.Zero(t, mayTry(turns))
					require.NoError(t, turn.wait(t.Context()))
					if i == flowing-1 {
						time.Sleep(test.took)
					}
					turn.end()
				}
				turns = turns[flowing:]
				require.Equal(t, test.want, mayTry(turns))
				if test.want == 0 {
					return
				}
				first, err := turns[1].near(t.Context())
				require.NoError(t, err)
				require.False(t, first)
				turns[1].end() // it got through before the first
				require.Equal(t, depth, mayTry(turns), "another may try in its place")
				time.Sleep(quick + 1)
				turns[2].end()
				require.Equal(t, depth, mayTry(turns), "the first takes long: no more of them")
				turns[0].end()
				first, err = turns[3].near(t.Context())
				require.NoError(t, err)
				require.True(t, first)
				for _, turn := range turns {
					turn.end()
				}
				require.Empty(t, g.lines)
			})
		})
	}
}

// sessionsWaiting is how many sessions wait for a lock in a statement that names the backend's schema.
func sessionsWaiting(t *testing.T, b *Backend) int64 {
	t.Helper()
	return number(t, b, `select count(*) from pg_stat_activity
		where datname = current_database() and wait_event_type = 'Lock' and query like '%' || $1 || '.%'`, quote(b.opts.Schema))
}

// inLine is how many writes wait at a gate.
func inLine(g *gate, stream string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lines[stream] == nil {
		return 0
	}
	return len(g.lines[stream].turns) - 1 // the first is at the server
}

// poolOf returns a backend on a pool of n connections, and one on the same tables that observes it from another pool.
func poolOf(t *testing.T, driver string, n int, alone bool) (b, observer *Backend) {
	t.Helper()
	url := pgtest.URL(t)
	opts := &Options{Schema: pgtest.Schema(t), NoGroupCommit: alone}
	observer = New(pgtest.Open(t, "pgx", url), opts)
	install(t, observer)
	db := pgtest.Open(t, driver, url)
	db.SetMaxOpenConns(n)
	b = New(db, opts)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b, observer
}

// eachMode runs a test with each driver, with group commit and without.
func eachMode(t *testing.T, test func(t *testing.T, driver string, alone bool)) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		for _, alone := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/alone=%t", driver, alone), func(t *testing.T) {
				t.Parallel()
				test(t, driver, alone)
			})
		}
	}
}

// TestOneConnectionWaitsForAStream: of the writes to a stream that another transaction holds, one waits at the server. So a pool of
// ten is not used up, and writes to other streams and reads go on.
func TestOneConnectionWaitsForAStream(t *testing.T) {
	eachMode(t, func(t *testing.T, driver string, alone bool) {
		b, observer := poolOf(t, driver, 10, alone)
		es := store.New(b, &store.Options{HardDelete: true})
		ids := []uuid.UUID{uuid.New(), uuid.New()}
		_, err := es.Append(t.Context(), "source", store.NoStream, happened(ids...)...)
		require.NoError(t, err)
		streams := []string{"appends", "links", "deletes"}
		tx := begin(t, observer)
		for _, stream := range append([]string{"unborn"}, streams...) {
			if stream != "unborn" {
				appendTo(t, b, stream, 1)
			}
			appendTo(t, observer.WithTx(tx), stream, 1)
		}
		require.NoError(t, store.New(observer.WithTx(tx), nil).RecordSnapshot(t.Context(), store.Snapshot{SourceID: "s", Type: "state", Data: 1}))

		var wg sync.WaitGroup
		writes := map[string]func(i int) error{
			"appends": func(i int) error {
				_, err := es.Append(t.Context(), "appends", store.Any, happened(make([]uuid.UUID, 1+i%2*groupedEvents)...)...)
				return err
			},
			"unborn": func(int) error {
				_, err := es.Append(t.Context(), "unborn", store.Any, happened()...)
				return err
			},
			"links": func(i int) error {
				_, err := es.Link(t.Context(), "links", store.Any, ids[i%2])
				if i >= 2 {
					assert.ErrorIs(t, err, store.ErrDuplicateEvent)
					return nil
				}
				return err
			},
			"deletes": func(i int) error {
				return es.Delete(t.Context(), "deletes", store.Any, []store.DeleteKind{store.SoftDelete, store.HardDelete}[min(i, 1)])
			},
			"s": func(i int) error {
				if i%3 == 2 {
					return es.DeleteSnapshot(t.Context(), "s")
				}
				return es.RecordSnapshot(t.Context(), store.Snapshot{SourceID: "s", Type: "state", Data: i, Force: true})
			},
		}
		for target, write := range writes {
			g := b.streams
			if target == "s" {
				g = b.sources
			}
			for i := range 12 {
				wg.Go(func() {
					if err := write(i); target != "deletes" || i < 2 { // there is nothing to delete for the others
						assert.NoError(t, err)
					}
				})
				eventually(t, "it is in line", func() bool {
					g.mu.Lock()
					defer g.mu.Unlock()
					return g.lines[target] != nil && len(g.lines[target].turns) == i+1
				})
			}
		}
		eventually(t, "one session waits for each", func() bool { return sessionsWaiting(t, observer) == int64(len(writes)) })
		for i := range 20 {
			appendTo(t, b, fmt.Sprint("other-", i%3), 1)
			_, err = es.Page(t.Context(), store.All, nil)
			require.NoError(t, err)
		}
		require.EqualValues(t, len(writes), sessionsWaiting(t, observer), "no other comes to wait")
		require.LessOrEqual(t, b.db.Stats().InUse, len(writes))
		require.NoError(t, tx.Commit())
		wg.Wait()
		require.Empty(t, b.streams.lines)
		require.Empty(t, b.sources.lines)
		info, err := es.StreamInfo(t.Context(), "appends")
		require.NoError(t, err)
		require.EqualValues(t, 2+6*(1+1+groupedEvents), info.Version)
	})
}

// TestWaitingWritesKeepTheirOrder: writes to a stream that another transaction holds are written in the order they came, without
// those that gave up.
func TestWaitingWritesKeepTheirOrder(t *testing.T) {
	eachMode(t, func(t *testing.T, driver string, alone bool) {
		b, observer := poolOf(t, driver, 2, alone)
		es := store.New(b, nil)
		appendTo(t, b, "held", 1)
		tx := begin(t, observer)
		appendTo(t, observer.WithTx(tx), "held", 1)
		given, cancel := context.WithCancel(t.Context())
		defer cancel()
		results, errs := make([]store.AppendResult, 12), make([]error, 12)
		var stay, giveUp sync.WaitGroup
		for i := range results {
			ctx, wg := t.Context(), &stay
			if i%3 == 1 {
				ctx, wg = given, &giveUp
			}
			wg.Go(func() { results[i], errs[i] = es.Append(ctx, "held", store.Any, happened()...) })
			eventually(t, "it waits", func() bool { return inLine(b.streams, "held") == i && (i > 0 || waiting(t, observer) == 1) })
		}
		cancel()
		giveUp.Wait()
		require.Equal(t, 7, inLine(b.streams, "held"), "eight are left, the first of them at the server")
		require.NoError(t, tx.Commit())
		stay.Wait()
		last := int64(2)
		for i := range results {
			if i%3 == 1 {
				require.ErrorIs(t, errs[i], context.Canceled)
				continue
			}
			last++
			require.NoError(t, errs[i])
			require.Equal(t, last, results[i].Last)
		}
	})
}

// TestTransactionPassesNoGate: a caller's transaction does not wait behind writes of its own process that wait for it.
func TestTransactionPassesNoGate(t *testing.T) {
	eachMode(t, func(t *testing.T, driver string, alone bool) {
		b, observer := poolOf(t, driver, 3, alone)
		tx := begin(t, b)
		appendTo(t, b.WithTx(tx), "held", 1)
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() { appendTo(t, b, "held", 1) })
			eventually(t, "it waits", func() bool { return inLine(b.streams, "held") == i && (i > 0 || waiting(t, observer) == 1) })
		}
		other := begin(t, b)
		wg.Go(func() {
			appendTo(t, b.WithTx(other), "held", 1)
			assert.NoError(t, other.Commit())
		})
		eventually(t, "another transaction waits at the server", func() bool { return waiting(t, observer) == 2 })
		require.EqualValues(t, 2, appendTo(t, b.WithTx(tx), "held", 1).Last, "the transaction that all wait for goes on")
		require.NoError(t, tx.Commit())
		wg.Wait()
		require.Len(t, all(t, b), 8)
	})
}

// TestTryBeforeTheFirst: where the writes to a stream are quick, the second in line gets through before the first if it can, and is
// back in line, without a connection, if another transaction holds the stream.
func TestTryBeforeTheFirst(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		for _, n := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s/events=%d", driver, n), func(t *testing.T) {
				t.Parallel()
				b, observer := poolOf(t, driver, 1, true)
				var first *turn
				behind := func() chan int64 {
					first = b.streams.queue("s")
					b.streams.mu.Lock()
					b.streams.lines["s"].quick = flowing
					b.streams.lines["s"].since = time.Now().Add(time.Hour) // quick, however busy the machine is
					b.streams.mu.Unlock()
					done := make(chan int64, 1)
					go func() { done <- appendTo(t, b, "s", n).Last }()
					return done
				}
				done := behind()
				eventually(t, "it has tried", func() bool { return len(done) == 1 })
				require.EqualValues(t, n, <-done)
				first.end()

				tx := begin(t, observer)
				appendTo(t, observer.WithTx(tx), "s", 1)
				conn, err := b.db.Conn(t.Context()) // the only one
				require.NoError(t, err)
				asked := b.db.Stats().WaitCount
				done = behind()
				eventually(t, "it tries", func() bool { return b.db.Stats().WaitCount > asked })
				third := b.streams.queue("s")
				require.NoError(t, conn.Close()) // the try gets the connection, and fails at the server
				eventually(t, "it has given up", func() bool { return waiting(t, observer) == 0 && b.db.Stats().InUse == 0 })
				require.Equal(t, 2, inLine(b.streams, "s"))
				first.end()
				eventually(t, "it is the first, before the third, and waits", func() bool { return waiting(t, observer) == 1 })
				require.NoError(t, tx.Commit())
				require.EqualValues(t, 2*n+1, <-done)
				third.end()
				require.Zero(t, number(t, b, `select setting::int from pg_settings where name = 'lock_timeout'`), "the session is as it was")
			})
		}
	}
}

// TestOneConnectionWaitsForTheSourceOfLinks: of the links, to whatever streams, whose events are of a stream that another transaction
// is deleting, one waits at the server.
func TestOneConnectionWaitsForTheSourceOfLinks(t *testing.T) {
	eachMode(t, func(t *testing.T, driver string, alone bool) {
		for _, kept := range []bool{true, false} {
			b, observer := poolOf(t, driver, 10, alone)
			es := store.New(b, &store.Options{HardDelete: true})
			ids := []uuid.UUID{uuid.New(), uuid.New()}
			_, err := es.Append(t.Context(), "source", store.NoStream, happened(ids...)...)
			require.NoError(t, err)
			tx := begin(t, observer)
			require.NoError(t, store.New(observer.WithTx(tx), &store.Options{HardDelete: true}).Delete(t.Context(), "source", store.Any, store.HardDelete))
			errs := make([]error, 12)
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() { _, errs[i] = es.Link(t.Context(), fmt.Sprint("target-", i), store.Any, ids[i%2]) })
			}
			eventually(t, "all wait for the source", func() bool {
				return inLine(b.streams, "source") == len(errs)-1 && sessionsWaiting(t, observer) == 1
			})
			for i := range 10 {
				appendTo(t, b, fmt.Sprint("target-", i), 1)
			}
			require.LessOrEqual(t, b.db.Stats().InUse, 1)
			if kept {
				require.NoError(t, tx.Rollback())
			} else {
				require.NoError(t, tx.Commit())
			}
			wg.Wait()
			for _, err := range errs {
				if kept {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, store.ErrEventNotFound)
				}
			}
			require.Empty(t, b.streams.lines)
		}
	})
}
