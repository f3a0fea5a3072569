package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded/commandedtest"
)

// elixir fills a schema of the PostgreSQL database at COMMANDED_DB with a store that commanded/eventstore wrote, or appends a number
// of events to it: elixir [SCHEMA [NUMBER]]
func elixir(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 2 {
		ts.Fatalf("usage: elixir [schema [number]]")
	}
	schema := "public"
	if len(args) > 0 {
		schema = args[0]
	}
	ctx := context.Background()
	if len(args) < 2 {
		s, err := commandedtest.Tables(ctx, ts.Getenv("COMMANDED_DB"), schema, "bytea", "timestamptz")
		ts.Check(err)
		ts.Check(s.Load(ctx, commandedtest.JSON))
		ts.Check(s.Close())
		return
	}
	s, err := commandedtest.Existing(ts.Getenv("COMMANDED_DB"), schema)
	ts.Check(err)
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	for ; n > 0; n -= 500 {
		ts.Check(s.Append(ctx, fmt.Sprint("more-", n), commandedtest.NewIDs(min(n, 500))...))
	}
	ts.Check(s.Close())
}
