package commandedtest

import (
	"crypto/md5"
	"database/sql"
	_ "embed"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/internal/queries"
)

//go:embed source.sql
var sourceFile string

//go:embed target_postgres.sql
var postgresFile string

//go:embed target_sqlite.sql
var sqliteFile string

// Content is what a store holds, read by plain SQL and written as text, so that two of different kinds can be compared. It shares no code
// with what imports.
type Content struct {
	Events        []string // in the order of their positions
	Streams       []string // a line for each version, sorted
	Rows          []string // of the table of streams, sorted
	Subscriptions []string // sorted
	Snapshots     []string // sorted
}

// OfTarget reads a store of this library.
func OfTarget(tb testing.TB, d *database.Database) Content {
	tb.Helper()
	if d.Kind == database.SQLite {
		return contentOf(tb, d.DB, d.Queries(sqliteFile))
	}
	return contentOf(tb, d.DB, d.Queries(postgresFile))
}

// Content reads a store of commanded/eventstore.
func (s *Store) Content(tb testing.TB) Content {
	tb.Helper()
	cast := ""
	var dataType string
	require.NoError(tb, s.QueryRowContext(tb.Context(), `select atttypid::regtype::text from pg_attribute where attrelid = $1::regclass and attname = 'data'`,
		s.quoted()+".events").Scan(&dataType))
	if dataType != "bytea" {
		cast = "::text"
	}
	return contentOf(tb, s.DB, queries.Parse(sourceFile, "/*schema.*/", s.quoted()+".", "/*text*/", cast))
}

func contentOf(tb testing.TB, db *sql.DB, q queries.Set) (c Content) {
	tb.Helper()
	c.Events = lines(tb, db, q.Get("events"), 2)
	c.Streams = sorted(booleans(lines(tb, db, q.Get("streams"), 0), 1, 4))
	c.Rows = sorted(lines(tb, db, q.Get("rows"), 0))
	c.Subscriptions = sorted(lines(tb, db, q.Get("subscriptions"), 0))
	c.Snapshots = sorted(lines(tb, db, q.Get("snapshots"), 2))
	return c
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// lines returns rows as text; the last columns, so many, as the sum of their bytes.
func lines(tb testing.TB, db *sql.DB, query string, sums int) (list []string) {
	tb.Helper()
	rows, err := db.QueryContext(tb.Context(), query)
	require.NoError(tb, err)
	defer func() { require.NoError(tb, rows.Close()) }()
	columns, err := rows.Columns()
	require.NoError(tb, err)
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		require.NoError(tb, rows.Scan(into...))
		cells := make([]string, len(values))
		for i, v := range values {
			cells[i] = cell(v, i >= len(values)-sums)
		}
		list = append(list, strings.Join(cells, ","))
	}
	require.NoError(tb, rows.Err())
	return list
}

// cell writes a value of whatever driver.
func cell(v any, sum bool) string {
	var text string
	switch v := v.(type) {
	case nil:
		return ""
	case bool:
		return strconv.FormatBool(v)
	case []byte:
		if len(v) == 16 && !sum {
			return uuid.UUID(v).String()
		}
		text = string(v)
	default:
		text = fmt.Sprint(v)
	}
	if sum {
		return none(md5sum(text))
	}
	return text
}

func md5sum(text string) string {
	s := md5.Sum([]byte(text))
	return hex.EncodeToString(s[:])
}

// none is the sum of metadata: that of the nil of each serializer stands for none, and so is none here.
func none(sum string) string {
	for _, null := range []string{"null", "\x83d\x00\x03nil", "\x83w\x03nil"} {
		if sum == md5sum(null) {
			return ""
		}
	}
	return sum
}

// booleans are 0 and 1 in SQLite.
func booleans(list []string, columns ...int) []string {
	for i, line := range list {
		cells := strings.Split(line, ",")
		for _, c := range columns {
			switch n := len(cells); cells[n-c] {
			case "0", "f":
				cells[n-c] = "false"
			case "1", "t":
				cells[n-c] = "true"
			}
		}
		list[i] = strings.Join(cells, ",")
	}
	return list
}

// ExpectedContent is what a reader must see in a store that the library wrote: its files, as content.
func ExpectedContent(tb testing.TB, e Encoding) (c Content) {
	tb.Helper()
	for _, row := range Expected(tb, e) {
		at, err := time.Parse("2006-01-02 15:04:05.999999-07", row[7])
		require.NoError(tb, err)
		row[7] = strconv.FormatInt(at.UnixMicro(), 10)
		row[9] = none(row[9])
		c.Events = append(c.Events, strings.Join(row, ","))
	}
	for _, row := range Streams(tb, e) {
		c.Streams = append(c.Streams, strings.Join(row, ","))
	}
	c.Streams = sorted(booleans(c.Streams, 1, 4))
	return c
}
