package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// statementsOf returns the SQL in a section of docs/operations.md, block by block.
func statementsOf(t *testing.T, section string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	_, found, ok := strings.Cut(string(text), "\n## "+section+"\n")
	require.True(t, ok, "docs/operations.md has no section %q", section)
	found, _, _ = strings.Cut(found, "\n## ")
	for _, block := range regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(found, -1) {
		blocks = append(blocks, block[1])
	}
	require.NotEmpty(t, blocks)
	return blocks
}

// documented is a server with the roles and the store of docs/operations.md.
type documented struct {
	t      *testing.T
	server *pgtest.Server
	admin  *sql.DB
}

// newDocumented starts a server on which no function may be called unless it is granted, and runs the section on roles.
func newDocumented(t *testing.T) *documented {
	t.Helper()
	d := &documented{t: t, server: pgtest.StartServer(t)}
	d.admin = pgtest.Open(t, "pgx", d.server.URL())
	blocks := statementsOf(t, "Roles")
	require.Len(t, blocks, 2, "one before the tables are there, one after")
	d.exec(d.admin, blocks[0])
	for _, role := range []string{"migrator", "writer", "reader", "subscriber", "operator"} {
		d.exec(d.admin, `alter role shop_`+role+` password 'secret'`)
	}
	migrator := d.as("migrator")
	install(t, migrator)
	d.exec(migrator.db, blocks[1])
	return d
}

func (d *documented) exec(db *sql.DB, statements string) {
	d.t.Helper()
	_, err := db.ExecContext(d.t.Context(), statements)
	require.NoError(d.t, err, statements)
}

// as opens the store as one of the roles.
func (d *documented) as(role string) *Backend {
	d.t.Helper()
	u, err := url.Parse(d.server.URL())
	require.NoError(d.t, err)
	u.User = url.UserPassword("shop_"+role, "secret")
	b := New(pgtest.Open(d.t, "pgx", u.String()), &Options{Schema: "shop"})
	d.t.Cleanup(func() { require.NoError(d.t, b.Close()) })
	return b
}

// TestRolesOfTheDocs: with the rights of docs/operations.md each role can do what it is for, and not more, where no function is open
// to everyone.
func TestRolesOfTheDocs(t *testing.T) {
	t.Parallel()
	d := newDocumented(t)
	writer, reader, subscriber, operator := d.as("writer"), d.as("reader"), d.as("subscriber"), d.as("operator")
	hard := &store.Options{HardDelete: true}
	w, r, s, o := store.New(writer, hard), store.New(reader, nil), store.New(subscriber, nil), store.New(operator, hard)
	ctx := t.Context()
	for _, es := range []*store.Store{w, r, s, o} {
		require.NoError(t, es.Check(ctx))
		t.Cleanup(func() { require.NoError(t, es.Close()) })
	}

	// The writer.
	appendTo(t, writer, "one", 1)
	appendTo(t, writer, "several", 3)
	appendTo(t, writer, "large", maxChunkEvents+1)
	var together sync.WaitGroup
	for n := range 20 {
		together.Go(func() {
			_, err := w.Append(ctx, fmt.Sprint("together", n), store.Any, store.Event{Type: "happened"})
			assert.NoError(t, err)
		})
	}
	together.Wait()
	require.NoError(t, w.InTx(ctx, func(tx *sql.Tx) error {
		_, err := w.WithTx(tx).Append(ctx, "several", store.Any, store.Event{ID: uuid.New(), Type: "happened"})
		return err
	}))
	page, err := w.Page(ctx, "several", nil)
	require.NoError(t, err)
	_, err = w.Link(ctx, "links", store.Any, store.IDs(page...)...)
	require.NoError(t, err)
	require.NoError(t, w.Delete(ctx, "one", store.Any, store.SoftDelete))
	require.NoError(t, w.RecordSnapshot(ctx, store.Snapshot{SourceID: "several", Type: "t", Version: 4, Data: 1}))
	require.NoError(t, w.DeleteSnapshot(ctx, "several"))
	require.Empty(t, firstPage(t, r), "nobody has placed them")
	require.NotEmpty(t, firstPage(t, w))
	d.refused(w.Delete(ctx, "several", store.Any, store.HardDelete))
	d.refused(w.ResetSubscription(ctx, store.All, "none", 0))

	// The reader.
	require.NotEmpty(t, firstPage(t, r))
	for _, stream := range []string{"several", "links"} {
		page, err = r.Page(ctx, stream, nil)
		require.NoError(t, err)
		require.Len(t, page, 4)
	}
	_, err = r.Append(ctx, "x", store.Any, store.Event{Type: "happened"})
	d.refused(err)
	d.refused(r.ResetSubscription(ctx, store.All, "none", 0))

	// The subscriber.
	d.exec(d.admin, `create table shop.seen (number bigint); grant insert on shop.seen to shop_subscriber`)
	parking := store.RetryThen(1, store.Park)
	d.until(func(ctx context.Context) error {
		return s.Consume(ctx, store.All, "mailer", func(context.Context, store.Recorded) error { return errors.New("no") }, &store.ConsumeOptions{
			OnError: parking, MinBackoff: time.Millisecond,
			SubscribeOptions: store.SubscribeOptions{
				Filter: store.EventFilter{StreamPrefix: "several"}, PartitionBy: func(e store.Recorded) string { return e.ID.String() },
			},
		})
	}, func() bool { return d.count(`select count(*) from shop.parked`) == 4 })
	n, err := s.DiscardParked(ctx, "mailer", &store.ParkedFilter{Stream: store.All})
	require.NoError(t, err)
	require.EqualValues(t, 4, n)
	d.until(func(ctx context.Context) error {
		return s.Project(ctx, "seen", func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
			for _, e := range events {
				if _, err := tx.ExecContext(ctx, `insert into shop.seen values ($1)`, e.Number); err != nil {
					return err
				}
			}
			return nil
		}, &store.ProjectOptions{Partitions: 2, Filter: store.EventFilter{StreamPrefix: "several"}})
	}, func() bool { return d.count(`select count(*) from shop.seen`) == 4 })
	require.NoError(t, s.Repartition(ctx, "seen", 3))
	_, err = s.Subscriptions(ctx)
	require.NoError(t, err)
	_, err = s.Append(ctx, "x", store.Any, store.Event{Type: "happened"})
	d.refused(err)

	// The operator.
	require.NoError(t, o.Delete(ctx, "several", store.Any, store.HardDelete))
	require.NoError(t, o.ResetSubscription(ctx, store.All, "mailer", 0))
	require.NoError(t, o.DeleteSubscription(ctx, store.All, "mailer"))
	require.NoError(t, o.ResetProjection(ctx, "seen", func(context.Context, *sql.Tx) error { return nil }))
	require.NoError(t, o.DeleteProjection(ctx, "seen"))
	appendTo(t, operator, "one more", 1)

	// Sequences that were set back are set right by whoever notices.
	for _, b := range []*Backend{writer, subscriber} {
		d.exec(d.admin, `select setval('shop.append_seq', 1), setval('shop.stream_seq', 1)`)
		_, err := b.Tick(ctx)
		require.NoError(t, err)
		appendTo(t, writer, "after "+b.opts.Schema, 1)
	}
}

// TestMonitoringOfTheDocs: the queries of docs/operations.md run, as the role that they are for.
func TestMonitoringOfTheDocs(t *testing.T) {
	t.Parallel()
	d := newDocumented(t)
	appendTo(t, d.as("writer"), "a", 3)
	s := store.New(d.as("subscriber"), nil)
	sub, err := s.Subscribe(t.Context(), store.All, "mailer", nil)
	require.NoError(t, err)
	_, err = sub.Next(t.Context())
	require.NoError(t, err)
	require.NoError(t, sub.Close())
	require.NoError(t, s.Close())
	operator := d.as("operator").db
	for _, query := range statementsOf(t, "Monitoring") {
		n := rowsOf(t, operator, query)
		if strings.Contains(query, "shop.subscriptions") {
			require.Equal(t, 1, n, query)
		}
	}
}

// rowsOf returns how many rows a query has.
func rowsOf(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err, query)
	defer rows.Close() //nolint:errcheck // rows.Err is what counts
	for rows.Next() {
		n++
	}
	require.NoError(t, rows.Err(), query)
	return n
}

// refused checks that an error says that a right is missing.
func (d *documented) refused(err error) {
	d.t.Helper()
	require.Equal(d.t, "42501", sqlerr.State(err), "%v", err)
}

func (d *documented) count(query string) (n int) {
	d.t.Helper()
	require.NoError(d.t, d.admin.QueryRowContext(d.t.Context(), query).Scan(&n))
	return n
}

// until runs a reader until done.
func (d *documented) until(run func(ctx context.Context) error, done func() bool) {
	d.t.Helper()
	ctx, stop := context.WithCancel(d.t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	eventually(d.t, "the reader is done", func() bool {
		select {
		case err := <-ended:
			require.Fail(d.t, "the reader has ended", "%v", err)
		default:
		}
		return done()
	})
	stop()
	require.ErrorIs(d.t, <-ended, context.Canceled)
}

func firstPage(t *testing.T, es *store.Store) []store.Recorded {
	t.Helper()
	page, err := es.Page(t.Context(), store.All, nil)
	require.NoError(t, err)
	return page
}
