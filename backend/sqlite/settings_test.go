package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

func TestDSN(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, slashes := filepath.Join(dir, "a b?c#d%20&.db"), filepath.Join(dir, "slashes.db")
	for name, tc := range map[string]struct{ dsn, journal string }{
		"file":        {sqlite.DSN(path), "wal"},
		"two slashes": {sqlite.DSN("/" + slashes), "wal"},
		"memory":      {sqlite.Memory(), "memory"},
		":memory:":    {sqlite.DSN(":memory:"), "memory"},
	} {
		db := handle(t, tc.dsn, 0)
		for pragma, want := range map[string]string{
			"journal_mode": tc.journal, "busy_timeout": "10000", "synchronous": "2", "foreign_keys": "1",
		} {
			var got string
			require.NoError(t, db.QueryRowContext(t.Context(), "pragma "+pragma).Scan(&got))
			assert.Equal(t, want, got, "%s: %s", name, pragma)
		}
	}
	for _, path := range []string{path, slashes} {
		_, err := os.Stat(path)
		require.NoError(t, err)
	}
}

// TestDSNRefused: what is no path of a file is refused, and nothing is created in its place.
func TestDSNRefused(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for path, reason := range map[string]string{
		"": "is empty", "events.db\x00.txt": "has a NUL", "\x00": "has a NUL", filepath.Join(dir, "a\x00?b"): "has a NUL",
	} {
		b := sqlite.New(handle(t, sqlite.DSN(path), 0), nil)
		_, appended := store.New(b, nil).Append(t.Context(), "a", store.Any, events(1)...)
		for call, err := range map[string]error{"up": migrate.Up(t.Context(), b), "check": b.Check(t.Context()), "append": appended} {
			require.ErrorContains(t, err, reason, "%q: %s", path, call)
		}
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// All connections of a pool, and other pools, share a database in memory; another Memory is another one.
func TestMemory(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{sqlite.Memory(), sqlite.DSN(":memory:")} {
		es := store.New(backend(t, handle(t, dsn, 0), nil), nil)
		_, err := es.Append(t.Context(), "a", store.NoStream, events(1)...)
		require.NoError(t, err)
		head, err := store.New(sqlite.New(handle(t, dsn, 0), nil), nil).Head(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1, head)
	}
	for _, dsn := range []string{sqlite.Memory(), sqlite.DSN(":memory:")} {
		_, err := store.New(sqlite.New(handle(t, dsn, 0), nil), nil).Head(t.Context())
		require.ErrorIs(t, err, store.ErrSchema)
	}
}

func TestNoBusyTimeout(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.db")
	backend(t, handle(t, sqlite.DSN(path), 0), nil)
	es := store.New(sqlite.New(handle(t, "file:"+path, 0), nil), nil)
	_, err := es.Append(t.Context(), "a", store.Any, events(1)...)
	var pragma *sqlite.PragmaError
	require.ErrorAs(t, err, &pragma)
	require.Equal(t, "busy_timeout", pragma.Pragma)
}

// The schema is looked at again until it is there, and looking spoils no transaction.
func TestSchemaMissing(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := handle(t, file(t), 0)
	b := sqlite.New(db, nil)
	es := store.New(b, nil)
	_, err := es.Append(ctx, "a", store.Any, events(1)...)
	var schema *store.SchemaError
	require.ErrorAs(t, err, &schema)
	require.Equal(t, 0, schema.Have)
	require.ErrorAs(t, b.Check(ctx), &schema)
	require.ErrorAs(t, es.Check(ctx), &schema)

	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	_, err = es.WithTx(tx).Append(ctx, "a", store.Any, events(1)...)
	require.ErrorIs(t, err, store.ErrSchema)
	_, err = tx.ExecContext(ctx, "create table mine (x)")
	require.NoError(t, err)
	require.NoError(t, tx.Commit())

	require.NoError(t, migrate.Up(ctx, b))
	_, err = es.Append(ctx, "a", store.Any, events(1)...)
	require.NoError(t, err)
}

func TestPrefixes(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := handle(t, file(t), 0)
	plain := store.New(backend(t, db, nil), nil)
	one := store.New(backend(t, db, &sqlite.Options{Prefix: "one_", VersionTable: "versions"}), nil)
	two := store.New(backend(t, db, &sqlite.Options{Prefix: "two_"}), nil)
	for i, es := range []*store.Store{plain, one, two} {
		_, err := es.Append(ctx, "a", store.NoStream, events(i+1)...)
		require.NoError(t, err)
		head, err := es.Head(ctx)
		require.NoError(t, err)
		require.EqualValues(t, i+1, head)
	}
	var version int
	require.NoError(t, db.QueryRowContext(ctx, "select version from one_versions").Scan(&version))
	require.Equal(t, 4, version, "of the newest migration")
}

func TestOptionsRefused(t *testing.T) {
	t.Parallel()
	db := handle(t, file(t), 0)
	for _, c := range []struct {
		field string
		opts  *sqlite.Options
	}{
		{"sqlite.Options.Prefix", &sqlite.Options{Prefix: "drop table x;"}},
		{"sqlite.Options.Prefix", &sqlite.Options{Prefix: "sqlite_"}},
		{"sqlite.Options.Prefix", &sqlite.Options{Prefix: "SQLite_shop_"}},
		{"sqlite.Options.VersionTable", &sqlite.Options{VersionTable: "1st"}},
		{"sqlite.Options.VersionTable", &sqlite.Options{VersionTable: "sqlite_versions"}},
		{"sqlite.Options.VersionTable", &sqlite.Options{Prefix: "sqlite", VersionTable: "_versions"}},
	} {
		field, opts := c.field, c.opts
		es := store.New(sqlite.New(db, opts), nil)
		_, err := es.Head(t.Context())
		var invalid *store.InvalidError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, field, invalid.Field)
		_, err = es.Append(t.Context(), "a", store.Any, events(1)...)
		require.ErrorIs(t, err, store.ErrInvalid)
		require.ErrorIs(t, migrate.Up(t.Context(), sqlite.New(db, opts)), store.ErrInvalid, "nothing is created, either")
	}
}

// TestEncoding: a file that does not encode text as UTF-8 is refused before anything is created, read or written.
func TestEncoding(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"UTF-16le", "UTF-16be"} {
		db := handle(t, sqlite.DSN(filepath.Join(t.TempDir(), "events.db")), 1)
		_, err := db.ExecContext(t.Context(), "pragma encoding = '"+encoding+"'; create table other (n int)")
		require.NoError(t, err)
		b := sqlite.New(db, nil)
		es := store.New(b, nil)
		_, appended := es.Append(t.Context(), "café", store.Any, events(1)...)
		for call, err := range map[string]error{"up": migrate.Up(t.Context(), b), "check": es.Check(t.Context()), "append": appended} {
			var pragma *sqlite.PragmaError
			require.ErrorAs(t, err, &pragma, call)
			assert.Equal(t, "encoding", pragma.Pragma)
			assert.Equal(t, encoding, pragma.Have)
		}
		var tables int
		require.NoError(t, db.QueryRowContext(t.Context(), "select count(*) from sqlite_master where type = 'table'").Scan(&tables))
		assert.Equal(t, 1, tables)
	}
}

// TestOtherCase: SQLite ignores the case of names, so that two prefixes which differ in case only would be one store. The second is
// refused before anything is created, read or written.
func TestOtherCase(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first, second sqlite.Options
		field         string
	}{
		"prefix":        {sqlite.Options{Prefix: "shop_"}, sqlite.Options{Prefix: "Shop_"}, "sqlite.Options.Prefix"},
		"other table":   {sqlite.Options{Prefix: "shop_"}, sqlite.Options{Prefix: "SHOP_", VersionTable: "other"}, "sqlite.Options.Prefix"},
		"version table": {sqlite.Options{VersionTable: "versions"}, sqlite.Options{VersionTable: "Versions"}, "sqlite.Options.VersionTable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := handle(t, file(t), 0)
			first := store.New(backend(t, db, &c.first), nil)
			_, err := first.Append(t.Context(), "a", store.NoStream, events(1)...)
			require.NoError(t, err)
			second := sqlite.New(db, &c.second)
			_, appended := store.New(second, nil).Append(t.Context(), "a", store.Any, events(1)...)
			for call, err := range map[string]error{"up": migrate.Up(t.Context(), second), "check": second.Check(t.Context()), "append": appended} {
				var invalid *store.InvalidError
				require.ErrorAs(t, err, &invalid, call)
				assert.Equal(t, c.field, invalid.Field, call)
			}
			head, err := first.Head(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 1, head)
		})
	}
}
