package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// A call is given connections that are dead: those of other calls, whose contexts have ended. pgx closes such a connection, and a
// pool that is full hands it to whoever waits.

// TestDeadConnections: a call whose own context is alive gets over dead connections, whatever it is, and does its work once.
func TestDeadConnections(t *testing.T) {
	t.Parallel()
	for _, name := range pgtest.Drivers() {
		for _, opts := range []Options{{}, {NoPrepare: true, NoGroupCommit: true}} {
			title := name
			if opts.NoPrepare {
				title += "/noprepare"
			}
			t.Run(title, func(t *testing.T) {
				t.Parallel()
				pool, b, direct, log := newDying(t, name, opts)
				ctx := t.Context()
				first := named(3)
				_, err := store.New(direct, nil).Append(ctx, "s", store.NoStream, first...)
				require.NoError(t, err)
				es := store.New(b, &store.Options{HardDelete: true})
				read := store.ReadRequest{Stream: "s", From: 1, Limit: 10}
				readAll := store.ReadRequest{Stream: store.All, From: 1, Limit: 10}
				sub := store.SubscriptionID{Stream: "s", Name: "sub"}
				var lease store.Lease

				for _, c := range []struct {
					name string
					call func() error
				}{
					{"check", func() error { return b.Check(ctx) }},
					{"read stream", func() error { return wantN(3)(lenOf(b.ReadStream(ctx, read))) }},
					{"read stream backward", func() error {
						return wantN(3)(lenOf(b.ReadStream(ctx, store.ReadRequest{Stream: "s", From: math.MaxInt64, Limit: 10, Backward: true})))
					}},
					{"read all", func() error { part, err := b.ReadAll(ctx, readAll); return wantN(3)(len(part.Events), err) }},
					{"read filtered", func() error {
						page, _, err := b.ReadFiltered(ctx, readAll, store.EventFilter{Types: []string{"happened"}})
						return wantN(3)(len(page), err)
					}},
					{"read stream filtered", func() error {
						page, _, err := b.ReadFiltered(ctx, read, store.EventFilter{Types: []string{"happened"}})
						return wantN(3)(len(page), err)
					}},
					{"read event", func() error { _, err := b.ReadEvent(ctx, first[0].ID); return err }},
					{"head", func() error { n, err := b.Head(ctx); return wantN(3)(int(n), err) }},
					{"poll", func() error { n, _, err := b.Poll(ctx, 1); return wantN(3)(int(n), err) }},
					{"tick", func() error { _, err := b.Tick(ctx); return err }},
					{"stream info", func() error { _, err := b.StreamInfo(ctx, "s"); return err }},
					{"stream versions", func() error { m, err := b.StreamVersions(ctx, []string{"s"}); return wantN(1)(len(m), err) }},
					{"list", func() error {
						list, err := b.ListStreams(ctx, store.ListRequest{SortBy: store.SortID, Limit: 2})
						return wantN(1)(len(list), err)
					}},
					{"count", func() error { n, err := b.CountStreams(ctx, store.StreamFilter{}); return wantN(1)(int(n), err) }},

					{"append", func() error { _, err := es.Append(ctx, "s", store.Version(3), fresh(1)...); return err }},
					{"append several", func() error { _, err := es.Append(ctx, "s", store.Version(4), fresh(2)...); return err }},
					{"append known ids", func() error { _, err := es.Append(ctx, "s", store.Version(6), named(1)...); return err }},
					{"append in a transaction", func() error {
						return es.InTx(ctx, func(tx *sql.Tx) error {
							_, err := es.WithTx(tx).Append(ctx, "s", store.Version(7), fresh(1)...)
							return err
						})
					}},
					{"link", func() error { _, err := es.Link(ctx, "linked", store.NoStream, first[0].ID); return err }},
					{"read linked", func() error {
						return wantN(1)(lenOf(b.ReadStream(ctx, store.ReadRequest{Stream: "linked", From: 1, Limit: 10})))
					}},
					{"soft delete", func() error { return es.Delete(ctx, "linked", store.StreamExists, store.SoftDelete) }},
					{"hard delete", func() error { return es.Delete(ctx, "linked", store.Any, store.HardDelete) }},

					{"create lease", func() (err error) {
						lease, err = b.AcquireLease(ctx, store.LeaseRequest{ID: sub, Owner: "me", TTL: 60e9, Create: true})
						return err
					}},
					{"renew leases", func() error { list, err := b.RenewLeases(ctx, "me", 60e9); return wantN(1)(len(list), err) }},
					{"free leases", func() error { list, err := b.FreeLeases(ctx); return wantN(0)(len(list), err) }},
					{"save checkpoint", func() error { lease.Checkpoint = 1; return b.SaveCheckpoint(ctx, requestOf(lease)) }},
					{"save checkpoints", func() error {
						lease.Checkpoint = 2
						refused, err := b.SaveCheckpoints(ctx, []store.CheckpointRequest{requestOf(lease)})
						return errors.Join(append(refused, err)...)
					}},
					{"save error", func() error { return b.SaveError(ctx, sub, lease.Epoch, "oops", 0) }},
					{"list subscriptions", func() error { list, err := b.ListSubscriptions(ctx); return wantN(1)(len(list), err) }},
					{"arrivals", func() error { _, err := b.Arrivals(ctx, []store.Behind{{Stream: "s", Number: 1}}); return err }},
					{"places", func() error { list, err := b.Places(ctx, "s", 1, 3); return wantN(3)(len(list), err) }},
					{"release lease", func() error { return b.ReleaseLease(ctx, requestOf(lease)) }},
					{"reset subscription", func() error { return b.ResetSubscription(ctx, sub, 1, 0) }},
					{"delete subscription", func() error { return b.DeleteSubscription(ctx, sub) }},

					{"read projections", func() error { list, err := b.ReadProjections(ctx, ""); return wantN(0)(len(list), err) }},
					{"join projection", func() error { list, err := b.JoinProjection(ctx, "p", "me", 60e9); return wantN(1)(len(list), err) }},
					{"parked keys", func() error { list, err := b.ParkedKeys(ctx, "p", 0, 1); return wantN(0)(len(list), err) }},
					{"record snapshot", func() error {
						return es.RecordSnapshot(ctx, store.Snapshot{SourceID: "s", Version: 3, Type: "t", Data: 1})
					}},
					{"read snapshot", func() error { _, err := es.ReadSnapshot(ctx, "s"); return err }},
				} {
					log.take()
					pool.left.Store(dead)
					require.NoError(t, c.call(), c.name)
					require.Negative(t, pool.left.Load(), "%s: it met all dead connections", c.name)
					assert.Contains(t, log.take(), `msg="connection lost, statement sent again" statement=`, c.name)
				}
				info, err := direct.StreamInfo(ctx, "s")
				require.NoError(t, err)
				assert.EqualValues(t, 8, info.Version, "each append was written once")
			})
		}
	}
}

// wantN returns a check that a call has returned n things.
func wantN(n int) func(have int, err error) error {
	return func(have int, err error) error {
		if err == nil && have != n {
			return errors.New("not what there is")
		}
		return err
	}
}

func lenOf(part store.StreamPart, err error) (int, error) { return len(part.Events), err }

// TestDeadConnectionsOfAGroup: appends that share a statement get over dead connections together, each with its own outcome.
func TestDeadConnectionsOfAGroup(t *testing.T) {
	t.Parallel()
	for _, name := range pgtest.Drivers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, b, direct, _ := newDying(t, name, Options{})
			appendTo(t, b, "there", 2)
			c := gather(t, b)
			good := c.add(t.Context(), "there", store.Version(2), fresh(1)...)
			bad := c.add(t.Context(), "new", store.Version(2), fresh(1)...)
			other := c.add(t.Context(), "other", store.NoStream, fresh(2)...)
			pool.left.Store(dead)
			c.finish()
			require.NoError(t, good.err)
			require.NoError(t, other.err)
			require.ErrorIs(t, bad.err, store.ErrWrongExpectedVersion)
			assert.EqualValues(t, 5, number(t, direct, `select count(*) from /*schema.*/events`), "each was written once")
		})
	}
}

// TestOnlyDeadConnections: a call ends with an error that says so if no connection is alive, and with its context.
func TestOnlyDeadConnections(t *testing.T) {
	t.Parallel()
	for _, name := range pgtest.Drivers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, b, _, _ := newDying(t, name, Options{})
			require.NoError(t, b.Check(t.Context()))
			pool.left.Store(math.MaxInt64)
			pool.none.Store(true)
			_, err := b.Head(t.Context())
			require.ErrorIs(t, err, driver.ErrBadConn)
			require.ErrorContains(t, err, "the connection was lost")
			assert.LessOrEqual(t, math.MaxInt64-pool.left.Load(), int64(4*mostDead), "database/sql tries three times each time")
			_, err = b.BeginTx(t.Context(), nil)
			require.ErrorIs(t, err, driver.ErrBadConn)

			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err = b.Head(ctx)
			require.ErrorIs(t, err, context.Canceled)
		})
	}
}

// TestClosedDatabase: calls on a *sql.DB that was closed say so.
func TestClosedDatabase(t *testing.T) {
	t.Parallel()
	for _, name := range pgtest.Drivers() {
		b := New(pgtest.Open(t, name, pgtest.URL(t)), &Options{Schema: pgtest.Schema(t)})
		install(t, b)
		appendTo(t, b, "s", 1)
		tx := begin(t, b)
		require.NoError(t, tx.Rollback())
		_, err := b.WithTx(tx).Head(t.Context())
		require.ErrorIs(t, err, sql.ErrTxDone)
		require.NoError(t, b.db.Close())
		_, read := b.ReadStream(t.Context(), store.ReadRequest{Stream: "s", From: 1, Limit: 1})
		_, appended := store.New(b, nil).Append(t.Context(), "s", store.Any, fresh(1)...)
		_, begun := b.BeginTx(t.Context(), nil)
		for call, err := range map[string]error{"read": read, "append": appended, "begin": begun, "check": New(b.db, &b.opts).Check(t.Context())} {
			require.ErrorIs(t, err, store.ErrClosed, "%s: %s", name, call)
			require.ErrorContains(t, err, "the *sql.DB was closed")
		}
	}
}

// TestLostAnswerToRead: a read whose answer is lost is sent again, with either driver.
func TestLostAnswerToRead(t *testing.T) {
	t.Parallel()
	for _, name := range pgtest.Drivers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLossy(t, name, Options{}, nil)
			ctx := t.Context()
			_, err := l.direct.Append(ctx, "s", store.NoStream, fresh(3)...)
			require.NoError(t, err)
			for what, read := range map[string]func() error{
				"stream": func() error {
					return wantN(3)(lenOf(l.b.ReadStream(ctx, store.ReadRequest{Stream: "s", From: 1, Limit: 10})))
				},
				"all": func() error {
					part, err := l.b.ReadAll(ctx, store.ReadRequest{Stream: store.All, From: 1, Limit: 10})
					return wantN(4)(len(part.Events), err)
				},
				"head":  func() error { _, err := l.b.Head(ctx); return err },
				"info":  func() error { _, err := l.b.StreamInfo(ctx, "s"); return err },
				"check": func() error { return New(l.b.db, &l.b.opts).Check(ctx) },
			} {
				require.NoError(t, l.losing("SELECT ", read), what)
			}
			var tx *sql.Tx
			require.NoError(t, l.losing("BEGIN\x00", func() (err error) {
				tx, err = l.b.BeginTx(ctx, nil)
				return err
			}), "a transaction in which nothing was done yet")
			require.NoError(t, tx.Rollback())
		})
	}
}

// TestTerminatedSessions: sessions that the server has ended while they were idle are not a reader's concern.
func TestTerminatedSessions(t *testing.T) {
	t.Parallel()
	for _, name := range pgtest.Drivers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			direct := setup(t, pgtest.URL(t))
			appendTo(t, direct, "s", 1)
			b := New(pgtest.Open(t, name, pgtest.URL(t)+"&application_name="+direct.opts.Schema), &direct.opts)
			const idle = 5
			b.db.SetMaxIdleConns(idle)
			var txs []*sql.Tx
			for range idle {
				txs = append(txs, begin(t, b))
			}
			for _, tx := range txs {
				require.NoError(t, tx.Rollback())
			}
			require.NoError(t, b.Check(t.Context()))
			require.EqualValues(t, idle, number(t, direct, `select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = $1`, direct.opts.Schema))
			eventually(t, "they have ended", func() bool {
				return number(t, direct, `select count(*) from pg_stat_activity where application_name = $1`, direct.opts.Schema) == 0
			})
			head, err := b.Head(t.Context())
			require.NoError(t, err)
			assert.EqualValues(t, 1, head)
			require.NoError(t, b.Close())
		})
	}
}

// TestRepeatable: the statements that are sent again when their answer was lost write nothing.
func TestRepeatable(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	for name := range repeatable {
		if name == "begin" || name == "tick" { // a second tick finds less to do
			continue
		}
		query := b.queries.Get(name)
		parameters := 0
		for strings.Contains(query, "$"+strconv.Itoa(parameters+1)+"::") {
			parameters++
		}
		tx, err := b.db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
		require.NoError(t, err)
		_, err = tx.ExecContext(t.Context(), query, make([]any, parameters)...)
		require.NoError(t, err, name)
		require.NoError(t, tx.Rollback())
	}
}
