package store_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// A state is recorded with the version of the last event in it; the next reader goes on from there.
func ExampleStore_RecordSnapshot() {
	ctx := context.Background()
	es := store.New(memory.New(), nil)
	defer es.Close() //nolint:errcheck // the program ends
	type balance struct{ Cents int }

	err := es.RecordSnapshot(ctx, store.Snapshot{SourceID: "account-7", Version: 120, Type: "balance", Data: balance{4200}})
	if err != nil {
		log.Fatal(err)
	}
	err = es.RecordSnapshot(ctx, store.Snapshot{SourceID: "account-7", Version: 100, Type: "balance", Data: balance{3900}})
	if errors.Is(err, store.ErrSnapshotConflict) {
		fmt.Println(err)
	}
	snapshot, err := es.ReadSnapshot(ctx, "account-7")
	if err != nil {
		log.Fatal(err)
	}
	var b balance
	if err := snapshot.Decode(&b); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d cents after event %d\n", b.Cents, snapshot.Version)
	// Output:
	// snapshot of "account-7": version 120 is recorded already, and 100 is older: nothing was written
	// 4200 cents after event 120
}
