package store_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// between does something before each read of a stream.
type between struct {
	store.Storage
	do func()
}

func (b *between) ReadStream(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
	b.do()
	return b.Storage.ReadStream(ctx, r)
}

// TestRetryWhileDeleted deletes the stream between the look for the ids and the comparison: the append is judged again.
func TestRetryWhileDeleted(t *testing.T) {
	t.Parallel()
	e := store.Event{ID: uuid.New(), Type: "t", Data: 1}
	for name, c := range map[string]struct {
		meanwhile func(es *store.Store) error
		want      store.AppendResult
		is        error
	}{
		"hard": {
			meanwhile: func(es *store.Store) error { return es.Delete(t.Context(), "s", store.Any, store.HardDelete) },
			want:      store.AppendResult{Stream: "s", First: 1, Last: 1},
		},
		"soft": {
			meanwhile: func(es *store.Store) error { return es.Delete(t.Context(), "s", store.Any, store.SoftDelete) },
			is:        store.ErrStreamDeleted,
		},
		"hard, and created again": {
			meanwhile: func(es *store.Store) error {
				if err := es.Delete(t.Context(), "s", store.Any, store.HardDelete); err != nil {
					return err
				}
				_, err := es.Append(t.Context(), "s", store.NoStream, store.Event{Type: "t", Data: 2})
				return err
			},
			want: store.AppendResult{Stream: "s", First: 2, Last: 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storage := memory.New()
			direct := store.New(storage, &store.Options{HardDelete: true})
			_, err := direct.Append(t.Context(), "s", store.Any, e)
			require.NoError(t, err)
			done := false
			es := store.New(&between{Storage: storage, do: func() {
				if !done {
					done = true
					require.NoError(t, c.meanwhile(direct))
				}
			}}, nil)
			res, err := es.Append(t.Context(), "s", store.Any, e)
			require.True(t, done)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, placed(res))
		})
	}
}

// placed is a result without ids.
func placed(r store.AppendResult) store.AppendResult {
	r.IDs = nil
	return r
}
