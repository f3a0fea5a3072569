package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/eventstore-go/eventstore/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func TestRun(t *testing.T) {
	const want = `order 17: <nil>
order 18: store: "customer-7": want no stream, stream is at version 1
order 19: customer-8 may not spend so much
rows: [17]
events: [customer-7: {"id":"17","customer":"customer-7","cents":4200}]
customer-7 spent 2100 cents
`
	var out bytes.Buffer
	if err := run(t.Context(), pgtest.Database(t), &out); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
}
