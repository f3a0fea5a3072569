package commanded

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/verify"
	"github.com/eventstore-go/eventstore/store"
)

// TestImport moves 100,000 events, with holes and links: all is where it was, and subscriptions go on.
func TestImport(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "jsonb", "timestamptz")
	f.file(t, "testdata/fill.sql")
	path := filepath.Join(t.TempDir(), "archive.zst")
	_, err := transfer.Export(t.Context(), f.open(t), path, transfer.ExportOptions{Compress: true})
	require.NoError(t, err)
	for _, kind := range []database.Kind{database.PostgreSQL, database.SQLite} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			d := databasetest.New(t, kind)
			_, err := transfer.Import(t.Context(), d, path, transfer.ImportOptions{})
			require.NoError(t, err)
			_, err = verify.Run(t.Context(), d, func(v verify.Violation) error {
				t.Errorf("%s: %s", v.Check, v.What)
				return nil
			})
			require.NoError(t, err)
			es := store.New(d.Backend, nil)
			t.Cleanup(func() { require.NoError(t, es.Close()) })

			var want []archive.Event
			require.NoError(t, f.open(t).Events(t.Context(), 0, 1<<40, func(e *archive.Event) error {
				want = append(want, *e)
				return nil
			}))
			i := 0
			for e, err := range es.All(t.Context(), nil) {
				require.NoError(t, err)
				w := want[i]
				i++
				if e.Number != w.Position || e.ID != w.ID || e.Stream != w.Stream || e.Version != w.Version || e.Type != w.Type ||
					!e.CreatedAt.Equal(w.CreatedAt) || string(e.Data) != string(w.Data) || (e.Metadata == nil) != (w.Metadata == nil) ||
					e.CausationID != w.CausationID || e.CorrelationID != w.CorrelationID {
					require.Equal(t, w, e)
				}
			}
			assert.Len(t, want, i)
			head, err := es.Head(t.Context())
			require.NoError(t, err)
			assert.Equal(t, int64(100_002), head, "positions are not used again")

			links, err := es.Page(t.Context(), "links", nil)
			require.NoError(t, err)
			for _, l := range links {
				assert.Zero(t, (l.Number-1)%2, "every second version is a hole")
			}
			deleted, err := es.StreamInfo(t.Context(), "stream-8")
			require.NoError(t, err)
			assert.Equal(t, store.Deleted, deleted.Status())
			snapshot, err := es.ReadSnapshot(t.Context(), "stream-1")
			require.NoError(t, err)
			assert.Equal(t, int64(17), snapshot.Version)
			goesOn(t, es, store.All, "a", want[0].Position+99)
			goesOn(t, es, "stream-1", "c", 4)

			r, err := es.Append(t.Context(), "stream-1", store.Version(334), store.Event{Type: "New", Data: 1})
			require.NoError(t, err)
			assert.Equal(t, int64(335), r.Last)
		})
	}
}

// goesOn checks which event a subscription receives next.
func goesOn(t *testing.T, es *store.Store, stream, name string, next int64) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	first := int64(0)
	err := es.Consume(ctx, stream, name, func(_ context.Context, e store.Recorded) error {
		if first == 0 {
			first = e.Number
		}
		stop()
		return nil
	}, nil)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, next, first, "%s on %s", name, stream)
}
