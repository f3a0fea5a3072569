package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/store"
)

// tenants are stores in schemas of one database, over one pool of connections. A store is opened by its first use, and by events that
// another process has appended; when it has rested for a while it is closed, and then costs no query, no goroutine and no memory.
type tenants struct {
	db   *sql.DB
	rest time.Duration // without use and events, before a store is closed
	most int           // stores that may be open because of their events alone
	log  *slog.Logger

	list []*tenant
	by   map[string]*tenant
}

// tenant is one of them.
type tenant struct {
	schema string

	mu    sync.Mutex
	users int        // of the store
	open  *openStore // nil while it is closed
	seen  postgres.Activity
	since time.Time // when seen was new, or the store was last used
}

// openStore is a store with the projection that it runs.
type openStore struct {
	backend *postgres.Backend
	es      *store.Store
	stop    context.CancelFunc
	ended   chan struct{} // the projection
}

func newTenants(db *sql.DB, schemas []string, rest time.Duration, most int, log *slog.Logger) *tenants {
	all := &tenants{db: db, rest: rest, most: most, log: log, by: map[string]*tenant{}}
	for _, schema := range schemas {
		t := &tenant{schema: schema}
		all.list = append(all.list, t)
		all.by[schema] = t
	}
	return all
}

// migrate creates and migrates the tables of all tenants. Any number of processes may do it at the same time.
func (all *tenants) migrate(ctx context.Context) error {
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(4)
	for _, t := range all.list {
		work.Go(func() error {
			b := postgres.New(all.db, &postgres.Options{Schema: t.schema, Logger: all.log})
			if err := migrate.Up(ctx, b); err != nil {
				return fmt.Errorf("tenant %q: %w", t.schema, err)
			}
			return b.Close()
		})
	}
	return work.Wait()
}

var errNoTenant = errors.New("there is no such tenant")

// use calls f with the store of a tenant, which stays open meanwhile.
func (all *tenants) use(schema string, f func(es *store.Store) error) error {
	t := all.by[schema]
	if t == nil {
		return fmt.Errorf("tenant %q: %w", schema, errNoTenant)
	}
	es := all.enter(t)
	defer t.leave()
	return f(es)
}

func (all *tenants) enter(t *tenant) *store.Store {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.users++
	all.start(t)
	return t.open.es
}

func (t *tenant) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.users--
	t.since = time.Now()
}

// start opens the store, unless it is open, and begins to run its projection. t.mu is held.
func (all *tenants) start(t *tenant) {
	if t.open != nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	o := all.newStore(t)
	o.stop = stop
	apply := func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
		return revenue(ctx, tx, t.schema, events)
	}
	go func() {
		defer close(o.ended)
		if err := o.es.Project(ctx, projection, apply, nil); !errors.Is(err, context.Canceled) {
			all.log.Error("a projection has ended", "tenant", t.schema, "err", err)
		}
	}()
	t.open, t.since = o, time.Now()
}

// newStore returns the store of a tenant, without its projection.
func (all *tenants) newStore(t *tenant) *openStore {
	b := postgres.New(all.db, &postgres.Options{Schema: t.schema, Logger: all.log})
	return &openStore{
		backend: b, es: store.New(b, &store.Options{Serializer: serializer.JSON(types), Logger: all.log}), ended: make(chan struct{}),
	}
}

func (o *openStore) close() error { return errors.Join(o.es.Close(), o.backend.Close()) }

// finish closes the store, unless it is closed. t.mu is held.
func (t *tenant) finish() error {
	o := t.open
	if o == nil {
		return nil
	}
	t.open = nil
	o.stop()
	<-o.ended
	return o.close()
}

// close closes all stores.
func (all *tenants) close() error {
	var err error
	for _, t := range all.list {
		t.mu.Lock()
		err = errors.Join(err, t.finish())
		t.mu.Unlock()
	}
	return err
}

// known reports whether every tenant was looked at.
func (all *tenants) known() bool {
	for _, t := range all.list {
		t.mu.Lock()
		known := t.seen != postgres.Activity{}
		t.mu.Unlock()
		if !known {
			return false
		}
	}
	return true
}

// opened returns how many stores are open.
func (all *tenants) opened() (n int) {
	for _, t := range all.list {
		t.mu.Lock()
		if t.open != nil {
			n++
		}
		t.mu.Unlock()
	}
	return n
}
