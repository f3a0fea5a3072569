package postgres

import (
	"context"
	"database/sql"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// TestStatementTimeout: a statement that the server ends is ErrTimeout, so that the Store reads smaller pages. A lock keeps the statement
// waiting, however fast the machine is.
func TestStatementTimeout(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	appendTo(t, b, "a", 3)
	require.Len(t, all(t, b), 3)
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			impatient := New(pgtest.Open(t, driver, pgtest.URL(t)+"&statement_timeout=100"), &Options{Schema: b.opts.Schema})
			tx := begin(t, b)
			_, err := tx.ExecContext(t.Context(), `lock table `+quote(b.opts.Schema)+`.events in access exclusive mode`)
			require.NoError(t, err)
			_, err = store.New(impatient, nil).Page(t.Context(), store.All, nil)
			require.ErrorIs(t, err, store.ErrTimeout)
			require.NoError(t, tx.Rollback())
		})
	}
}

// TestCorrelationIsFoundOnce: reading a correlation costs no more than in proportion to its events. Where they are is looked up once, not
// for each page.
func TestCorrelationIsFoundOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	require.NoError(t, b.IndexCorrelations(t.Context()))
	config, err := pgx.ParseConfig(pgtest.URL(t))
	require.NoError(t, err)
	var found, pages atomic.Int64
	db := sql.OpenDB(hooked{stdlib.GetConnector(*config), func(query string) {
		switch {
		case query == b.queries.Get("find_correlation"):
			found.Add(1)
		case query == b.queries.Get("read_places"):
			pages.Add(1)
		}
	}})
	defer db.Close() //nolint:errcheck // its server is a test's
	counted := New(db, &Options{Schema: b.opts.Schema, NoPrepare: true})
	es := store.New(counted, nil)
	id := uuid.New()
	const events = 3*store.DefaultPageSize + 10
	list := make([]store.Event, events)
	for i := range list {
		list[i] = store.Event{Type: "t", CorrelationID: id}
	}
	_, err = es.Append(t.Context(), "s", store.NoStream, list...)
	require.NoError(t, err)
	n := 0
	for _, err := range es.Correlation(t.Context(), id) {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, events, n)
	require.Equal(t, int64(1), found.Load(), "looks for where the events are")
	require.Equal(t, int64(4), pages.Load(), "pages")
}

// TestLargeEventDeletedBetweenTheStatementsOfAPage: an event that was there when the page was read, and whose data are not there any more,
// is left out. Nothing behind it is.
func TestLargeEventDeletedBetweenTheStatementsOfAPage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		read func(ctx context.Context, b *Backend, r store.ReadRequest) (store.Part, error)
	}{
		{"all", func(ctx context.Context, b *Backend, r store.ReadRequest) (store.Part, error) {
			return b.ReadAll(ctx, r)
		}},
		{"links", func(ctx context.Context, b *Backend, r store.ReadRequest) (store.Part, error) {
			r.Stream = "links"
			page, err := b.ReadStream(ctx, r)
			return page.Part, err
		}},
		{"filtered", func(ctx context.Context, b *Backend, r store.ReadRequest) (store.Part, error) {
			r.Stream = store.All
			page, next, err := b.ReadFiltered(ctx, r, store.EventFilter{})
			return store.Part{Events: page, More: next <= 4}, err
		}},
		{"filtered links", func(ctx context.Context, b *Backend, r store.ReadRequest) (store.Part, error) {
			r.Stream = "links"
			page, next, err := b.ReadFiltered(ctx, r, store.EventFilter{})
			return store.Part{Events: page, More: next <= 4}, err
		}},
	} {
		for _, gone := range []string{"first", "third"} {
			t.Run(test.name+"/"+gone, func(t *testing.T) {
				t.Parallel()
				b := setup(t, pgtest.URL(t))
				es := store.New(b, &store.Options{HardDelete: true})
				for _, stream := range []string{"first", "second", "third", "fourth"} {
					_, err := es.Append(t.Context(), stream, store.NoStream, store.Event{Type: "t", Data: strings.Repeat("x", 10_000)})
					require.NoError(t, err)
				}
				var ids []uuid.UUID
				for e, err := range es.All(t.Context(), nil) {
					require.NoError(t, err)
					ids = append(ids, e.ID)
				}
				_, err := es.Link(t.Context(), "links", store.NoStream, ids...)
				require.NoError(t, err)

				config, err := pgx.ParseConfig(pgtest.URL(t))
				require.NoError(t, err)
				deleted := false
				db := sql.OpenDB(hooked{stdlib.GetConnector(*config), func(query string) {
					if !deleted && strings.Contains(query, ".weight(") {
						deleted = true // behind the statement that reads the page, before the one that fetches its data
						require.NoError(t, es.Delete(context.WithoutCancel(t.Context()), gone, store.Any, store.HardDelete))
					}
				}})
				defer db.Close() //nolint:errcheck // its server is a test's
				reader := New(db, &Options{Schema: b.opts.Schema, NoPrepare: true})
				var streams []string
				for r := (store.ReadRequest{From: 1, Limit: 1000, Bytes: 50_000}); ; {
					part, err := test.read(t.Context(), reader, r)
					require.NoError(t, err)
					for _, e := range part.Events {
						streams = append(streams, e.Stream)
						require.Len(t, e.Data, 10_002)
					}
					if !part.More {
						break
					}
					r.From = part.Events[len(part.Events)-1].Number + 1
				}
				require.True(t, deleted)
				want := []string{"second", "third", "fourth"}
				if gone == "third" {
					want = []string{"first", "second", "fourth"}
				}
				require.Equal(t, want, streams)
			})
		}
	}
}
