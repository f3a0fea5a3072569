package migrate_test

import (
	"bytes"
	"database/sql"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// logged opens a handle on one store whose log goes to the buffer.
func logged(t *testing.T, log *bytes.Buffer) map[string]func() backend {
	t.Helper()
	logger := slog.New(slog.NewTextHandler(log, nil))
	schema, file := pgtest.Schema(t), sqlite.DSN(filepath.Join(t.TempDir(), "events.db"))
	return map[string]func() backend{
		"postgres": func() backend {
			return postgres.New(pgtest.Open(t, "pgx", pgtest.URL(t)), &postgres.Options{Schema: schema, Logger: logger})
		},
		"sqlite": func() backend {
			db, err := sql.Open("sqlite", file)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			return sqlite.New(db, &sqlite.Options{Logger: logger})
		},
	}
}

// release is a newer program: with migrations behind those that b has.
func release(t *testing.T, b backend, pairs ...string) with {
	t.Helper()
	all := fstest.MapFS{}
	own, err := fs.Glob(b.Migrations(), "*.sql")
	require.NoError(t, err)
	for _, name := range own {
		text, err := fs.ReadFile(b.Migrations(), name)
		require.NoError(t, err)
		all[name] = &fstest.MapFile{Data: text}
	}
	table := "streams"
	if strings.Contains(b.MigrationQuery("migrate_version"), `"`) {
		_, quoted, _ := strings.Cut(b.MigrationQuery("migrate_version"), " from ")
		table = strings.Split(quoted, ".")[0] + ".streams"
	}
	for name, file := range files(pairs...) {
		all[name] = &fstest.MapFile{Data: bytes.ReplaceAll(file.Data, []byte("STREAMS"), []byte(table))}
	}
	return with{b, all}
}

// TestRolledBackRelease: a newer release has migrated the tables, and the release before it starts again.
func TestRolledBackRelease(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	for name, open := range logged(t, &log) {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, migrate.Up(t.Context(), open()))
			require.Empty(t, log.String())
			latest := status(t, open()).Latest
			newer := release(t, open(),
				"0005_labels.up.sql", "-- oldest program: 4\nalter table STREAMS add column label text;",
				"0006_more.up.sql", "-- oldest program: 4\nalter table STREAMS add column more text;",
			)
			require.NoError(t, migrate.Up(t.Context(), newer))
			require.Equal(t, migrate.Status{Version: 6, Latest: 6, Oldest: 4}, status(t, newer))

			old := open()
			r, err := migrate.Run(t.Context(), old, nil)
			require.NoError(t, err)
			require.Equal(t, migrate.Result{From: 6, Version: 6}, r)
			require.Contains(t, log.String(), `level=WARN msg="the tables are newer than this program, which works with them; nothing to migrate" version=6 latest=4 oldest=4`)
			log.Reset()
			s := status(t, old)
			require.Equal(t, migrate.Status{Version: 6, Latest: latest, Oldest: 4}, s)
			require.True(t, s.Usable())
			require.NoError(t, old.Check(t.Context()))
			require.NoError(t, old.Check(t.Context()))
			es := store.New(old, nil)
			_, err = es.Append(t.Context(), "a", store.NoStream, store.Event{Type: "happened"})
			require.NoError(t, err)
			page, err := es.Page(t.Context(), store.All, nil)
			require.NoError(t, err)
			require.Len(t, page, 1)
			require.Equal(t, 1, strings.Count(log.String(), "the tables are newer"), "it is said once: %s", log.String())
			require.ErrorIs(t, migrate.Down(t.Context(), old, 1), migrate.ErrNewer, "it has not the files to undo that")
			log.Reset()

			breaking := release(t, newer, "0007_breaking.up.sql", "alter table STREAMS drop column label;")
			require.NoError(t, migrate.Up(t.Context(), breaking))
			require.Equal(t, 7, status(t, breaking).Oldest, "what is not stated")
			for _, program := range []backend{open(), newer} {
				err = migrate.Up(t.Context(), program)
				var version *migrate.VersionError
				require.ErrorAs(t, err, &version)
				require.ErrorIs(t, err, migrate.ErrNewer)
				require.Equal(t, migrate.VersionError{Version: 7, Latest: status(t, program).Latest, Oldest: 7}, *version)
				require.ErrorContains(t, err, "start a release that has migration 7")
				require.False(t, status(t, program).Usable())
			}
			again := open()
			_, appended := store.New(again, nil).Append(t.Context(), "b", store.Any, store.Event{Type: "happened"})
			for _, err := range []error{again.Check(t.Context()), appended} {
				var schema *store.SchemaError
				require.ErrorAs(t, err, &schema)
				require.Equal(t, []int{7, 4, 7}, []int{schema.Have, schema.Want, schema.Oldest})
				require.ErrorContains(t, err, "start a newer release")
			}
			require.Empty(t, log.String())

			harmless := release(t, breaking, "0008_harmless.up.sql", "-- oldest program: 4\nalter table STREAMS add column other text;")
			require.NoError(t, migrate.Up(t.Context(), harmless))
			require.Equal(t, 7, status(t, harmless).Oldest, "the migration before it counts still")
		})
	}
}

// TestStatedOldestProgram: a migration can't need a program that is newer than itself.
func TestStatedOldestProgram(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		b := with{p.open(""), files("0001_one.up.sql", "-- oldest program: 2\ncreate temporary table one (n int);")}
		require.ErrorContains(t, migrate.Up(t.Context(), b), `0001_one.up.sql: "-- oldest program: 2" is no version up to 1`)
		require.Zero(t, status(t, b).Version)
	})
}

// TestMigrationsState: each migration of this module says which programs work with the tables that it makes.
func TestMigrationsState(t *testing.T) {
	t.Parallel()
	for _, b := range []migrate.Backend{postgres.New(nil, nil), sqlite.New(nil, nil)} {
		list, err := fs.Glob(b.Migrations(), "*.up.sql")
		require.NoError(t, err)
		for _, name := range list {
			text, err := fs.ReadFile(b.Migrations(), name)
			require.NoError(t, err)
			require.Regexp(t, `\A-- oldest program: \d+\n`, string(text), name)
		}
	}
}
