package postgres

import (
	"context"
	"database/sql"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
)

// A pooler in transaction mode may give each transaction of a connection another session of the server. A driver that prepares a
// statement in one round trip and runs it in the next then meets a session without the statement, or with another program's: lib/pq
// by default runs that one, with its own arguments.
//
// So the first use of a *sql.DB finds out two things, without the driver's help:
//
//   - whether the driver sends a statement in one round trip. The constant timestamptz 'now' is read when the server parses the
//     statement: it is the time of the transaction that runs the statement only if that transaction parsed it, too.
//   - if not, whether connections share sessions of the server: two idle connections with one session, or one connection with several.
//
// A driver that sends a statement in one round trip is safe everywhere, and the Backend then prepares nothing, either. All else is
// refused only with a proof of a pooler. Without a second connection there may be none; see lostStatement for what is left then.

// wire is what is known of the way to the server. All Backends on one *sql.DB share it.
type wire struct {
	turn  chan struct{} // of the goroutine that looks
	plain atomic.Bool   // a statement is sent in one round trip
	known atomic.Bool   // the look is done, set after err
	err   error         // a *PoolerError, or nil
}

var wires struct {
	mu sync.Mutex
	of map[weak.Pointer[sql.DB]]*wire // guarded by mu
}

// wireOf returns what is known of db, which may be garbage collected meanwhile.
func wireOf(db *sql.DB) *wire {
	w := &wire{turn: make(chan struct{}, 1)}
	if db == nil {
		return w
	}
	wires.mu.Lock()
	defer wires.mu.Unlock()
	key := weak.Make(db)
	if known := wires.of[key]; known != nil {
		return known
	}
	if wires.of == nil {
		wires.of = map[weak.Pointer[sql.DB]]*wire{}
	}
	wires.of[key] = w
	runtime.AddCleanup(db, func(key weak.Pointer[sql.DB]) {
		wires.mu.Lock()
		defer wires.mu.Unlock()
		delete(wires.of, key)
	}, key)
	return w
}

// checkPooler returns a [PoolerError] if a pooler in transaction mode would lose or mix up what the driver sends. It looks once, and never
// from within a caller's transaction, where it returns what is known.
func (b *Backend) checkPooler(ctx context.Context) error {
	if b.wire.known.Load() {
		return b.wire.err
	}
	if b.tx != nil || b.looked.Load() {
		return nil
	}
	select {
	case b.wire.turn <- struct{}{}:
		defer func() { <-b.wire.turn }()
	case <-ctx.Done():
		return translate(ctx, "probe", ctx.Err())
	}
	if b.wire.known.Load() {
		return b.wire.err
	}
	p := probe{b: b}
	err := p.run(ctx)
	switch {
	case p.pooler != nil:
		b.wire.err = p.pooler
	case ctx.Err() != nil:
		return translate(ctx, "probe", err)
	case err != nil:
		// Not for the sake of a look: if the server can't be reached, the next statement returns the error. If it answers, as to a role that
		// may not see prepared statements, another look would find no more.
		b.looked.Store(sqlerr.State(err) != "")
		return nil
	}
	b.wire.plain.Store(p.plain)
	if p.plain || p.pooler != nil || p.whole {
		b.wire.known.Store(true)
	}
	b.looked.Store(true)
	return b.wire.err
}

// probe is one look at the way to the server.
type probe struct {
	b      *Backend
	plain  bool  // a statement is sent in one round trip
	pooler error // why that does not work here
	whole  bool  // two connections were compared, or a second one was waited for in vain
}

// run returns why it could not look.
func (p *probe) run(ctx context.Context) error {
	conn, err := p.b.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it goes back to the pool
	first, err := p.lookInTx(ctx, conn)
	if err != nil {
		return err
	}
	if first.name == "" {
		alone, err := p.look(ctx, conn)
		switch {
		case mixedUp(err):
			p.pooler = &PoolerError{Advice: p.b.advice(), Err: err, proven: true}
			return nil
		case err != nil:
			return err
		case alone.together:
			p.plain = true
			return nil
		}
	}
	shared, err := p.shared(ctx, conn, first)
	if err == nil && shared && !keptApart(first.name) {
		p.pooler = &PoolerError{Advice: p.b.advice(), proven: true}
	}
	return err
}

// secondConnection is how long a look waits for a second connection: its caller may hold what the pool has.
const secondConnection = 2 * time.Second

// shared reports whether conn does not have a session of the server to itself. first is what it showed.
func (p *probe) shared(ctx context.Context, conn *sql.Conn, first sight) (bool, error) {
	var other *sql.Conn
	if s := p.b.db.Stats(); s.MaxOpenConnections == 0 || s.InUse < s.MaxOpenConnections {
		wait, cancel := context.WithTimeout(ctx, secondConnection)
		defer cancel()
		var err error
		if other, err = p.b.db.Conn(wait); err == nil {
			defer other.Close() //nolint:errcheck // it goes back to the pool
		}
		p.whole = err == nil || wait.Err() != nil // no other Backend is to wait, too
	}
	const rounds = 2
	for range rounds {
		var beside sight
		var err error
		if other != nil {
			if beside, err = p.lookInTx(ctx, other); err != nil {
				return false, err
			}
		}
		// Another look at conn: it is alive, so its session is not one that has ended and that other now has the number of.
		again, err := p.lookInTx(ctx, conn)
		if err != nil {
			return false, err
		}
		if again.session != first.session || beside.session == first.session {
			return true, nil
		}
	}
	return false, nil
}

// sight is what one statement with arguments shows.
type sight struct {
	session  string // of the server
	together bool   // one transaction parsed and ran the statement
	name     string // under which the session keeps the statement, "" if it does not
}

type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// look runs the statement. Its many arguments keep it from running as another program's statement, which has fewer.
func (p *probe) look(ctx context.Context, on queryer) (s sight, err error) {
	mark := uuid.NewString()
	args := make([]any, 24)
	for i := range args {
		args[i] = mark
	}
	query := strings.Replace(p.b.queries.Get("probe"), "/*mark*/", "/*"+mark+"*/", 1)
	err = on.QueryRowContext(ctx, query, args...).Scan(&s.session, &s.together, &s.name)
	return s, err
}

// lookInTx is look in a transaction, which has one session of the server for both round trips. If the driver has the session keep the
// statement, the transaction forgets it again: nothing stays behind at the servers of a pooler.
func (p *probe) lookInTx(ctx context.Context, conn *sql.Conn) (s sight, err error) {
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	s, err = p.look(ctx, tx)
	if err != nil || s.name == "" {
		return s, err
	}
	_, err = tx.ExecContext(ctx, strings.Replace(p.b.queries.Get("probe_forget"), "statement", quote(s.name), 1))
	return s, err
}

// keptApart reports whether a pooler that shares sessions keeps prepared statements apart, as pgbouncer does from 1.21 on: it gives each a
// name of its own. "stmtcache_…" and "lrupsc_…" are names of pgx, as it sent them. The name of another driver, or of another pooler,
// is no proof.
func keptApart(name string) bool {
	return name != "" && !strings.HasPrefix(name, "stmtcache_") && !strings.HasPrefix(name, "lrupsc_")
}

// mixedUp reports whether the server did not find a statement that it had parsed, or found another one.
func mixedUp(err error) bool {
	switch sqlerr.State(err) {
	case invalidStatementName, duplicateStatement, protocolViolation:
		return true
	}
	return false
}

// advice is what to write for the driver of the Backend.
func (b *Backend) advice() string {
	const (
		pgx = "default_query_exec_mode=exec"
		pq  = "binary_parameters=yes"
	)
	driver := reflect.TypeOf(b.db.Driver())
	for driver != nil && driver.Kind() == reflect.Pointer {
		driver = driver.Elem()
	}
	at := ""
	if driver != nil {
		at = driver.PkgPath()
	}
	switch {
	case strings.HasPrefix(at, "github.com/jackc/pgx/"):
		return "add " + pgx + " to the connection string (or simple_protocol, or cache_describe)"
	case at == "github.com/lib/pq":
		return "add " + pq + " to the connection string"
	}
	return "have the driver send each statement in one round trip: in the connection string of pgx, " + pgx + "; in that of lib/pq, " + pq
}
