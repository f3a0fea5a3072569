package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres/internal/grouping"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// crowd are appends that wait for the same flush.
type crowd struct {
	t       *testing.T
	b       *Backend
	es      *store.Store
	wg      sync.WaitGroup
	leaders []*grouping.Append[*member] // that the appends wait for
}

type outcome struct {
	store.AppendResult
	err error
}

// gather lets appends to b wait from now on, as if others were under way.
func gather(t *testing.T, b *Backend) *crowd {
	t.Helper()
	b.group.mu.Lock()
	defer b.group.mu.Unlock()
	c := &crowd{t: t, b: b, es: store.New(b, nil)}
	for i := range mostFlushes {
		c.leaders = append(c.leaders, b.group.appends.Join(fmt.Sprint("led-", i), 1, 1, time.Now().Add(time.Hour))) // and is not passed
		require.Equal(t, grouping.Leading, c.leaders[i].State())
	}
	return c
}

// add adds an append, and waits until it waits.
func (c *crowd) add(ctx context.Context, stream string, expected store.Expected, events ...store.Event) *outcome {
	c.t.Helper()
	before := c.waiting()
	o := &outcome{}
	c.wg.Go(func() { o.AppendResult, o.err = c.es.Append(ctx, stream, expected, events...) })
	eventually(c.t, "the append waits", func() bool { return c.waiting() == before+1 })
	return o
}

func (c *crowd) waiting() int {
	c.b.group.mu.Lock()
	defer c.b.group.mu.Unlock()
	return c.b.group.appends.Waiting()
}

// start ends what the appends wait for.
func (c *crowd) start() {
	c.b.group.mu.Lock()
	defer c.b.group.mu.Unlock()
	for _, l := range c.leaders {
		c.b.group.start(c.b, c.b.group.appends.Leave(l, time.Now()))
	}
}

// finish lets the appends go, and waits until all have returned.
func (c *crowd) finish() {
	c.t.Helper()
	c.start()
	c.wg.Wait()
	c.idle()
}

// idle waits until the group is as it was in the beginning.
func (c *crowd) idle() {
	c.t.Helper()
	g := c.b.group
	eventually(c.t, "the group is idle", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.appends.Idle() && len(g.places) == 0
	})
}

func happened(ids ...uuid.UUID) []store.Event {
	events := make([]store.Event, max(len(ids), 1))
	for i := range events {
		events[i].Type = "happened"
		if len(ids) > 0 {
			events[i].ID = ids[i]
		}
	}
	return events
}

// TestGroupOutcomes: appends in one flush have one commit, and each has its own outcome.
func TestGroupOutcomes(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			b := New(pgtest.Open(t, driver, pgtest.URL(t)), &Options{Schema: pgtest.Schema(t)})
			install(t, b)
			es := store.New(b, nil)
			first := happened(uuid.New(), uuid.New())
			for _, stream := range []string{"any", "expected", "there", "behind", "gone", "again", "known"} {
				_, err := es.Append(ctx, stream, store.Any, happened()...)
				require.NoError(t, err)
			}
			_, err := es.Append(ctx, "again", store.Version(1), first...)
			require.NoError(t, err)
			require.NoError(t, es.Delete(ctx, "gone", store.Any, store.SoftDelete))
			created := time.Date(2001, 2, 3, 4, 5, 6, 7000, time.UTC)
			cause := uuid.New()

			c := gather(t, b)
			fresh := c.add(ctx, "fresh", store.NoStream, happened()...)
			many := c.add(ctx, "many", store.Any, store.Event{Type: "a", Data: 1, CreatedAt: created, CausationID: cause},
				store.Event{Type: "b", Data: 2, Metadata: map[string]int{"m": 1}, CorrelationID: cause}, store.Event{Type: "a"})
			known := c.add(ctx, "known", store.Any, first[1])
			unborn := c.add(ctx, "absent", store.NoStream, first[0])
			given := c.add(ctx, "given", store.NoStream, happened(uuid.New())...)
			anyhow := c.add(ctx, "any", store.Any, happened()...)
			expected := c.add(ctx, "expected", store.Version(1), happened()...)
			there := c.add(ctx, "there", store.NoStream, happened()...)
			behind := c.add(ctx, "behind", store.Version(7), happened()...)
			absent := c.add(ctx, "missing", store.StreamExists, happened()...)
			gone := c.add(ctx, "gone", store.Any, happened()...)
			again := c.add(ctx, "again", store.Version(1), first...)
			c.finish()

			for _, o := range []struct {
				*outcome
				last int64
			}{{fresh, 1}, {many, 3}, {given, 1}, {anyhow, 2}, {expected, 2}} {
				require.NoError(t, o.err)
				assert.Equal(t, o.last, o.Last, o.Stream)
				assert.False(t, o.Retried)
			}
			require.ErrorIs(t, known.err, store.ErrDuplicateEvent)
			require.ErrorIs(t, unborn.err, store.ErrDuplicateEvent)
			require.ErrorIs(t, there.err, store.ErrWrongExpectedVersion)
			require.ErrorIs(t, behind.err, store.ErrWrongExpectedVersion)
			require.ErrorIs(t, absent.err, store.ErrWrongExpectedVersion)
			require.ErrorIs(t, gone.err, store.ErrStreamDeleted)
			require.NoError(t, again.err)
			assert.True(t, again.Retried)
			assert.EqualValues(t, 1, number(t, b, `select count(distinct e.xmin::text) from /*schema.*/events e join /*schema.*/streams s using (stream_id)
				where s.name in ('fresh', 'many', 'given') or s.name in ('any', 'expected') and e.version = 2`), "commits")
			assert.Zero(t, number(t, b, `select count(*) from /*schema.*/streams where name in ('absent', 'missing')`))

			page, err := es.Page(ctx, "many", nil)
			require.NoError(t, err)
			require.Len(t, page, 3)
			assert.Equal(t, created, page[0].CreatedAt)
			assert.Equal(t, cause, page[0].CausationID)
			assert.Equal(t, cause, page[1].CorrelationID)
			assert.Equal(t, []string{"a", "b", "a"}, []string{page[0].Type, page[1].Type, page[2].Type})
			assert.JSONEq(t, `2`, string(page[1].Data))
			assert.JSONEq(t, `{"m":1}`, string(page[1].Metadata))
			assert.Nil(t, page[0].Metadata)
			assert.Len(t, all(t, b), 7+2+7)
		})
	}
}

// TestGroupOrder: appends to one stream keep their order, whatever flush they are in, as long as none is passed over.
func TestGroupOrder(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	b.group.patience = time.Hour
	c := gather(t, b)
	var outcomes []*outcome
	for i := range 10 {
		outcomes = append(outcomes, c.add(t.Context(), "one", store.Version(int64(i)), happened()...),
			c.add(t.Context(), fmt.Sprint("other-", i), store.NoStream, happened()...))
	}
	c.finish()
	for _, o := range outcomes {
		require.NoError(t, o.err)
	}
}

// TestGroupPassesOver: a stream that somebody's transaction holds, or is about to create, keeps nobody else waiting.
func TestGroupPassesOver(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{"held", "unborn"} {
		t.Run(stream, func(t *testing.T) {
			t.Parallel()
			var changes []change
			if stream == "held" { // it must not come to waiting for this one
				changes = append(changes, change{`set lock_timeout = '50ms' set enable_seqscan = off as $body$`, `set enable_seqscan = off as $body$`})
			}
			b := setup(t, pgtest.URL(t), changes...)
			appendTo(t, b, "held", 1)
			tx := begin(t, b)
			appendTo(t, b.WithTx(tx), stream, 1)
			c := gather(t, b)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			late := c.add(ctx, stream, store.Any, happened()...)
			first := c.add(ctx, "first", store.NoStream, happened()...)
			second := c.add(ctx, "second", store.NoStream, happened()...)
			c.start()
			eventually(t, "the others are there", func() bool { return number(t, b, `select count(*) from /*schema.*/events`) >= 2 })
			eventually(t, "one waits for the transaction", func() bool { return waiting(t, b) == 1 })
			appendTo(t, b, "third", 1)
			require.NoError(t, tx.Commit())
			c.wg.Wait()
			c.idle()
			for _, o := range []*outcome{late, first, second} {
				require.NoError(t, o.err)
			}
			require.Equal(t, int64(2), late.Last-number(t, b, `select count(*) from /*schema.*/streams where name = 'held' and $1 = 'held'`, stream))
		})
	}
}

// TestGroupMakesWay: appends that go by themselves and have to wait do not keep others from being sent, and those behind
// them on their streams wait for what they wait for, and for nothing else.
func TestGroupMakesWay(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	tx := begin(t, b)
	c := &crowd{t: t, b: b, es: store.New(b, nil)}
	var held []*outcome
	for i := range 2 * mostFlushes {
		stream := fmt.Sprint("held-", i%mostFlushes)
		if i < mostFlushes {
			appendTo(t, b, stream, 1)
			appendTo(t, b.WithTx(tx), stream, 1)
		}
		o := &outcome{}
		held = append(held, o)
		c.wg.Go(func() { o.AppendResult, o.err = c.es.Append(t.Context(), stream, store.Any, happened()...) })
	}
	for i := range 20 {
		appendTo(t, b, fmt.Sprint("free-", i%3), 1)
	}
	eventually(t, "the others wait for the transaction", func() bool {
		return waiting(t, b) == mostFlushes && inLine(b.streams, "held-0")+inLine(b.streams, "held-1") == len(held)-mostFlushes
	})
	appendTo(t, b, "free-0", 1)
	require.NoError(t, tx.Rollback())
	c.wg.Wait()
	c.idle()
	for _, o := range held {
		require.NoError(t, o.err)
	}
}

// TestGroupFails: a flush that fails as a whole, since two of its appends have the same id, is taken apart.
func TestGroupFails(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	id := uuid.New()
	c := gather(t, b)
	twins := []*outcome{c.add(t.Context(), "a", store.Any, happened(id)...), c.add(t.Context(), "b", store.Any, happened(id)...)}
	other := c.add(t.Context(), "c", store.Any, happened()...)
	c.finish()
	require.NoError(t, other.err)
	lost := slices.IndexFunc(twins, func(o *outcome) bool { return o.err != nil })
	require.GreaterOrEqual(t, lost, 0, "one must lose")
	require.ErrorIs(t, twins[lost].err, store.ErrDuplicateEvent)
	require.NoError(t, twins[1-lost].err)
	require.Len(t, all(t, b), 2)
}

// inFlight sets up a store whose flushes of several stop before anything is written, while key is held.
func inFlight(t *testing.T, key string) (*Backend, *held) {
	t.Helper()
	b := setup(t, pgtest.URL(t), change{`set lock_timeout = '50ms' set enable_seqscan = off as $body$`, `set enable_seqscan = off as $body$`},
		change{`  select array_agg(s.stream_id order by r.nr), array_agg(s.version + r.total order by r.nr) into ids, versions`,
			stop(key) + ` select array_agg(s.stream_id order by r.nr), array_agg(s.version + r.total order by r.nr) into ids, versions`})
	return b, hold(t, b, key)
}

// TestGroupCancelled: who gives up before his append is sent has written nothing; who does later is not waited for, and
// takes nothing from the others; a flush that all have given up is cancelled.
func TestGroupCancelled(t *testing.T) {
	t.Parallel()
	b, held := inFlight(t, t.Name())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	early, cancelEarly := context.WithCancel(t.Context())
	c := gather(t, b)
	unsent := c.add(early, "unsent", store.Any, happened()...)
	left := c.add(ctx, "left", store.Any, happened()...)
	stays := c.add(t.Context(), "stays", store.Any, happened()...)
	cancelEarly()
	eventually(t, "the first has gone", func() bool { return c.waiting() == 2 })
	c.start()
	held.reached()
	cancel()
	eventually(t, "one is not waited for", func() bool {
		b.group.mu.Lock()
		defer b.group.mu.Unlock()
		return len(b.group.places) == 1
	})
	held.release()
	c.wg.Wait()
	c.idle()
	require.ErrorIs(t, unsent.err, context.Canceled)
	require.ErrorIs(t, left.err, context.Canceled)
	require.NoError(t, stays.err)
	require.Equal(t, []string{"left@1", "stays@1"}, all(t, b), "it was on its way")

	again := hold(t, b, t.Name())
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	c = gather(t, b)
	one, two := c.add(late{ctx}, "one", store.Any, happened()...), c.add(late{ctx}, "two", store.Any, happened()...)
	c.start()
	again.reached()
	cancel()
	c.wg.Wait()
	c.idle()
	require.ErrorIs(t, one.err, context.DeadlineExceeded)
	require.ErrorIs(t, two.err, context.DeadlineExceeded)
	again.left()
	again.release()
	require.Len(t, all(t, b), 2)
}

// late is a context that says its deadline has passed, when it is cancelled.
type late struct{ context.Context }

func (l late) Err() error {
	if l.Context.Err() == nil {
		return nil
	}
	return context.DeadlineExceeded
}

// TestGroupCutOff: when the connection of a flush breaks, nobody is told that his append was done, nothing is sent again,
// and the group goes on.
func TestGroupCutOff(t *testing.T) {
	t.Parallel()
	b, held := inFlight(t, t.Name())
	c := gather(t, b)
	outcomes := []*outcome{c.add(t.Context(), "a", store.Any, happened()...), c.add(t.Context(), "b", store.Any, happened()...)}
	c.start()
	held.reached()
	eventually(t, "the flush is cut off", func() bool { // the view shows a moment later what pg_locks does
		return number(t, b, `select count(pg_terminate_backend(pid)) from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock' and query like '%' || $1 || '.append_group%'`, quote(b.opts.Schema)) == 1
	})
	c.wg.Wait()
	c.idle()
	for _, o := range outcomes {
		require.Error(t, o.err)
	}
	held.release()
	require.Empty(t, all(t, b))
	appendTo(t, b, "a", 1)
}

// TestGroupBackPressure: as many appends as there are places wait in the group; others wait outside, as long as they like.
func TestGroupBackPressure(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	b.group.places = make(chan struct{}, 2)
	c := gather(t, b)
	c.add(t.Context(), "a", store.Any, happened()...)
	c.add(t.Context(), "b", store.Any, happened()...)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := c.es.Append(ctx, "c", store.Any, happened()...)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, 2, c.waiting())
	c.finish()
	require.Equal(t, []string{"a@1", "b@1"}, all(t, b))
}

// TestNoGroupCommit: with the option every append has a commit of its own.
func TestNoGroupCommit(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	b.opts.NoGroupCommit = true
	c := gather(t, b)
	for i := range 20 {
		c.wg.Go(func() {
			_, err := c.es.Append(t.Context(), fmt.Sprint(i), store.NoStream, happened()...)
			assert.NoError(t, err)
		})
	}
	c.wg.Wait()
	require.EqualValues(t, 20, number(t, b, `select count(distinct xmin::text) from /*schema.*/events`))
}
