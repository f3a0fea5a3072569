package postgres

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// What becomes of subscriptions while the database ends their sessions, or is away. Package internal/history/delivery
// does more of it, at random and across processes.

// party is one of the Stores that would run a subscription, with its subscriber.
type party struct {
	es  *store.Store
	sub *store.Subscriber

	mu     sync.Mutex
	got    []int64                   // guarded by mu, as all below
	lost   int                       // how often it was told that the lease is lost
	states []store.SubscriptionState // those it went through
	err    error                     // why it has ended, if not by the test
}

// joins subscribes a Store of its own, on sessions of that name, to the subscription "s", and acknowledges what it gets
// until the test ends.
func joins(t *testing.T, url string, opts *Options, name string, ttl time.Duration) *party {
	t.Helper()
	db := pgtest.Open(t, "pgx", url+"&application_name="+name)
	p := &party{es: store.New(New(db, opts), &store.Options{LeaseTTL: ttl, PollInterval: 20 * time.Millisecond})}
	var err error
	p.sub, err = p.es.Subscribe(t.Context(), store.All, "s", &store.SubscribeOptions{
		CheckpointThreshold: 1, RetryInterval: 50 * time.Millisecond, Timeout: 5 * time.Second,
		OnState: func(s store.SubscriptionState) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.states = append(p.states, s)
		},
	})
	require.NoError(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		err := p.follow(t.Context())
		p.mu.Lock()
		defer p.mu.Unlock()
		if !errors.Is(err, store.ErrClosed) {
			p.err = err
		}
	})
	t.Cleanup(func() {
		require.NoError(t, p.es.Close())
		running.Wait()
	})
	return p
}

func (p *party) follow(ctx context.Context) error {
	for {
		events, err := p.sub.Next(context.WithoutCancel(ctx))
		p.mu.Lock()
		for _, e := range events {
			p.got = append(p.got, e.Number)
		}
		lost := errors.Is(err, store.ErrLeaseLost)
		if lost {
			p.lost++
		}
		p.mu.Unlock()
		if lost {
			continue
		}
		if err != nil {
			return err
		}
		if err := p.sub.Ack(context.WithoutCancel(ctx), events...); err != nil && !errors.Is(err, store.ErrLeaseLost) {
			return err
		}
	}
}

// seen returns what the party got so far, and how often it lost the lease.
func (p *party) seen(t *testing.T) (got []int64, lost int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.NoError(t, p.err)
	return p.got[:len(p.got):len(p.got)], p.lost
}

// went returns the phases that the party's subscription went through.
func (p *party) went() (phases []store.Phase) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.states {
		phases = append(phases, s.Phase)
	}
	return phases
}

// info returns what the database has of the only subscription.
func info(t *testing.T, b *Backend) store.SubscriptionInfo {
	t.Helper()
	list, err := b.ListSubscriptions(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	return list[0]
}

// reaches waits until the checkpoint is there.
func reaches(t *testing.T, b *Backend, checkpoint int64) {
	t.Helper()
	eventually(t, "the checkpoint is at the end", func() bool { return info(t, b).Checkpoint == checkpoint })
}

// upTo returns 1 … n.
func upTo(n int64) []int64 {
	list := make([]int64, n)
	for i := range list {
		list[i] = int64(i) + 1
	}
	return list
}

// TestSessionsOfTheOwnerEnd ends all sessions of the Store that runs a subscription, again and again: the lease does not
// depend on any, so it goes on, and the other Store never gets anything.
func TestSessionsOfTheOwnerEnd(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	opts := &Options{Schema: b.opts.Schema}
	owner := joins(t, pgtest.URL(t), opts, b.opts.Schema+"_owner", time.Minute)
	appendTo(t, b, "a", 5)
	reaches(t, b, 5)
	before := info(t, b)
	other := joins(t, pgtest.URL(t), opts, b.opts.Schema+"_other", time.Minute)
	eventually(t, "the other waits", func() bool { return errors.Is(other.sub.State().Err, store.ErrLeaseHeld) })

	end := int64(5)
	for range 10 {
		eventually(t, "sessions of the owner end", func() bool {
			return number(t, b, `select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = $1`, b.opts.Schema+"_owner") > 0
		})
		appendTo(t, b, "a", 3)
		end += 3
		reaches(t, b, end)
	}
	after := info(t, b)
	assert.Equal(t, before.Epoch, after.Epoch)
	assert.Equal(t, before.Owner, after.Owner)
	got, lost := owner.seen(t)
	assert.Equal(t, upTo(end), got)
	assert.Zero(t, lost)
	got, _ = other.seen(t)
	assert.Empty(t, got)
	assert.ErrorIs(t, other.sub.State().Err, store.ErrLeaseHeld)
}

// TestDatabaseIsAway kills the server and starts it again when the lease has long expired. Nobody delivers meanwhile,
// nobody stops, and when the server is back one goes on where the checkpoint is.
func TestDatabaseIsAway(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	server := pgtest.StartServer(t)
	db := pgtest.Open(t, "pgx", server.URL())
	db.SetMaxIdleConns(0) // none that died
	b := New(db, nil)
	install(t, b)
	parties := []*party{joins(t, server.URL(), nil, "x", ttl), joins(t, server.URL(), nil, "y", ttl)}
	end := int64(0)
	for range 3 {
		appendTo(t, b, "a", 3)
		end += 3
		reaches(t, b, end)
		leased := info(t, b).LeaseUntil
		server.Kill()
		for _, p := range parties {
			eventually(t, "the subscription waits for the database", func() bool {
				s := p.sub.State()
				return s.Phase == store.Waiting && s.Err != nil && !errors.Is(s.Err, store.ErrLeaseHeld)
			})
		}
		eventually(t, "the lease has long expired", func() bool { return time.Since(leased) > 2*ttl })
		server.Restart()
		appendTo(t, b, "a", 3)
		end += 3
		reaches(t, b, end)
	}
	var all []int64
	for _, p := range parties {
		got, _ := p.seen(t)
		all = append(all, got...)
		assert.NotContains(t, p.went(), store.Stopped)
	}
	assert.Subset(t, all, upTo(end))
	assert.Equal(t, end, info(t, b).Checkpoint)
}
