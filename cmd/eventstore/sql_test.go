package main

import (
	"context"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
)

// runSQL runs a file of statements in one transaction, as another tool does: run SCHEMA FILE. SUBSCRIPTIONS in it is the table of that
// name in the schema, which is created.
func runSQL(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: run schema file")
	}
	l, err := database.Parse(ts.Getenv("EVENTSTORE_DB"))
	ts.Check(err)
	d, err := database.Open(l, database.Options{Schema: args[0]})
	ts.Check(err)
	defer d.Close() //nolint:errcheck // the script's
	text := ts.ReadFile(args[1])
	if strings.Contains(text, "SUBSCRIPTIONS") {
		table := args[0] + "subscriptions"
		if d.Kind == database.PostgreSQL {
			table = args[0] + ".subscriptions"
			text = "create schema " + args[0] + "; " + text
		}
		text = strings.ReplaceAll(text, "SUBSCRIPTIONS", table)
	}
	tx, err := d.BeginTx(context.Background(), nil)
	ts.Check(err)
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing
	if _, err = tx.Exec(text); err == nil {
		err = tx.Commit()
	}
	if neg == (err == nil) {
		ts.Fatalf("%s: %v", args[1], err)
	}
}
