package main

import (
	"context"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded/commandedtest"
)

// elixir fills the PostgreSQL database at COMMANDED_DB with a store that commanded/eventstore wrote.
func elixir(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: elixir")
	}
	s, err := commandedtest.Tables(context.Background(), ts.Getenv("COMMANDED_DB"), "public", "bytea", "timestamptz")
	ts.Check(err)
	ts.Check(s.Load(context.Background(), commandedtest.JSON))
	ts.Check(s.Close())
}
