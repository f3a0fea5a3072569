package database_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
)

// alone unsets what libpq reads from the environment.
func alone(t *testing.T) {
	for _, name := range []string{"PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGSERVICE", "PGSSLMODE"} {
		t.Setenv(name, "")
	}
}

// TestParse is not parallel: it sets variables.
func TestParse(t *testing.T) {
	alone(t)
	for _, c := range []struct{ text, want string }{
		{"postgres://bob:hidd3n@db:5433/shop", "postgres://bob@db:5433/shop"},
		{"postgresql://bob@db/shop?sslmode=disable", "postgres://bob@db/shop"},
		{"postgres://bob@a:1,b:2/shop?target_session_attrs=read-write", "postgres://bob@a:1,b:2/shop"},
		{"host=db port=5433 user=bob password=hidd3n dbname=shop", "postgres://bob@db:5433/shop"},
		{` dbname = 'the shop' user=o\'hara password='it\'s hidd3n' host=db`, "postgres://o'hara@db:5432/the shop"},
		{"host=/run/postgresql user=bob dbname=shop", "postgres://bob@/shop?host=/run/postgresql"},
		{"events.db", "events.db"},
		{"sqlite:events.db", "events.db"},
		{"sqlite:///var/events.db", "/var/events.db"},
		{"sqlite:host=x", "host=x"},
		{"a=b.db", "a=b.db"},
	} {
		l, err := database.Parse(c.text)
		require.NoError(t, err, c.text)
		assert.Equal(t, c.want, l.String(), c.text)
	}
	for _, c := range []struct{ text, want string }{
		{"", "set --db, EVENTSTORE_DB or PGDATABASE"},
		{"postgres://db", "names no database"},
		{"host=db", "names no database"},
		{"host='db dbname=hidd3n", "the quote of host is not closed"},
		{"host=db hidd3n", "want KEY=VALUE pairs"},
		{"postgres://bob:hidd3n%zz@db/shop", "can't be parsed"},
		{"postgres://bob:hidd3n@db/shop?sslmode=maybe", "sslmode is invalid"},
		{"host=db dbname=shop password=hidd3n port=many", "invalid port"},
		{"mysql://db/shop", "neither a postgres:// URL nor a path"},
		{"file:e.db?mode=ro", "write the path alone: --db e.db"},
		{":memory:", "name a file"},
		{"sqlite:", "path of the SQLite file is missing"},
	} {
		_, err := database.Parse(c.text)
		var wrong *database.LocationError
		require.ErrorAs(t, err, &wrong, c.text)
		assert.Contains(t, err.Error(), c.want, c.text)
		assert.NotContains(t, err.Error(), "hidd3n")
	}
}

// TestParseVariables: PGHOST and the like fill in what the text leaves out, and name a database without one.
func TestParseVariables(t *testing.T) {
	alone(t)
	t.Setenv("PGHOST", "db")
	t.Setenv("PGPORT", "5433")
	t.Setenv("PGUSER", "bob")
	t.Setenv("PGPASSWORD", "hidd3n")
	_, err := database.Parse("")
	require.Error(t, err, "they name a server, but no database")
	t.Setenv("PGDATABASE", "shop")
	for text, want := range map[string]string{
		"":                        "postgres://bob@db:5433/shop",
		"postgres:///":            "postgres://bob@db:5433/shop",
		"postgres://other/":       "postgres://bob@other/shop",
		"dbname=bank":             "postgres://bob@db:5433/bank",
		"user=eve":                "postgres://eve@db:5433/shop",
		"postgres://eve@h/bank":   "postgres://eve@h/bank",
		"postgres:///bank?user=e": "postgres://e@db:5433/bank",
	} {
		l, err := database.Parse(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, l.String(), text)
		assert.Equal(t, "xxxxx", l.Redact("hidd3n"), text)
	}
}
