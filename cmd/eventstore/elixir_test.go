package main

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// elixir fills the PostgreSQL database at COMMANDED_DB as commanded/eventstore would: 10,000 events, holes, links.
func elixir(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: elixir")
	}
	u, err := url.Parse(ts.Getenv("COMMANDED_DB"))
	ts.Check(err)
	db, err := sql.Open("pgx", u.String())
	ts.Check(err)
	defer func() { ts.Check(db.Close()) }()
	r := strings.NewReplacer("/*schema.*/", "public.", "/*data*/", "bytea", "/*time*/", "timestamptz", "/*make*/", "public.make", "100000", "10000", "100002", "10002")
	run := func(text string) {
		_, err := db.ExecContext(context.Background(), r.Replace("set time zone 'UTC';"+text))
		ts.Check(err)
	}
	run("create function /*make*/(text) returns bytea language sql as $f$ select convert_to($1, 'UTF8') $f$")
	for _, name := range []string{"commanded.sql", "fill.sql"} {
		text, err := os.ReadFile(filepath.Join(ts.Getenv("SOURCE"), "internal", "commanded", "testdata", name))
		ts.Check(err)
		run(string(text))
	}
}
