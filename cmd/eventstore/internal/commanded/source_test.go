package commanded

import (
	"context"
	"crypto/md5"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// kinds of stores: the types of data, and of an event's time.
var kinds = []struct{ data, time string }{{"bytea", "timestamptz"}, {"jsonb", "timestamp"}}

const schema = `Events "of" Elixir`

// fixture is a store in a database of its own.
type fixture struct {
	*sql.DB
	location database.Location
	replacer *strings.Replacer
}

func newFixture(t *testing.T, data, times string) *fixture {
	t.Helper()
	where := pgtest.Database(t)
	u, err := url.Parse(where)
	require.NoError(t, err)
	quoted := `"` + strings.ReplaceAll(schema, `"`, `""`) + `".`
	f := &fixture{
		DB: pgtest.Open(t, "pgx", where), location: database.Location{Kind: database.PostgreSQL, URL: u},
		replacer: strings.NewReplacer("/*schema.*/", quoted, "/*data*/", data, "/*time*/", times, "/*make*/", quoted+"make"),
	}
	f.exec(t, "create schema "+strings.TrimSuffix(quoted, "."))
	body := "select convert_to($1, 'UTF8')"
	if data != "bytea" {
		body = "select $1::" + data
	}
	f.exec(t, "create function /*make*/(text) returns "+data+" language sql as $f$ "+body+" $f$")
	f.file(t, "testdata/commanded.sql")
	return f
}

func (f *fixture) exec(t *testing.T, text string, args ...any) {
	t.Helper()
	_, err := f.ExecContext(t.Context(), f.replacer.Replace(text), args...)
	require.NoError(t, err)
}

func (f *fixture) file(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	f.exec(t, "set time zone 'UTC';"+string(text))
}

func (f *fixture) open(t *testing.T) *Source {
	t.Helper()
	s, err := Open(t.Context(), f.location, schema)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// front is what Front gave.
type front struct {
	header        archive.Header
	streams       []archive.Stream
	links         []archive.Link
	snapshots     []archive.Snapshot
	subscriptions []archive.Subscription
}

func readFront(t *testing.T, s *Source) (f front) {
	t.Helper()
	require.NoError(t, s.Front(t.Context(), func(record any) error {
		switch r := record.(type) {
		case *archive.Header:
			f.header = *r
		case *archive.Stream:
			f.streams = append(f.streams, *r)
		case *archive.Link:
			f.links = append(f.links, *r)
		case *archive.Snapshot:
			f.snapshots = append(f.snapshots, *r)
		case *archive.Subscription:
			f.subscriptions = append(f.subscriptions, *r)
		default:
			return fmt.Errorf("unknown record %T", record)
		}
		return nil
	}))
	return f
}

func id(kind string, g int64) uuid.UUID { return md5.Sum(fmt.Appendf(nil, "%s %d", kind, g)) }

func TestSource(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.data, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, kind.data, kind.time)
			f.file(t, "testdata/fill.sql")
			s := f.open(t)
			got := readFront(t, s)
			assert.Equal(t, archive.Header{Source: "commanded", Head: 100_002}, got.header)
			checkStreams(t, got.streams)

			var links []archive.Link
			for v := int64(1); v <= 199; v += 2 {
				if g := (v + 1) * 500; (g-1)%300+1 != 7 {
					links = append(links, archive.Link{StreamID: 301, Version: v, EventID: id("event", g)})
				}
			}
			assert.Equal(t, links, got.links)

			require.Len(t, got.snapshots, 2)
			assert.Equal(t, archive.Snapshot{SourceID: "stream-1", Version: 17, Type: "State", Data: []byte(`{"s": 1}`),
				CreatedAt: time.Date(2022, 1, 1, 0, 0, 0, 654321000, time.UTC)}, got.snapshots[0])
			assert.Equal(t, `{"k": "v"}`, string(got.snapshots[1].Metadata))

			require.Len(t, got.subscriptions, 5)
			assert.Equal(t, time.Date(2022, 1, 1, 0, 0, 0, 1000, time.UTC), got.subscriptions[0].CreatedAt)
			for i, want := range []archive.Subscription{
				{Stream: "$all", Name: "a", Checkpoint: 99}, {Stream: "$all", Name: "b"},
				{Stream: "stream-1", Name: "c", Checkpoint: 3, StreamID: 1}, {Stream: "stream-7", Name: "d", Checkpoint: 5},
				{Stream: "stream-9", Name: "e", Checkpoint: 334, StreamID: 9},
			} {
				r := got.subscriptions[i]
				r.CreatedAt, r.UpdatedAt = time.Time{}, time.Time{}
				assert.Equal(t, want, r)
			}

			checkEvents(t, s, got.header.Head)
			assert.Equal(t, Summary{Orphans: 2, Checkpoints: 1}, s.Summary())

			var ids []int64
			require.NoError(t, s.StreamIDs(t.Context(), func(id int64) error { ids = append(ids, id); return nil }))
			require.Len(t, ids, 300)
			assert.EqualValues(t, 1, ids[0])
			f.checkPlan(t, s)
		})
	}
}

func checkStreams(t *testing.T, streams []archive.Stream) {
	t.Helper()
	require.Len(t, streams, 300) // 301, without the one that was deleted
	for _, r := range streams {
		if r.ID == 301 {
			assert.True(t, r.Linked)
			assert.EqualValues(t, 200, r.Version)
			continue
		}
		want := archive.Stream{ID: r.ID, Name: fmt.Sprintf("stream-%d", r.ID), Version: (100_000-r.ID)/300 + 1,
			CreatedAt: time.Date(2020, 1, 1, 0, 0, int(r.ID), 1000, time.UTC), Linked: r.ID == 5}
		if r.ID == 8 {
			want.DeletedAt = time.Date(2022, 2, 2, 2, 2, 2, 20202000, time.UTC)
		}
		require.Equal(t, want, r)
	}
}

func checkEvents(t *testing.T, s *Source, head int64) {
	t.Helper()
	start, g, n := time.Now(), int64(0), 0
	require.NoError(t, s.Events(t.Context(), 0, head, func(e *archive.Event) error {
		for g++; (g-1)%300+1 == 7 || (g-1)%300+1 == 5 && (g-1)/300 < 10; g++ {
		}
		want := archive.Event{Position: g, StreamID: (g-1)%300 + 1, Version: (g-1)/300 + 1, ID: id("event", g),
			Stream: fmt.Sprintf("stream-%d", (g-1)%300+1), Type: fmt.Sprintf("Type%d", g%10), Data: fmt.Appendf(nil, `{"g": %d}`, g),
			CreatedAt: time.Date(2021, 1, 1, 0, 0, 0, 123456000, time.UTC).Add(time.Duration(g) * 1000001 * time.Microsecond)}
		if g%5 > 0 {
			want.CausationID = id("cause", g)
		}
		if g%7 > 0 {
			want.CorrelationID = id("correlation", g)
		}
		if g%3 > 0 {
			want.Metadata = fmt.Appendf(nil, `{"m": %d}`, g)
		}
		n++
		if !assert.ObjectsAreEqual(want, *e) {
			require.Equal(t, want, *e)
		}
		return nil
	}))
	assert.Equal(t, 100_000-334-10, n) // stream 7 had 334 events
	t.Logf("%.0f events/s, checked", float64(n)/time.Since(start).Seconds())
}

func (f *fixture) checkPlan(t *testing.T, s *Source) {
	t.Helper()
	rows, err := f.QueryContext(t.Context(), "explain "+s.queries.Get("events"), 50_000, 100_000, maxPage)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	var plan strings.Builder
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		plan.WriteString(line + "\n")
	}
	require.NoError(t, rows.Err())
	assert.Contains(t, plan.String(), "using ix_stream_events ")
	assert.Contains(t, plan.String(), "using events_pkey ")
	assert.NotContains(t, plan.String(), "Seq Scan on stream_events")
	assert.NotContains(t, plan.String(), "Seq Scan on events")
	assert.NotContains(t, plan.String(), "Sort")
}

// TestLive: what is read while appends go on is all that there was at one moment.
func TestLive(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "bytea", "timestamptz")
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	defer writers.Wait()
	defer stop()
	const appendOne = `with e as (
  insert into /*schema.*/events (event_id, event_type, data)
  select gen_random_uuid(), 'T', '{}' from generate_series(1, 3) returning event_id
), s as (
  insert into /*schema.*/streams (stream_uuid, stream_version) values ($1, 3)
  on conflict (stream_uuid) do update set stream_version = streams.stream_version + 3 returning stream_id, stream_version - 3 as version
), numbered as (select event_id, row_number() over () as n from e
), own as (
  insert into /*schema.*/stream_events select event_id, stream_id, version + n, stream_id, version + n from numbered, s
), a as (
  update /*schema.*/streams set stream_version = stream_version + 3 where stream_id = 0 returning stream_version - 3 as version
)
insert into /*schema.*/stream_events select event_id, 0, a.version + n, stream_id, s.version + n from numbered, s, a`
	appended := make(chan struct{}, 1)
	for w := range 2 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				_, err := f.ExecContext(ctx, f.replacer.Replace(appendOne), fmt.Sprintf("live-%d-%d", w, i%5))
				if ctx.Err() == nil {
					assert.NoError(t, err)
				}
				select {
				case appended <- struct{}{}:
				default:
				}
			}
		})
	}
	last := int64(0)
	for range 6 {
		s := f.open(t) // a connection would keep the plans for tables that were almost empty
		for range 10 {
			<-appended
		}
		got := readFront(t, s)
		require.Greater(t, got.header.Head, last)
		last = got.header.Head
		versions, position := map[int64]int64{}, int64(0)
		require.NoError(t, s.Events(t.Context(), 0, last, func(e *archive.Event) error {
			position++
			versions[e.StreamID]++
			require.Equal(t, position, e.Position)
			require.Equal(t, versions[e.StreamID], e.Version)
			return nil
		}))
		require.Equal(t, last, position)
		require.Len(t, versions, len(got.streams))
		for _, r := range got.streams {
			require.Equal(t, versions[r.ID], r.Version)
			require.False(t, r.Linked)
		}
		require.Zero(t, s.Summary())
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "bytea", "timestamptz")
	f.exec(t, `insert into /*schema.*/streams (stream_uuid) values (''), ('$x'), (repeat('é', 501)), ('fine');
insert into /*schema.*/snapshots values ('s', 1, repeat('t', 256), '{}')`)
	err := f.open(t).Front(t.Context(), func(any) error { return fmt.Errorf("called") })
	var unfit *NamesError
	require.ErrorAs(t, err, &unfit)
	assert.EqualValues(t, 4, unfit.Total)
	assert.Contains(t, err.Error(), `stream "$x"`)
	assert.Contains(t, err.Error(), "(1002 bytes)")
	assert.Contains(t, err.Error(), "snapshot type")
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "bytea", "timestamptz")
	_, err := Open(t.Context(), f.location, "")
	var notFound *NotFoundError
	require.ErrorAs(t, err, &notFound)
	assert.Equal(t, "public", notFound.Schema)
	assert.Len(t, notFound.Tables, 6)

	var version *VersionError
	f.exec(t, `alter table /*schema.*/streams drop column deleted_at`)
	_, err = Open(t.Context(), f.location, schema)
	require.ErrorAs(t, err, &version)
	assert.Equal(t, VersionError{Schema: schema, Version: "1.3.2", Columns: []string{"streams.deleted_at"}}, *version)

	f.exec(t, `alter table /*schema.*/streams add column deleted_at timestamptz; insert into /*schema.*/schema_migrations values (2, 0, 0)`)
	_, err = Open(t.Context(), f.location, schema)
	require.ErrorAs(t, err, &version)
	assert.Equal(t, "2.0.0", version.Version)

	var location *database.LocationError
	_, err = Open(t.Context(), database.Location{Kind: database.SQLite, Path: "x"}, "")
	require.ErrorAs(t, err, &location)
}

func TestContentType(t *testing.T) {
	t.Parallel()
	const term = "\x83t\x00\x00\x00\x00"
	for _, c := range []struct{ data, metadata, want string }{
		{`{}`, `{}`, ""}, {`{}`, ``, ""}, {`{}`, "null", ""}, {term, "", ErlangTerm}, {term, "\x83w\x03nil", ErlangTerm},
		{term, term, "erlang-term,erlang-term"}, {`{}`, term, "json,erlang-term"}, {term, "{}", ErlangTerm}, {"?", "{}", Unknown},
	} {
		var metadata []byte
		if c.metadata != "" {
			metadata = []byte(c.metadata)
		}
		s := &Source{}
		kept, got := s.contentType([]byte(c.data), metadata)
		assert.Equal(t, c.want, got)
		if c.metadata == "null" {
			assert.Nil(t, kept)
		}
		assert.Equal(t, c.want != "", s.summary != Summary{})
	}
}
