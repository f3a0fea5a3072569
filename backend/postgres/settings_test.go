package postgres_test

import (
	"bytes"
	"database/sql"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/conformance"
	"github.com/eventstore-go/eventstore/internal/longtest"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// hostile are settings of a database, or a role, that change how values are written or what a statement does by itself.
var hostile = []string{
	"array_nulls = off", "bytea_output = 'escape'", "standard_conforming_strings = off", "escape_string_warning = off", "backslash_quote = off",
	"datestyle = 'German, DMY'", "intervalstyle = 'sql_standard'", "timezone = 'Asia/Kathmandu'",
	"extra_float_digits = -15", "xmlbinary = 'hex'", "xmloption = 'document'", "quote_all_identifiers = on", "row_security = off",
	"search_path = ''", "transform_null_equals = on", "default_transaction_isolation = 'serializable'", "default_transaction_deferrable = on",
	"synchronous_commit = off", "plan_cache_mode = 'force_generic_plan'", "enable_indexscan = off", "enable_indexonlyscan = off",
	"enable_bitmapscan = off", "enable_nestloop = off", "enable_hashjoin = off", "from_collapse_limit = 1", "join_collapse_limit = 1",
	"geqo_threshold = 2", "work_mem = '64kB'", "jit = off", // with enable_… = off all is so costly that it would be compiled
}

// textual are the settings of the database that a connection must have its own way, for answers to be sent as text to pgx: it reads
// times in one style only, and refuses the simple protocol without standard_conforming_strings.
var textual = url.Values{"datestyle": {"ISO"}, "standard_conforming_strings": {"on"}}

// modes are ways to connect: how a driver has values sent.
func modes() map[string]mode {
	return map[string]mode{
		"pgx":                 {driver: "pgx"},
		"pgx simple_protocol": {"pgx", with(textual, "default_query_exec_mode", "simple_protocol")},
		"pgx exec":            {"pgx", with(textual, "default_query_exec_mode", "exec")},
		"lib_pq":              {driver: "postgres"},
		"lib_pq binary":       {"postgres", url.Values{"binary_parameters": {"yes"}}},
	}
}

type mode struct {
	driver   string
	settings url.Values
}

// url returns a URL with the settings.
func (m mode) url(t *testing.T, at string) string {
	t.Helper()
	u, err := url.Parse(at)
	require.NoError(t, err)
	q := u.Query()
	for name, values := range m.settings {
		q[name] = values
	}
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20") // pgx takes a plus for a plus
	return u.String()
}

// TestHostileSettings: what a store writes and reads does not go by settings, whatever way values are sent.
func TestHostileSettings(t *testing.T) {
	t.Parallel()
	at := databaseWith(t, "encoding 'UTF8' template template0", hostile...)
	for name, m := range modes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Open(t, m.driver, m.url(t, at))
			opts := &postgres.Options{Schema: strings.ReplaceAll(name, " ", "_"), NoPrepare: name != "lib_pq", NoGroupCommit: m.driver != "pgx"}
			if name == "pgx exec" || name == "lib_pq" { // one of each driver
				opts.DataType = "jsonb"
			}
			b := postgres.New(db, opts)
			require.NoError(t, migrate.Up(t.Context(), b))
			var output string
			require.NoError(t, db.QueryRowContext(t.Context(), "show bytea_output").Scan(&output))
			require.Equal(t, "escape", output)
			es := store.New(b, &store.Options{HardDelete: true})
			writeOddities(t, es, es)
			require.NoError(t, es.InTx(t.Context(), func(tx *sql.Tx) error { writeOddities(t, es.WithTx(tx), es.WithTx(tx)); return nil }))
			readAllWays(t, es)
			require.Equal(t, opts.DataType == "jsonb", b.JSONOnly(), "the type of the columns is known")
		})
	}
}

// readAllWays reads a large event, an empty one, links, a correlation and a snapshot: what is sent as bytes.
func readAllWays(t *testing.T, es *store.Store) {
	t.Helper()
	ctx := t.Context()
	long := strings.Repeat(`x\`, 32<<10)
	res, err := es.Append(ctx, "large", store.NoStream, store.Event{Type: "a", Data: long}, store.Event{Type: "b", Data: long, Metadata: map[string]int{"m": 1}})
	require.NoError(t, err)
	page, err := es.Page(ctx, res.Stream, nil)
	require.NoError(t, err)
	require.Len(t, page, 2)
	for _, e := range page {
		decoded, err := store.Decode[string](e)
		require.NoError(t, err)
		require.True(t, long == decoded, "the data of a large event")
	}
	_, err = es.Link(ctx, "links", store.NoStream, page[0].ID)
	require.NoError(t, err)
	linked, err := es.Page(ctx, "links", nil)
	require.NoError(t, err)
	require.True(t, bytes.Equal(page[0].Data, linked[0].Data), "the data of a large event")
	var n, positions int64
	for e, err := range es.All(ctx, nil) {
		require.NoError(t, err)
		n++
		positions = e.Number
	}
	require.Equal(t, positions, n)
	require.Greater(t, n, int64(10))
	require.NoError(t, es.RecordSnapshot(ctx, store.Snapshot{SourceID: "s", Version: 1, Type: "t", Data: "é"}))
	s, err := es.ReadSnapshot(ctx, "s")
	require.NoError(t, err)
	assert.Equal(t, `"é"`, string(s.Data))
	require.Nil(t, s.Metadata)
	list, err := es.Streams(ctx, nil)
	require.NoError(t, err)
	require.NotEmpty(t, list)
}

// TestConformanceWithHostileSettings runs the cases that are about what an event carries, and about appends, in the way that is most
// exposed to settings: all values are sent as text.
func TestConformanceWithHostileSettings(t *testing.T) {
	t.Parallel()
	at := databaseWith(t, "encoding 'UTF8' template template0", hostile...)
	m := modes()["pgx simple_protocol"]
	for _, only := range []string{"event/", "read/"} {
		t.Run(only, func(t *testing.T) {
			if only != "event/" {
				longtest.Only(t)
			}
			t.Parallel()
			lent := &places{t: t, driver: m.driver, conns: 4, opts: postgres.Options{NoPrepare: true}, url: m.url(t, at)}
			conformance.Run(t, conformance.Harness{
				Name: "postgres/pgx/hostile/" + only, NotInTx: true, Only: []string{only},
				New: func(tb testing.TB) store.Storage { return lent.open(tb) },
			})
		})
	}
}

// TestRefusedSettings: settings with which statements would mean something else, or guards would not run, are refused before anything is
// created or written, by an error that names them.
func TestRefusedSettings(t *testing.T) {
	t.Parallel()
	at := databaseWith(t, "encoding 'UTF8' template template0")
	admin := pgtest.Open(t, "pgx", at)
	_, err := admin.ExecContext(t.Context(), `
		create schema shadows; create function shadows.int8send(bigint) returns bytea language sql as 'select decode('''', ''hex'')';
		create schema operators; create function operators.same(bigint, bigint) returns boolean language sql as 'select false';
			create operator operators.= (leftarg = bigint, rightarg = bigint, function = operators.same);
		create schema types; create domain types.text as varchar(3);
		create schema harmless; create function harmless.helper() returns int language sql as 'select 1'`)
	require.NoError(t, err)
	simple := url.Values{"default_query_exec_mode": {"simple_protocol"}}
	for name, c := range map[string]struct {
		settings url.Values
		only     string // driver
		field    string // that the error names; none if it is not refused
		reason   string
	}{
		"triggers off":        {url.Values{"session_replication_role": {"replica"}}, "", "session_replication_role", "no trigger guards recorded events"},
		"another function":    {url.Values{"search_path": {"shadows,pg_catalog"}}, "", "search_path", `the function int8send of the schema "shadows"`},
		"another operator":    {url.Values{"search_path": {"harmless,operators,pg_catalog"}}, "", "search_path", `the operator = of the schema "operators"`},
		"another type":        {url.Values{"search_path": {"types,pg_catalog"}}, "", "search_path", `the type text of the schema "types"`},
		"behind pg_catalog":   {url.Values{"search_path": {"pg_catalog,shadows"}}, "", "", ""},
		"without pg_catalog":  {url.Values{"search_path": {"shadows,types"}}, "", "", ""},
		"nothing of the name": {url.Values{"search_path": {"harmless,public,pg_catalog"}}, "", "", ""},
		"times as text":       {with(simple, "datestyle", "SQL,DMY"), "pgx", "DateStyle", "is SQL, DMY, which the driver can't read"},
		"times as bytes":      {url.Values{"datestyle": {"SQL,DMY"}}, "pgx", "", ""},
	} {
		for _, driver := range pgtest.Drivers() {
			if c.only != "" && c.only != driver {
				continue
			}
			t.Run(driver+" "+name, func(t *testing.T) {
				t.Parallel()
				b := postgres.New(pgtest.Open(t, driver, mode{driver, c.settings}.url(t, at)), &postgres.Options{Schema: "store of " + driver + name})
				es := store.New(b, nil)
				if c.field == "" {
					require.NoError(t, migrate.Up(t.Context(), b))
					require.NoError(t, es.Check(t.Context()))
					writeOddities(t, es, es)
					return
				}
				_, appended := es.Append(t.Context(), "s", store.Any, store.Event{Type: "happened"})
				for call, err := range map[string]error{"up": migrate.Up(t.Context(), b), "check": es.Check(t.Context()), "append": appended} {
					var invalid *store.InvalidError
					require.ErrorAs(t, err, &invalid, call)
					assert.Equal(t, c.field, invalid.Field)
					assert.ErrorContains(t, err, c.reason)
				}
			})
		}
	}
}

// with returns settings with one more.
func with(settings url.Values, name, value string) url.Values {
	more := url.Values{name: {value}}
	for k, v := range settings {
		more[k] = v
	}
	return more
}
