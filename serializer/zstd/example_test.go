package zstd_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/zstd"
	"github.com/eventstore-go/eventstore/store"
)

// Long events are compressed, short ones are not, and both decode as they were.
func Example() {
	ctx := context.Background()
	es := store.New(memory.New(), &store.Options{Serializer: serializer.New(serializer.JSONFormat{}, &serializer.Options{
		Codings: []serializer.Coding{zstd.New(nil)},
	})})
	defer es.Close() //nolint:errcheck // the program ends

	_, err := es.Append(ctx, "letters", store.NoStream,
		store.Event{Type: "letter", Data: "Dear John"},
		store.Event{Type: "letter", Data: strings.Repeat("and so on ", 1000)},
	)
	if err != nil {
		log.Fatal(err)
	}
	for e, err := range es.Stream(ctx, "letters", nil) {
		if err != nil {
			log.Fatal(err)
		}
		text, err := store.Decode[string](e)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(len(text), "characters, compressed:", len(e.Data) < len(text))
	}
	// Output:
	// 9 characters, compressed: false
	// 10000 characters, compressed: true
}
