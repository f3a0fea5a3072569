package postgres

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/internal/tcpproxy"
	"github.com/eventstore-go/eventstore/store"
)

// The answer to a statement that has committed is lost: a pooler or proxy closes the connection. lib/pq then reports a bad
// connection, and database/sql sends a statement outside a transaction once more. pgx reports the error to the caller.

// Ends of answers: what the server reports as done.
const (
	doneSelect = "SELECT 1\x00"
	doneUpdate = "UPDATE 1\x00"
	doneInsert = "INSERT 0 1\x00"
	doneDelete = "DELETE 1\x00"
	doneCommit = "COMMIT\x00"
)

// lossy is a store behind a proxy that loses answers, and the same store without it.
type lossy struct {
	t      *testing.T
	resent bool // the driver makes database/sql send a statement again
	proxy  *tcpproxy.Proxy
	b      *Backend // behind the proxy
	es     *store.Store
	direct *store.Store
}

func newLossy(t *testing.T, driver string, opts Options, settings url.Values) *lossy {
	t.Helper()
	u, err := url.Parse(pgtest.URL(t))
	require.NoError(t, err)
	direct := setup(t, u.String())
	l := &lossy{t: t, resent: driver == "postgres", proxy: tcpproxy.Start(t, u.Host), direct: store.New(direct, &store.Options{HardDelete: true})}
	u.Host = l.proxy.Addr()
	query := u.Query()
	for name, values := range settings {
		query[name] = values
	}
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // pgx takes a plus for a plus
	opts.Schema = direct.opts.Schema
	l.b = New(pgtest.Open(t, driver, u.String()), &opts)
	t.Cleanup(func() { _ = l.b.Close() })
	l.es = store.New(l.b, &store.Options{HardDelete: true})
	_, err = l.es.Append(t.Context(), "warm", store.Any, fresh(1)...) // checks the schema
	require.NoError(t, err)
	return l
}

// losing runs f, of which the answer that ends with part is lost, and returns its error.
func (l *lossy) losing(part string, f func() error) error {
	l.t.Helper()
	lost := l.proxy.LoseAnswer(part)
	err := f()
	select {
	case <-lost:
	default:
		require.Fail(l.t, "no answer was lost", "f returned %v", err)
	}
	return err
}

// fresh returns n events without ids.
func fresh(n int) []store.Event {
	events := make([]store.Event, n)
	for i := range events {
		events[i] = store.Event{Type: "happened", Data: i}
	}
	return events
}

func named(n int) []store.Event {
	events := fresh(n)
	for i := range events {
		events[i].ID = uuid.New()
	}
	return events
}

// placed is a result without ids.
func placed(r store.AppendResult) store.AppendResult {
	r.IDs = nil
	return r
}

func (l *lossy) version(stream string) int64 {
	l.t.Helper()
	info, err := l.direct.StreamInfo(l.t.Context(), stream)
	require.NoError(l.t, err)
	return info.Version
}

// unknown checks an error that leaves open whether the write was done: it claims nothing.
func unknown(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	for _, claim := range []error{
		store.ErrWrongExpectedVersion, store.ErrDuplicateEvent, store.ErrStreamDeleted, store.ErrStreamNotFound, store.ErrRetryTx,
		store.ErrInvalid, store.ErrLeaseLost, store.ErrLeaseHeld, store.ErrSubscriptionNotFound, store.ErrSnapshotConflict, ErrSequenceBehind,
	} {
		require.NotErrorIs(t, err, claim)
	}
}

func TestLostAnswerToAppend(t *testing.T) {
	t.Parallel()
	noGroup := Options{NoGroupCommit: true}
	for _, c := range []struct {
		name     string
		expected store.Expected
		before   int // events in the stream
		events   []store.Event
		opts     Options
		settings url.Values
	}{
		{name: "single any", expected: store.Any, events: fresh(1)},
		{name: "single any, stream there", expected: store.Any, before: 1, events: fresh(1)},
		{name: "single no stream", expected: store.NoStream, events: fresh(1)},
		{name: "single version", expected: store.Version(2), before: 2, events: fresh(1)},
		{name: "single stream exists", expected: store.StreamExists, before: 1, events: fresh(1)},
		{name: "single given id", expected: store.Version(1), before: 1, events: named(1)},
		{name: "single without group commit", expected: store.Version(1), before: 1, events: fresh(1), opts: noGroup},
		{name: "several any", expected: store.Any, before: 1, events: fresh(3)},
		{name: "several no stream", expected: store.NoStream, events: fresh(3)},
		{name: "several version", expected: store.Version(2), before: 2, events: fresh(3)},
		{name: "several given ids", expected: store.Version(2), before: 2, events: named(3)},
		{name: "several without group commit", expected: store.Any, before: 2, events: fresh(3), opts: noGroup},
		{name: "not prepared", expected: store.Any, before: 2, events: fresh(1), opts: Options{NoPrepare: true}},
		{name: "repeatable read", expected: store.Any, before: 2, events: fresh(1), settings: url.Values{"default_transaction_isolation": {"repeatable read"}}},
	} {
		for _, driver := range pgtest.Drivers() {
			t.Run(driver+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				l := newLossy(t, driver, c.opts, c.settings)
				if c.before > 0 {
					_, err := l.direct.Append(t.Context(), "s", store.NoStream, fresh(c.before)...)
					require.NoError(t, err)
				}
				var res store.AppendResult
				err := l.losing(doneSelect, func() (err error) {
					res, err = l.es.Append(t.Context(), "s", c.expected, c.events...)
					return err
				})
				last := int64(c.before + len(c.events))
				assert.Equal(t, last, l.version("s"), "it was written once")
				if !l.resent {
					unknown(t, err)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, store.AppendResult{Stream: "s", First: int64(c.before) + 1, Last: last, Retried: true}, placed(res))
			})
		}
	}
}

// TestAppendAgainAfterGivingWay: the attempt after one that gave way to others may find what that one has written.
func TestAppendAgainAfterGivingWay(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	for name, n := range map[string]int{"single": 1, "several": 3} {
		for _, expected := range []store.Expected{store.Any, store.NoStream} {
			r := store.AppendRequest{Stream: name + expected.String(), Expected: expected, FreshIDs: true}
			for range n {
				r.Events = append(r.Events, store.NewEvent{ID: uuid.New(), Type: "happened", Data: []byte("1")})
			}
			res, err := b.Append(t.Context(), r)
			require.NoError(t, err)
			res.Retried = true
			again, err := b.appendReadCommitted(t.Context(), r)
			require.NoError(t, err)
			assert.Equal(t, res, again)
		}
	}
}

// TestLostAnswerToFlush loses the answer to a statement that carries many appends: each has its own outcome all the same.
func TestLostAnswerToFlush(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			l := newLossy(t, driver, Options{}, nil)
			_, err := l.direct.Append(t.Context(), "there", store.NoStream, fresh(2)...)
			require.NoError(t, err)
			ctx := t.Context()
			c := gather(t, l.b)
			wrong := c.add(ctx, "wrong", store.Version(7), fresh(1)...)
			members := map[string]*outcome{
				"there": c.add(ctx, "there", store.Version(2), fresh(1)...),
				"any":   c.add(ctx, "any", store.Any, fresh(1)...),
				"new":   c.add(ctx, "new", store.NoStream, fresh(3)...),
				"given": c.add(ctx, "given", store.NoStream, named(2)...),
			}
			lost := l.proxy.LoseAnswer(doneSelect)
			c.finish()
			<-lost
			want := map[string][2]int64{"there": {3, 3}, "any": {1, 1}, "new": {1, 3}, "given": {1, 2}}
			for stream, o := range members {
				span := want[stream]
				assert.Equal(t, span[1], l.version(stream), "it was written once")
				if !l.resent {
					unknown(t, o.err)
					continue
				}
				require.NoError(t, o.err, stream)
				assert.Equal(t, store.AppendResult{Stream: stream, First: span[0], Last: span[1], Retried: true}, placed(o.AppendResult))
			}
			if l.resent {
				assert.ErrorIs(t, wrong.err, store.ErrWrongExpectedVersion, "what was refused stays refused")
			}
		})
	}
}

// TestLostAnswerToLargeAppend loses answers of an append that takes several statements, in one transaction. That is not sent
// again.
func TestLostAnswerToLargeAppend(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			l := newLossy(t, driver, Options{}, nil)
			events := named(maxChunkEvents + 1)
			unknown(t, l.losing(doneSelect, func() error {
				_, err := l.es.Append(t.Context(), "s", store.Any, events...)
				return err
			}))
			_, err := l.direct.StreamInfo(t.Context(), "s")
			require.ErrorIs(t, err, store.ErrStreamNotFound, "the transaction has ended with the connection")

			unknown(t, l.losing(doneCommit, func() error {
				_, err := l.es.Append(t.Context(), "s", store.Any, events...)
				return err
			}))
			assert.EqualValues(t, len(events), l.version("s"))
			res, err := l.es.Append(t.Context(), "s", store.Any, events...)
			require.NoError(t, err)
			assert.Equal(t, store.AppendResult{Stream: "s", First: 1, Last: int64(len(events)), Retried: true}, placed(res))
		})
	}
}
