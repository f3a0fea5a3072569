package postgres

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// cluster is a primary with two streaming standbys.
type cluster struct {
	t       *testing.T
	primary *pgtest.Server
	a, b    *pgtest.Server
}

// lab is a store on a cluster.
type lab struct {
	*cluster
	t      *testing.T
	driver string
	schema string
	writer *Backend // on the primary, without Reads
}

// store creates a store, which both standbys have replayed.
func (c *cluster) store(t *testing.T, driver, schema string) *lab {
	t.Helper()
	s := &lab{cluster: c, t: t, driver: driver, schema: schema}
	s.writer = s.backend(nil)
	install(t, s.writer)
	_, err := s.writer.db.ExecContext(t.Context(), `create table `+schema+`.applied (number bigint primary key, event_id uuid not null)`)
	require.NoError(t, err)
	s.replayed()
	return s
}

// replayed waits until both standbys show everything.
func (s *lab) replayed() {
	s.t.Helper()
	s.a.Replayed(s.primary)
	s.b.Replayed(s.primary)
}

// backend returns one on the primary that reads a standby, unless that is nil.
func (s *lab) backend(reads *pgtest.Server) *Backend {
	s.t.Helper()
	opts := &Options{Schema: s.schema}
	if reads != nil {
		opts.Reads = pgtest.Open(s.t, s.driver, reads.URL())
	}
	b := New(pgtest.Open(s.t, s.driver, s.primary.URL()), opts)
	s.t.Cleanup(func() { require.NoError(s.t, b.Close()) })
	return b
}

// append appends n events, which get their positions, and returns the ids of all events of the stream.
func (s *lab) append(stream string, n int) (ids []uuid.UUID) {
	s.t.Helper()
	appendTo(s.t, s.writer, stream, n)
	_, err := s.writer.Tick(s.t.Context())
	require.NoError(s.t, err)
	return s.ids(store.New(s.writer, nil), stream)
}

// ids returns the ids of all events that a Store shows.
func (s *lab) ids(es *store.Store, stream string) (ids []uuid.UUID) {
	s.t.Helper()
	for e, err := range es.Stream(s.t.Context(), stream, nil) {
		if errors.Is(err, store.ErrStreamNotFound) {
			return nil
		}
		require.NoError(s.t, err)
		ids = append(ids, e.ID)
	}
	return ids
}

// program consumes a stream and projects it.
type program struct {
	s    *lab
	es   *store.Store
	stop context.CancelFunc
	done sync.WaitGroup

	mu     sync.Mutex
	seen   []uuid.UUID
	lag    error // the last ErrReplica that a state had
	ends   []error
	states []store.SubscriptionState
}

func (s *lab) program(b *Backend, stream string) *program {
	es := store.New(b, &store.Options{PollInterval: 10 * time.Millisecond, LeaseTTL: 3 * time.Second, HardDelete: true})
	ctx, stop := context.WithCancel(context.WithoutCancel(s.t.Context()))
	p := &program{s: s, es: es, stop: stop}
	s.t.Cleanup(func() {
		stop()
		p.done.Wait()
		_ = es.Close() // it may say that events were lost
	})
	retry := 20 * time.Millisecond
	p.done.Go(func() {
		p.ended(es.Consume(ctx, stream, "consumer", p.consume, &store.ConsumeOptions{SubscribeOptions: store.SubscribeOptions{
			CheckpointThreshold: 1, RetryInterval: retry, OnState: p.noteState,
		}}))
	})
	p.done.Go(func() {
		p.ended(es.Project(ctx, "projection", p.project, &store.ProjectOptions{Stream: stream, MaxBackoff: retry, MinBackoff: retry, RetryInterval: retry}))
	})
	return p
}

func (p *program) ended(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends = append(p.ends, err)
}

func (p *program) noteState(state store.SubscriptionState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.states = append(p.states, state)
	if errors.Is(state.Err, store.ErrReplica) {
		p.lag = state.Err
	}
}

func (p *program) consume(_ context.Context, e store.Recorded) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, e.ID)
	return nil
}

func (p *program) project(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
	for _, e := range events {
		if _, err := tx.ExecContext(ctx, `insert into `+p.s.schema+`.applied values ($1, $2)`, e.Number, e.ID.String()); err != nil {
			return err
		}
	}
	return nil
}

// replicaTrouble waits until the state says that something is wrong with the replica, and returns what.
func (p *program) replicaTrouble() (err error) {
	p.s.t.Helper()
	eventually(p.s.t, "the state tells of the replica", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		err = p.lag
		return err != nil
	})
	return err
}

// has waits until exactly these events were handled, in that order, and the read model has those of all programs.
func (p *program) has(ids, applied []uuid.UUID) {
	p.s.t.Helper()
	eventually(p.s.t, "the events are handled", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		require.Empty(p.s.t, p.ends)
		return len(p.seen) >= len(ids) && number(p.s.t, p.s.writer, `select count(*) from /*schema.*/applied`) >= int64(len(applied))
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	assert.Equal(p.s.t, ids, p.seen)
	rows, err := p.s.writer.db.QueryContext(p.s.t.Context(), `select event_id::text from `+p.s.schema+`.applied order by number`)
	require.NoError(p.s.t, err)
	defer rows.Close() //nolint:errcheck // rows.Err is asked
	var found []uuid.UUID
	for rows.Next() {
		var id string
		require.NoError(p.s.t, rows.Scan(&id))
		found = append(found, uuid.MustParse(id))
	}
	require.NoError(p.s.t, rows.Err())
	assert.Equal(p.s.t, applied, found)
}

// close ends the program in good order.
func (p *program) close() {
	p.s.t.Helper()
	p.stop()
	p.done.Wait()
	for _, err := range p.ends {
		require.ErrorIs(p.s.t, err, context.Canceled)
	}
	require.NoError(p.s.t, p.es.Close())
}

// replaceHost returns a URL of several hosts, for whichever takes writes.
func replaceHost(first, second *pgtest.Server) string {
	u := first.URL()
	return u[:len(u)-len("/postgres?sslmode=disable")] + "," + second.Address() + "/postgres?sslmode=disable&target_session_attrs=read-write&connect_timeout=3"
}
