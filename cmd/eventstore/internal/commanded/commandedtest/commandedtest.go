// Package commandedtest gives tests stores of commanded/eventstore: some that the library wrote itself, with what a reader must
// find in them, and empty ones, to be written to as the library does.
package commandedtest

import (
	"compress/gzip"
	"context"
	"database/sql"
	"embed"
	"encoding/csv"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/internal/queries"
)

//go:embed testdata/*.gz
var files embed.FS

//go:embed schema.sql
var schemaFile string

//go:embed first.sql
var firstFile string

//go:embed writes.sql
var writesFile string

// Encoding is how a store's data is encoded, and the name of the store that the library wrote so.
type Encoding string

// Encodings of data.
const (
	JSON  Encoding = "json"  // bytea
	Terms Encoding = "terms" // bytea, in the external term format of Erlang
	JSONB Encoding = "jsonb" // jsonb
)

// Encodings are all of them.
func Encodings() []Encoding { return []Encoding{JSON, Terms, JSONB} }

// Store is a store of commanded/eventstore. Its DB is for one database.
type Store struct {
	*sql.DB
	Location database.Location
	Schema   string

	writes queries.Set
}

// Written returns a store that the library wrote, in a database of its own. That of JSONB has a schema of a name that needs quotes.
func Written(tb testing.TB, e Encoding) *Store {
	tb.Helper()
	schema := "public"
	if e == JSONB {
		schema = "Tenant B"
	}
	s, err := Tables(tb.Context(), pgtest.Database(tb), schema, dataType(e), "timestamptz")
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	require.NoError(tb, s.Load(tb.Context(), e))
	return s
}

// Empty returns a store without events, in a database of its own.
func Empty(tb testing.TB, e Encoding, schema, timeType string) *Store {
	tb.Helper()
	return EmptyOf(tb, dataType(e), schema, timeType)
}

// EmptyOf is [Empty] with columns for data of a type.
func EmptyOf(tb testing.TB, dataType, schema, timeType string) *Store {
	tb.Helper()
	s, err := Tables(tb.Context(), pgtest.Database(tb), schema, dataType, timeType)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	s.Exec(tb, firstFile)
	return s
}

func dataType(e Encoding) string {
	if e == JSONB {
		return "jsonb"
	}
	return "bytea"
}

// Existing returns the store whose tables are there already. Close it.
func Existing(where, schema string) (*Store, error) {
	u, err := url.Parse(where)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("pgx", where)
	if err != nil {
		return nil, err
	}
	s := &Store{DB: db, Location: database.Location{Kind: database.PostgreSQL, URL: u}, Schema: schema}
	s.writes = queries.Parse(writesFile, "/*schema.*/", s.quoted()+".")
	return s, nil
}

// Tables creates the tables, without any row, in the database at a URL. Close the Store.
func Tables(ctx context.Context, where, schema, dataType, timeType string) (*Store, error) {
	s, err := Existing(where, schema)
	if err != nil {
		return nil, err
	}
	value := "convert_to(value, 'UTF8')"
	if dataType != "bytea" {
		value = "value::" + dataType
	}
	text := strings.NewReplacer("/*schema.*/", s.quoted()+".", "/*data*/", dataType, "/*time*/", timeType, "/*make*/", value).Replace(schemaFile)
	if _, err := s.ExecContext(ctx, "create schema if not exists "+s.quoted()+";"+text); err != nil {
		return nil, fmt.Errorf("%w; %w", err, s.Close())
	}
	return s, nil
}

func (s *Store) quoted() string { return `"` + strings.ReplaceAll(s.Schema, `"`, `""`) + `"` }

// Load fills empty tables with the rows that the library wrote.
func (s *Store) Load(ctx context.Context, e Encoding) error {
	text, err := read(string(e) + ".copy.gz")
	if err != nil {
		return err
	}
	conn, err := s.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // a connection of a test
	return conn.Raw(func(driver any) error {
		server := driver.(*stdlib.Conn).Conn().PgConn()
		if err := server.Exec(ctx, "set search_path = "+s.quoted()).Close(); err != nil {
			return err
		}
		for text != "" { // statements, each COPY with its rows behind it, up to \.
			var statement, rows string
			statement, text, _ = strings.Cut(strings.TrimLeft(text, "\n"), "\n")
			if !strings.HasPrefix(statement, "COPY ") {
				if err := server.Exec(ctx, statement).Close(); err != nil {
					return fmt.Errorf("%s: %w", statement, err)
				}
				continue
			}
			rows, text, _ = strings.Cut(text, "\\.\n")
			if _, err := server.CopyFrom(ctx, strings.NewReader(rows), statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return server.Exec(ctx, "reset search_path").Close()
	})
}

// Expected returns what a reader of all streams must see in the store that the library wrote, a row for each event:
// position, stream, version, event_id, event_type, causation_id, correlation_id, created_at, data_md5, metadata_md5.
func Expected(tb testing.TB, e Encoding) [][]string { return table(tb, string(e)+".expected.csv.gz") }

// Streams returns what each stream holds, a row for each version: stream, soft_deleted, version, event_id, link.
func Streams(tb testing.TB, e Encoding) [][]string { return table(tb, string(e)+".streams.csv.gz") }

func table(tb testing.TB, name string) [][]string {
	tb.Helper()
	text, err := read(name)
	require.NoError(tb, err)
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	require.NoError(tb, err)
	return rows[1:]
}

// read unpacks a file.
func read(name string) (string, error) {
	f, err := files.Open("testdata/" + name)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // it is in memory
	r, err := gzip.NewReader(f)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	return string(text), err
}

// As returns where the same database is for another user.
func As(l database.Location, user, password string) database.Location {
	u := *l.URL
	u.User = url.UserPassword(user, password)
	l.URL = &u
	return l
}
