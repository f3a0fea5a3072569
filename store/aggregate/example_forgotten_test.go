package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/encryption"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/aggregate"
)

// Commented is about a person, and is encrypted with the person's key.
type Commented struct{ Person, Text string }

func (c Commented) EventSubject() string { return c.Person }

// Thread is what a stream of comments comes to.
type Thread struct {
	Texts []string
	Gone  int
}

func (t Thread) With(value any) (Thread, error) {
	switch v := value.(type) {
	case Commented:
		t.Texts = append(t.Texts[:len(t.Texts):len(t.Texts)], v.Text)
	case serializer.Forgotten:
		t.Gone++
	default:
		return t, fmt.Errorf("a %T in a thread", value)
	}
	return t, nil
}

// When a person is forgotten, a fold gets serializer.Forgotten for that person's events, unless the options say otherwise.
func ExampleOptions_forgotten() {
	ctx := context.Background()
	types := serializer.NewTypes()
	serializer.Register[Commented](types, "commented")
	secret := encryption.New(encryption.NewMemoryKeys(), nil, nil)
	es := store.New(memory.New(), &store.Options{Serializer: serializer.New(serializer.JSONFormat{}, &serializer.Options{
		Types: types, Codings: []serializer.Coding{secret},
	})})
	defer es.Close() //nolint:errcheck // the program ends

	_, err := es.Append(ctx, "thread-1", store.NoStream,
		store.Event{Data: Commented{"p-1", "First!"}}, store.Event{Data: Commented{"p-2", "Second."}})
	if err != nil {
		log.Fatal(err)
	}
	if err := secret.Forget(ctx, "p-1"); err != nil {
		log.Fatal(err)
	}
	load := func(opts aggregate.Options[Thread]) {
		opts.Fold = Thread.With
		thread, err := aggregate.New(es, &opts).Load(ctx, "thread-1")
		fmt.Println(thread.Value.Texts, thread.Value.Gone, "gone, version", thread.Version, errors.Is(err, store.ErrForgotten))
	}
	load(aggregate.Options[Thread]{})
	load(aggregate.Options[Thread]{Forgotten: aggregate.SkipForgotten})
	load(aggregate.Options[Thread]{Forgotten: aggregate.RefuseForgotten})
	// Output:
	// [Second.] 1 gone, version 2 false
	// [Second.] 0 gone, version 2 false
	// [] 0 gone, version 0 true
}
