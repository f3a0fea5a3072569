package commanded

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded/commandedtest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// open returns a store as a source. Its connection keeps plans: those of tables that were filled before.
func open(t *testing.T, from *commandedtest.Store, o Options) *Source {
	t.Helper()
	o.Schema = from.Schema
	s, err := Open(t.Context(), from.Location, o)
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

// TestOrphans: events that an append left without a place are counted and left out.
func TestOrphans(t *testing.T) {
	t.Parallel()
	from := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamptz")
	require.NoError(t, from.Append(t.Context(), "s", commandedtest.NewIDs(2)...))
	from.Exec(t, `insert into /*schema.*/events (event_id, event_type, data) values (gen_random_uuid(), 'Orphan', '{}');
update /*schema.*/streams set stream_version = stream_version + 1 where stream_id = 0`)
	s := open(t, from, Options{})
	got := readFront(t, s)
	assert.EqualValues(t, 3, got.header.Head)
	assert.Equal(t, Summary{Orphans: 1}, s.Summary())
	n := 0
	require.NoError(t, s.Events(t.Context(), 0, 3, func(*archive.Event) error { n++; return nil }))
	assert.Equal(t, 2, n)
}

// TestPlan: a page of events is read by indexes, in tables that are large enough for the planner to have a choice.
func TestPlan(t *testing.T) {
	t.Parallel()
	from := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamp")
	for g := range 40 {
		require.NoError(t, from.Append(t.Context(), fmt.Sprintf("s-%d", g%7), commandedtest.NewIDs(1000)...))
	}
	from.Exec(t, "analyze")
	s := open(t, from, Options{})
	rows, err := from.QueryContext(t.Context(), "explain "+s.queries.Get("events"), 20_000, 40_000, maxPage)
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
	from := commandedtest.Empty(t, commandedtest.JSON, `Events "of" Elixir`, "timestamptz")
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	defer writers.Wait()
	defer stop()
	appended := make(chan struct{}, 1)
	for w := range 2 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				err := from.Append(ctx, fmt.Sprintf("live-%d-%d", w, i%5), commandedtest.NewIDs(3)...)
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
		s := open(t, from, Options{})
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

// TestMissing: all tables and columns that are missing are named at once, before the version is read.
func TestMissing(t *testing.T) {
	t.Parallel()
	from := commandedtest.Empty(t, commandedtest.JSON, `Events "of" Elixir`, "timestamptz")
	_, err := Open(t.Context(), from.Location, Options{})
	var notFound *NotFoundError
	require.ErrorAs(t, err, &notFound)
	assert.Equal(t, "public", notFound.Schema)
	assert.Len(t, notFound.Tables, 6)
	assert.Contains(t, err.Error(), from.Location.Name(), "says which database")

	from.Exec(t, `alter table /*schema.*/schema_migrations rename major_version to major;
alter table /*schema.*/schema_migrations rename minor_version to minor;
alter table /*schema.*/streams drop column deleted_at;
alter table /*schema.*/events alter column metadata type text;
drop table /*schema.*/snapshots`)
	_, err = Open(t.Context(), from.Location, Options{Schema: from.Schema})
	require.ErrorAs(t, err, &notFound)
	assert.Equal(t, []string{"snapshots"}, notFound.Tables)
	assert.Equal(t, []string{"events.metadata", "schema_migrations.major_version", "schema_migrations.minor_version", "streams.deleted_at"}, notFound.Columns)
}

func TestVersion(t *testing.T) {
	t.Parallel()
	from := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamptz")
	from.Exec(t, `delete from /*schema.*/schema_migrations`)
	open(t, from, Options{}) // the list of migrations was lost

	from.Exec(t, `insert into /*schema.*/schema_migrations (major_version, minor_version, patch_version) values (0, 17, 0), (1, 3, 2), (1, 12, 0)`)
	open(t, from, Options{})

	from.Exec(t, `insert into /*schema.*/schema_migrations (major_version, minor_version, patch_version) values (2, 0, 0)`)
	_, err := Open(t.Context(), from.Location, Options{})
	var version *VersionError
	require.ErrorAs(t, err, &version)
	assert.Equal(t, "2.0.0", version.Version)

	var location *database.LocationError
	_, err = Open(t.Context(), database.Location{Kind: database.SQLite, Path: "x"}, Options{})
	require.ErrorAs(t, err, &location)
}

// TestRights: what the user may not read is named before anything is read, and what its owner must grant is enough.
func TestRights(t *testing.T) {
	t.Parallel()
	from := commandedtest.Written(t, commandedtest.JSONB)
	role := "test_reader_" + strings.ReplaceAll(commandedtest.NewIDs(1)[0].String(), "-", "")
	from.Exec(t, `create role `+role+` login password 'secret'`)
	t.Cleanup(func() { // the test's context has ended
		_, err := from.ExecContext(context.WithoutCancel(t.Context()), `drop owned by `+role+`; drop role `+role)
		assert.NoError(t, err)
	})
	l := commandedtest.As(from.Location, role, "secret")
	refused := func() *RightsError {
		_, err := Open(t.Context(), l, Options{Schema: from.Schema})
		var rights *RightsError
		require.ErrorAs(t, err, &rights)
		assert.Equal(t, role, rights.User)
		return rights
	}
	rights := refused()
	assert.True(t, rights.Usage)
	assert.Len(t, rights.Tables, 6)

	from.Exec(t, `grant usage on schema "Tenant B" to `+role+`; grant select on /*schema.*/streams, /*schema.*/stream_events to `+role)
	from.Exec(t, `grant select (event_id, event_type) on /*schema.*/events to `+role)
	rights = refused()
	assert.False(t, rights.Usage)
	assert.Equal(t, []string{"events", "schema_migrations", "snapshots", "subscriptions"}, rights.Tables)

	_, grants, found := strings.Cut(rights.Error(), "must run: ")
	require.True(t, found)
	from.Exec(t, grants)
	s, err := Open(t.Context(), l, Options{Schema: from.Schema})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	readFront(t, s)
	require.NoError(t, s.Events(t.Context(), 0, 10, func(*archive.Event) error { return nil }))
}

// TestWhich: an error of the source's server says that it is that one, without its password.
func TestWhich(t *testing.T) {
	t.Parallel()
	l, err := Parse("ecto://me:hidden@127.0.0.1:1/shop?ssl=false")
	require.NoError(t, err)
	_, err = Open(t.Context(), l, Options{})
	var read *ReadError
	require.ErrorAs(t, err, &read)
	assert.Contains(t, err.Error(), "the store of commanded/eventstore at postgres://me@127.0.0.1:1/shop")
	assert.NotContains(t, err.Error(), "hidden")
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
		kept, got, number := s.contentType([]byte(c.data), metadata)
		assert.Equal(t, c.want, got)
		if c.metadata == "null" {
			assert.Nil(t, kept)
		}
		counts := map[string]*int64{"": nil, Unknown: &s.summary.Unknown}
		want, known := counts[c.want]
		if !known {
			want = &s.summary.ErlangTerms
		}
		assert.Same(t, want, number, c.want)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"ecto://u:p%23@h:5433/shop?pool_size=10&ssl=true", "postgres://u:p%23@h:5433/shop?sslmode=require"},
		{"ecto://h/shop?ssl=false&queue_target=50&queue_interval=1000&timeout=15000", "postgres://h/shop?sslmode=disable"},
		{"postgres://h/shop?pool_size=2", "postgres://h/shop"},
		{"postgresql://h/shop?sslmode=verify-full&ssl=true", "postgresql://h/shop?sslmode=verify-full"},
		{"ecto://h/shop", "postgres://h/shop"},
	} {
		l, err := Parse(c.text)
		require.NoError(t, err, c.text)
		assert.Equal(t, c.want, l.URL.String())
	}
	for _, text := range []string{"", "ecto://h", "ecto:/", "mysql://h/shop", "file.db", "ecto://u:p#x@h/shop", "ecto://u:100%@h/shop"} {
		_, err := Parse(text)
		var wrong *database.LocationError
		require.ErrorAs(t, err, &wrong, text)
		assert.Contains(t, err.Error(), "commanded/eventstore")
	}
}
