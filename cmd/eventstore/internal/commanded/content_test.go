package commanded_test

import (
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded/commandedtest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/internal/queries"
)

// content is what a store holds, read by plain SQL and written as text, so that two of different kinds can be compared.
type content struct {
	events        []string // in the order of their positions
	streams       []string // a line for each version, sorted
	rows          []string // of the table of streams, sorted
	subscriptions []string // sorted
	snapshots     []string // sorted
}

// ofTarget reads a store of this library.
func ofTarget(t *testing.T, d *database.Database) content {
	t.Helper()
	file := map[database.Kind]string{database.PostgreSQL: "testdata/target_postgres.sql", database.SQLite: "testdata/target_sqlite.sql"}[d.Kind]
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return contentOf(t, d.DB, d.Queries(string(text)))
}

// ofSource reads a store of commanded/eventstore.
func ofSource(t *testing.T, from *commandedtest.Store) content {
	t.Helper()
	text, err := os.ReadFile("testdata/source.sql")
	require.NoError(t, err)
	cast := ""
	var dataType string
	require.NoError(t, from.QueryRowContext(t.Context(), `select atttypid::regtype::text from pg_attribute where attrelid = $1::regclass and attname = 'data'`,
		`"`+strings.ReplaceAll(from.Schema, `"`, `""`)+`".events`).Scan(&dataType))
	if dataType != "bytea" {
		cast = "::text"
	}
	schema := `"` + strings.ReplaceAll(from.Schema, `"`, `""`) + `".`
	return contentOf(t, from.DB, queries.Parse(string(text), "/*schema.*/", schema, "/*text*/", cast))
}

func contentOf(t *testing.T, db *sql.DB, q queries.Set) (c content) {
	t.Helper()
	c.events = lines(t, db, q.Get("events"), 2)
	c.streams = sorted(lines(t, db, q.Get("streams"), 0))
	c.rows = sorted(lines(t, db, q.Get("rows"), 0))
	c.subscriptions = sorted(lines(t, db, q.Get("subscriptions"), 0))
	c.snapshots = sorted(lines(t, db, q.Get("snapshots"), 2))
	return c
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// lines returns rows as text; the last columns, so many, as the sum of their bytes.
func lines(t *testing.T, db *sql.DB, query string, sums int) (list []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	columns, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		require.NoError(t, rows.Scan(into...))
		cells := make([]string, len(values))
		for i, v := range values {
			cells[i] = cell(v, i >= len(values)-sums)
		}
		list = append(list, strings.Join(cells, ","))
	}
	require.NoError(t, rows.Err())
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

// expected is what a reader must see in a store that the library wrote: its file, as content.
func expected(t *testing.T, e commandedtest.Encoding) (c content) {
	t.Helper()
	for _, row := range commandedtest.Expected(t, e) {
		at, err := time.Parse("2006-01-02 15:04:05.999999-07", row[7])
		require.NoError(t, err)
		row[7] = strconv.FormatInt(at.UnixMicro(), 10)
		row[9] = none(row[9])
		c.events = append(c.events, strings.Join(row, ","))
	}
	for _, row := range commandedtest.Streams(t, e) {
		c.streams = append(c.streams, strings.Join(row, ","))
	}
	c.streams = sorted(booleans(c.streams, 1, 4))
	return c
}

// parts are the cells of a line without commas in its name, or of a name alone.
func parts(line string) []string { return strings.Split(line, ",") }

func number(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return n
}
