package postgres

import (
	"context"
	"database/sql"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// TestCommitThatNoStandbyConfirms: a server with synchronous replication commits on its own disk and waits for a standby. If the
// caller gives up meanwhile, the server ends the wait and reports success, though a failover would lose the commit. The caller must
// get an error. A retry finds the events there, and must wait for a standby too.
func TestCommitThatNoStandbyConfirms(t *testing.T) {
	t.Parallel()
	server := pgtest.StartServer(t, "synchronous_standby_names=none")
	admin := New(pgtest.Open(t, "pgx", server.URL()+"&synchronous_commit=local"), nil)
	install(t, admin)
	appendTo(t, admin, "source", 1)
	source := store.New(admin, nil)
	page, err := source.Page(t.Context(), "source", nil)
	require.NoError(t, err)

	batch := []store.Event{{ID: uuid.New(), Type: "happened"}, {ID: uuid.New(), Type: "happened"}}
	large := make([]store.Event, maxChunkEvents+1)
	for i := range large {
		large[i] = store.Event{ID: uuid.New(), Type: "happened"}
	}
	for _, driver := range pgtest.Drivers() {
		b := New(pgtest.Open(t, driver, server.URL()), nil)
		t.Cleanup(func() { require.NoError(t, b.Close()) })
		es := store.New(b, &store.Options{HardDelete: true})
		for _, write := range []struct {
			name  string
			do    func(ctx context.Context, stream string) (store.AppendResult, error)
			again bool // a retry is recognized
		}{
			{"append", func(ctx context.Context, stream string) (store.AppendResult, error) {
				return es.Append(ctx, stream, store.Any, renamed(batch[:1], stream)...)
			}, true},
			{"batch", func(ctx context.Context, stream string) (store.AppendResult, error) {
				return es.Append(ctx, stream, store.NoStream, renamed(batch, stream)...)
			}, true},
			{"append at a version", func(ctx context.Context, stream string) (store.AppendResult, error) {
				if _, err := source.StreamInfo(ctx, stream); err != nil {
					appendTo(t, admin, stream, 1)
				}
				return es.Append(ctx, stream, store.Version(1), renamed(batch[:1], stream)...)
			}, true},
			{"large append", func(ctx context.Context, stream string) (store.AppendResult, error) {
				return es.Append(ctx, stream, store.Any, renamed(large, stream)...)
			}, true},
			{"transaction", func(ctx context.Context, stream string) (res store.AppendResult, err error) {
				err = es.InTx(ctx, func(tx *sql.Tx) error {
					res, err = es.WithTx(tx).Append(ctx, stream, store.Any, renamed(batch, stream)...)
					return err
				})
				return res, err
			}, true},
			{"link", func(ctx context.Context, stream string) (store.AppendResult, error) {
				return es.Link(ctx, stream, store.Any, store.IDs(page...)...)
			}, false},
			{"hard delete", func(ctx context.Context, stream string) (store.AppendResult, error) {
				appendTo(t, admin, stream, 1)
				return store.AppendResult{}, es.Delete(ctx, stream, store.Any, store.HardDelete)
			}, false},
		} {
			t.Run(driver+"/"+write.name, func(t *testing.T) {
				stream := driver + " " + write.name
				giveUp := func() {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					done := make(chan error, 1)
					go func() {
						_, err := write.do(ctx, stream)
						done <- err
					}()
					eventually(t, "it waits for a standby", func() bool {
						select {
						case err := <-done:
							require.Fail(t, "it did not wait for a standby", "%v", err)
						default:
						}
						return number(t, admin, `select count(*) from pg_stat_activity where wait_event = 'SyncRep'`) == 1
					})
					cancel()
					require.ErrorIs(t, <-done, context.Canceled)
				}
				giveUp()
				eventually(t, "nobody waits", func() bool {
					return number(t, admin, `select count(*) from pg_stat_activity where wait_event = 'SyncRep'`) == 0
				})
				if write.again {
					giveUp()
				}
			})
		}
	}
}

// renamed returns events with other ids, which belong to a stream.
func renamed(events []store.Event, stream string) (list []store.Event) {
	for _, e := range events {
		e.ID = uuid.NewSHA1(e.ID, []byte(stream))
		list = append(list, e)
	}
	return list
}
