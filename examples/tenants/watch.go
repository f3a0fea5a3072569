package main

import (
	"context"
	"errors"
	"time"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/store"
)

// watch opens the stores of tenants that have new events, and closes those that rest, until ctx ends. It looks at all of them at once,
// so that the database has the same to do whether there are ten tenants or a thousand.
func (all *tenants) watch(ctx context.Context, every time.Duration) error {
	schemas := make([]string, len(all.list))
	for i, t := range all.list {
		schemas[i] = t.schema
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		now, err := postgres.Activities(ctx, all.db, schemas...)
		if err != nil && ctx.Err() == nil {
			all.log.Warn("tenants can't be watched; trying again", "err", err) // the database is away, for example
		}
		if err == nil {
			all.look(ctx, now)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look opens and closes stores.
func (all *tenants) look(ctx context.Context, now map[string]postgres.Activity) {
	room := all.most - all.opened()
	for _, t := range all.list {
		opened, err := all.lookAt(ctx, t, now[t.schema], room > 0)
		if opened {
			room--
		}
		if err != nil && ctx.Err() == nil {
			all.log.Warn("a tenant can't be looked at; trying again", "tenant", t.schema, "err", err)
		}
	}
}

// lookAt opens the store of a tenant if there is room for it and it has something to do, and closes it if it has rested for long enough.
func (all *tenants) lookAt(ctx context.Context, t *tenant, now postgres.Activity, room bool) (opened bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	isNew, isOpen := !now.Same(t.seen), t.open != nil
	switch {
	case !isNew && !isOpen:
		return false, nil
	case !isOpen && t.seen == postgres.Activity{}:
		// At the start nothing is known: there may be events that no process has handled yet.
		o := all.newStore(t)
		idle, err := o.idle(ctx, now)
		if err := errors.Join(err, o.close()); err != nil {
			return false, err
		}
		if idle {
			t.seen = now
			return false, nil
		}
		fallthrough
	case !isOpen:
		if room {
			all.start(t)
			t.seen = now
		}
		return room, nil
	case isNew:
		t.seen, t.since = now, time.Now()
		return false, nil
	case t.users > 0 || time.Since(t.since) < all.rest:
		return false, nil
	}
	idle, err := t.open.idle(ctx, t.seen)
	if err != nil || !idle {
		return false, err
	}
	return false, t.finish()
}

// idle reports whether nothing is to be done for a tenant before its Activity is another one: no append is under way, and the projection
// has applied all events.
func (o *openStore) idle(ctx context.Context, a postgres.Activity) (bool, error) {
	settled, err := o.backend.Settled(ctx, a)
	if err != nil || !settled {
		return false, err
	}
	head, err := o.es.Head(ctx)
	if err != nil || head == 0 {
		return err == nil, err
	}
	info, err := o.es.Projection(ctx, projection)
	if errors.Is(err, store.ErrProjectionNotFound) {
		return false, nil // it is about to begin
	}
	return err == nil && info.Checkpoint() >= head, err
}
