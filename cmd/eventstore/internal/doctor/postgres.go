package doctor

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
)

//go:embed queries_postgres.sql
var postgresFile string

// postgres are the checks of a server.
func (e *examination) postgres() []check {
	e.queries = e.d.Queries(postgresFile)
	return []check{
		{"settings", e.settings}, {"server", e.server}, {"pooler", e.pooler}, {"long-transactions", e.long}, {"prepared-transactions", e.prepared},
	}
}

// oldest is the oldest version of PostgreSQL that the library is made for: it has xid8 and pg_snapshot.
const oldest = 140000

func (e *examination) settings(ctx context.Context) error {
	s := map[string]string{}
	err := e.each(ctx, "settings", nil, func(rows *sql.Rows) error {
		var name, value string
		err := rows.Scan(&name, &value)
		s[name] = value
		return err
	})
	if err != nil {
		return err
	}
	before := len(e.found)
	version, err := strconv.Atoi(s["server_version_num"])
	if err != nil {
		return err
	}
	if version < oldest {
		e.report(Problem, "PostgreSQL "+s["server_version"]+" is too old", "upgrade to version 14 or newer")
	}
	for _, c := range []struct {
		name, want string
		level      Level
		advice     string
	}{
		{"fsync", "on", Problem, "without it a power failure destroys the database: set it to on"},
		{"full_page_writes", "on", Problem, "without it a power failure destroys the database: set it to on"},
		{"autovacuum", "on", Warning, "without it tables that are updated grow without end: set it to on"},
		{"server_encoding", "UTF8", Warning, "events are UTF-8: keep the store in a database with that encoding"},
	} {
		if s[c.name] != c.want {
			e.report(c.level, fmt.Sprintf("%s is %s", c.name, s[c.name]), c.advice)
		}
	}
	if s["synchronous_commit"] == "off" {
		e.report(Warning, "synchronous_commit is off", "a crash may lose the last commits, though nothing that a subscriber has seen: set it to on where an append that was confirmed must stay")
	}
	if s["wal_level"] == "minimal" {
		e.report(Note, "wal_level is minimal", "backups of a running server and standbys need replica")
	}
	if s["idle_in_transaction_session_timeout"] == "0" {
		e.report(Note, "idle_in_transaction_session_timeout is 0", "a program that hangs in a transaction holds its locks for ever: set it to some minutes")
	}
	if level := s["default_transaction_isolation"]; level != "read committed" {
		e.report(Note, "default_transaction_isolation is "+level, "transactions of programs must be ready to be run again: see store.ErrRetryTx")
	}
	if len(e.found) == before {
		e.good("PostgreSQL %s, with settings that keep what was committed", s["server_version"])
	}
	return nil
}

func (e *examination) server(ctx context.Context) error {
	var standby bool
	var connections, age int64
	var apart float64
	var limit int
	err := e.d.QueryRowContext(ctx, e.queries.Get("server"), time.Now()).Scan(&standby, &connections, &age, &apart)
	if err != nil {
		return err
	}
	err = e.each(ctx, "settings", nil, func(rows *sql.Rows) error {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil || name != "max_connections" {
			return err
		}
		limit, err = strconv.Atoi(value)
		return err
	})
	if err != nil {
		return err
	}
	before := len(e.found)
	if standby {
		e.report(Problem, "the server is a standby: nothing can be written", "connect to the primary")
	}
	if connections*10 > int64(limit)*8 {
		e.report(Warning, fmt.Sprintf("%d of %d connections are in use", connections, limit), "make the pools of programs smaller, or raise max_connections")
	}
	if age > 1_000_000_000 {
		e.report(Problem, fmt.Sprintf("the oldest transaction id is %d old; at two billions the server stops", age), "find what keeps vacuum from its work: old transactions, prepared ones, replication slots")
	}
	if apart > 1 || apart < -1 {
		e.report(Note, fmt.Sprintf("the server's clock is %.1f s ahead of this machine's", apart), "synchronise clocks; the store itself goes by the server's")
	}
	if len(e.found) == before {
		e.good("a primary, with %d of %d connections in use", connections, limit)
	}
	return nil
}

// pooler finds a pooler in transaction mode: it gives a connection another session of the server for each transaction, or the same one
// to several. Two connections that stay open make both visible.
func (e *examination) pooler(ctx context.Context) (err error) {
	var conns [2]*sql.Conn
	for i := range conns {
		if conns[i], err = e.d.Conn(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, conns[i].Close()) }()
	}
	var first string
	for i := range 20 {
		var here, there string
		if err := conns[0].QueryRowContext(ctx, e.queries.Get("session")).Scan(&here); err != nil {
			return err
		}
		if err := conns[1].QueryRowContext(ctx, e.queries.Get("session")).Scan(&there); err != nil {
			return err
		}
		if i == 0 {
			first = here
		}
		// The first connection answers again in the next round: its session has not ended in between.
		if here != first || i > 0 && there == first {
			e.report(Note, "connected through a pooler in transaction mode", "give notifiers a connection to the server itself: LISTEN does not work here; "+
				"have programs send each statement in one round trip: default_query_exec_mode=exec in pgx's connection string, binary_parameters=yes in lib/pq's")
			return nil
		}
	}
	e.good("connected to the server, or through a pooler that keeps sessions")
	return nil
}

func (e *examination) long(ctx context.Context) error {
	before := len(e.found)
	err := e.each(ctx, "long_transactions", []any{e.o.Long.Seconds()}, func(rows *sql.Rows) error {
		var pid int
		var user, application, state string
		var seconds float64
		var writes, locks bool
		if err := rows.Scan(&pid, &user, &application, &state, &seconds, &writes, &locks); err != nil {
			return err
		}
		level := Warning
		if seconds >= 10*e.o.Long.Seconds() && (writes || locks) {
			level = Problem
		}
		what := fmt.Sprintf("process %d (user %q, application %q) has been in a transaction for %s, %s", pid, user, application, time.Duration(seconds*float64(time.Second)).Round(time.Second), state)
		advice := "it keeps vacuum from tidying up: find out what it does, or end it with pg_terminate_backend"
		if writes && locks {
			what += "; it holds locks on the store"
			advice = "streams it has appended to wait for it, and its events have no position yet: find out what it does, or end it with pg_terminate_backend"
		}
		e.report(level, what, advice)
		return nil
	})
	if err == nil && len(e.found) == before {
		e.good("no transaction is open for longer than %s", e.o.Long)
	}
	return err
}

func (e *examination) prepared(ctx context.Context) error {
	before := len(e.found)
	err := e.each(ctx, "prepared_transactions", nil, func(rows *sql.Rows) error {
		var gid string
		var seconds float64
		err := rows.Scan(&gid, &seconds)
		e.report(Warning, fmt.Sprintf("the prepared transaction %q has been there for %s", gid, time.Duration(seconds*float64(time.Second)).Round(time.Second)),
			"commit it or roll it back: nothing else ends it, also no restart")
		return err
	})
	if err == nil && len(e.found) == before {
		e.good("there are no prepared transactions")
	}
	return err
}

func (e *examination) privileges(ctx context.Context) error {
	before := len(e.found)
	err := e.each(ctx, "privileges", nil, func(rows *sql.Rows) error {
		var what string
		err := rows.Scan(&what)
		e.report(Warning, "this user may not do: "+what, "grant it, if programs connect as this user")
		return err
	})
	if err == nil && len(e.found) == before {
		e.good("this user may read and write")
	}
	return err
}

func (e *examination) backlog(ctx context.Context) error {
	var unnumbered, holes, waiting int64
	if err := e.d.QueryRowContext(ctx, e.queries.Get("backlog")).Scan(&unnumbered, &holes, &waiting); err != nil {
		return err
	}
	switch {
	case unnumbered > 10_000:
		e.reportAction(Warning, fmt.Sprintf("%d committed events have no position yet", unnumbered),
			"nobody reads all events, or it is stuck: reading the last one gives them their positions", ReadLast)
	case waiting > 1000:
		e.report(Warning, fmt.Sprintf("%d ranges of appends wait for a transaction that is still open", waiting), "see long transactions")
	default:
		e.good("%d committed events wait for a position, %d ranges of appends may be committed yet", unnumbered, holes)
	}
	return nil
}

func (e *examination) bloat(ctx context.Context) error {
	before := len(e.found)
	err := e.each(ctx, "bloat", nil, func(rows *sql.Rows) error {
		var table string
		var dead, live int64
		err := rows.Scan(&table, &dead, &live)
		e.report(Warning, fmt.Sprintf("table %s has %d dead rows and %d live ones", table, dead, live), "something keeps vacuum from its work: see long transactions, or run `vacuum "+table+"`")
		return err
	})
	if err == nil && len(e.found) == before {
		e.good("vacuum keeps up")
	}
	return err
}

// expected are the indexes, triggers and functions that a store has.
func expected(d *database.Database) []string {
	if d.Kind == database.SQLite {
		return sqliteObjects(d.Schema)
	}
	return postgresObjects
}

// postgresObjects are those that the migrations create.
var postgresObjects = []string{
	"index streams_pkey", "index streams_name_key", "index events_pkey", "index events_version_key", "index events_event_id_key",
	"index links_pkey", "index links_event_key", "index log_pkey", "index log_append_seq_key", "index store_pkey", "index holes_pkey", "index holes_fence_idx", "index retired_pkey",
	"index subscriptions_pkey", "index snapshots_pkey", "index projections_pkey", "index projection_members_pkey", "index parked_pkey",
	"index parked_number_idx", "index parked_failed_idx", "index parked_stream_idx", "index parked_changes_pkey",
	"trigger guard on events", "trigger guard on links", "trigger guard on log", "trigger guard on retired", "trigger guard on streams",
	"function to_data", "function from_micros", "function guard", "function header", "function place", "function size", "function weight", "function hex", "function shown", "function recorded_from", "function append", "function append_one", "function append_group", "function append_in_tx", "function append_all", "function append_all_in_tx", "function await_stream", "function link",
	"function hard_delete", "function ended", "function advance", "function tick", "function new_stream_id", "function new_epoch",
	"function era", "function stream_end", "function event_at", "function lost",
}
