package main

import (
	"bytes"
	"testing"

	"github.com/eventstore-go/eventstore/internal/pgtest"
)

// TestRun has a server of its own: pgtest.Main fails for goroutines that are left, and gorm leaves one behind with prepared statements.
func TestRun(t *testing.T) {
	const want = `prepared statements: false
order 17: <nil>
order 18: store: "customer-7": want no stream, stream is at version 1
order 19: customer-8 may not spend so much
rows: [17]
events: [customer-7: {"id":"17","customer":"customer-7","cents":4200}]
prepared statements: true
order 17: <nil>
order 18: store: "customer-7": want no stream, stream is at version 1
order 19: customer-8 may not spend so much
rows: [17]
events: [customer-7: {"id":"17","customer":"customer-7","cents":4200}]
`
	var out bytes.Buffer
	if err := run(t.Context(), pgtest.StartServer(t).URL(), &out); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
}
