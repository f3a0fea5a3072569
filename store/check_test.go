package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/msgpack"
	"github.com/eventstore-go/eventstore/store"
)

// checked is a storage that knows what it takes only once it has looked.
type checked struct {
	store.Storage
	err      error
	jsonOnly bool
	looked   bool
}

func (c *checked) Check(context.Context) error {
	c.looked = c.err == nil
	return c.err
}

func (c *checked) JSONOnly() bool { return c.looked && c.jsonOnly }

func TestCheck(t *testing.T) {
	t.Parallel()
	binary := &store.Options{Serializer: serializer.New(msgpack.Format{}, nil)}
	missing := errors.New("missing")
	for name, test := range map[string]struct {
		storage store.Storage
		opts    *store.Options
		want    error
	}{
		"nothing to look at":   {memory.New(), binary, nil},
		"all is well":          {&checked{}, binary, nil},
		"JSON in JSON":         {&checked{jsonOnly: true}, nil, nil},
		"msgpack in JSON":      {&checked{jsonOnly: true}, binary, store.ErrInvalid},
		"metadata in JSON":     {&checked{jsonOnly: true}, &store.Options{MetadataSerializer: binary.Serializer}, store.ErrInvalid},
		"not there":            {&checked{err: missing}, nil, missing},
		"known from the start": {&checked{jsonOnly: true, looked: true, err: missing}, binary, store.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			es := store.New(test.storage, test.opts)
			require.ErrorIs(t, es.Check(t.Context()), test.want)
			require.NoError(t, es.Close())
			require.ErrorIs(t, es.Check(t.Context()), store.ErrClosed)
		})
	}
}
