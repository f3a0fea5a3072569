package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"github.com/eventstore-go/eventstore/internal/queries"
	"github.com/eventstore-go/eventstore/store"
)

// Activity is how far a store had come when [Activities] looked: which store it was, and the number of the last append that had begun.
// It tells a program with many stores (tenants) in one database which of them have new events, without a query for each. The zero value
// is [Activity.Same] as no other.
type Activity struct {
	sequence string // the one that numbers appends; a store that was created anew, or restored, has another
	era      string // the server since its start, and the database
	last     int64  // 0 if there was no append
}

// Same reports whether no append began between a and b: of events, not of links. Deletes, and what is done to subscriptions, do not
// count either.
func (a Activity) Same(b Activity) bool { return a == b && a != Activity{} }

// settling is what a Backend knows of the transactions that may have drawn the numbers of an Activity.
type settling struct {
	mu    sync.Mutex
	of    Activity
	fence int64 // above the ids of all those transactions: each has its id before it draws
}

// plain has the queries that do not depend on a schema.
var plain = sync.OnceValue(func() queries.Set { return queries.Parse(queriesFile, Options{Schema: "eventstore"}.replacements()...) })

// Activities returns the Activity of each of the stores in schemas, from the primary. It takes one short statement for all of them and
// reads no table of a store: a store for which nothing is to be done costs its database next to nothing. A schema without a store is
// missing in the result.
//
// Two Activities of a store that are [Activity.Same] do not yet say that a subscription may rest: an append that had begun before may
// be committed later. [Backend.Settled] says that.
//
// The error wraps [store.ErrReadOnly] on a standby, whose numbers are not exact, and says what to grant if the role may not read the
// sequence append_seq of a schema.
func Activities(ctx context.Context, db *sql.DB, schemas ...string) (map[string]Activity, error) {
	list := map[string]Activity{}
	if len(schemas) == 0 {
		return list, nil
	}
	rows, err := db.QueryContext(ctx, plain().Get("activities"), textArray(schemas))
	if err != nil {
		return nil, translate(ctx, "activities", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err is what counts
	for rows.Next() {
		var a Activity
		var schema string
		var last sql.NullInt64
		var allowed, standby bool
		if err := rows.Scan(&schema, &a.sequence, &a.era, &last, &allowed, &standby); err != nil {
			return nil, translate(ctx, "activities", err)
		}
		if standby {
			return nil, fmt.Errorf("postgres: activities: %w: a standby does not know exactly what was appended last; %s", store.ErrReadOnly, writesAdvice)
		}
		if !allowed {
			return nil, fmt.Errorf("postgres: activities: the role may not see what was appended last: grant select on sequence %s.append_seq to it", quote(schema))
		}
		a.last = last.Int64
		list[schema] = a
	}
	if err := rows.Err(); err != nil {
		return nil, translate(ctx, "activities", err)
	}
	return list, nil
}

// Settled reports whether every append that had begun when a was taken is over, and what it has committed has positions. If so, and a
// subscription has handled all events up to a [store.Store.Head] that is read afterwards, it may rest until the store's Activity is no
// longer [Activity.Same] as a: no event can appear before that. It is false as long as any
// transaction is open on the server that wrote before the first call with a: ask again later.
//
// It also gives positions to what waits for them. It can't be called in a transaction.
func (b *Backend) Settled(ctx context.Context, a Activity) (bool, error) {
	if b.tx != nil {
		return false, &store.InvalidError{Field: "tx", Reason: "sees nothing that others commit: ask outside a transaction"}
	}
	if err := b.Check(ctx); err != nil {
		return false, err
	}
	now, err := Activities(ctx, b.db, b.opts.Schema)
	if err != nil || !now[b.opts.Schema].Same(a) {
		return false, err
	}
	if ended, err := b.ended(ctx, a); err != nil || !ended {
		return false, err
	}
	if _, err := b.Tick(ctx); err != nil { // places what the last of them have committed
		return false, err
	}
	return true, nil
}

// ended reports whether every transaction has ended that may have drawn the number of a's last append, or one below it. An upper bound
// of their ids is an id that was assigned later. The end of a snapshot is none: it is behind the last transaction that has ended.
func (b *Backend) ended(ctx context.Context, a Activity) (bool, error) {
	b.settling.mu.Lock()
	defer b.settling.mu.Unlock()
	if s := &b.settling; !s.of.Same(a) {
		var fence int64
		if _, err := b.one(ctx, "settle_fence", nil, &fence); err != nil {
			return false, err
		}
		s.of, s.fence = a, fence
	}
	var oldest int64
	_, err := b.one(ctx, "settle_oldest", nil, &oldest)
	return oldest >= b.settling.fence, err
}
