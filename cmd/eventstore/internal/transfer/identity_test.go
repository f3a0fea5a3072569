package transfer_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/store"
)

// delivered returns the first n numbers that the subscription "reader" to a stream is given.
func (s *shop) delivered(stream string, n int) (numbers []int64) {
	s.Helper()
	ctx, stop := context.WithTimeout(s.Context(), time.Minute)
	defer stop()
	err := s.Consume(ctx, stream, "reader", func(_ context.Context, e store.Recorded) error {
		if numbers = append(numbers, e.Number); len(numbers) == n {
			stop()
		}
		return nil
	}, nil)
	require.ErrorIs(s, err, context.Canceled)
	return numbers
}

// gone makes a stream "s" with five events that its subscription has acknowledged, and hard deletes it.
func (s *shop) gone() {
	s.Helper()
	s.append("s", 5)
	s.consume("s", 5)
	require.NoError(s, s.Delete(s.Context(), "s", store.Any, store.HardDelete))
}

// again begins the stream anew, and checks that all of it is delivered, and that other new streams are not taken for it.
func (s *shop) again() {
	s.Helper()
	s.append("s", 8)
	require.Equal(s, []int64{1, 2, 3, 4, 5, 6, 7, 8}, s.delivered("s", 8))
	sound(s, s.d)
}

func export(t *testing.T, d *database.Database, streams ...string) (path string) {
	t.Helper()
	source, err := transfer.Source(d, streams...)
	require.NoError(t, err)
	path = filepath.Join(t.TempDir(), "archive")
	_, err = transfer.Export(t.Context(), source, path, transfer.ExportOptions{})
	require.NoError(t, err)
	return path
}

func bring(t *testing.T, d *database.Database, path string, merge bool) {
	t.Helper()
	_, err := transfer.Import(t.Context(), d, path, transfer.ImportOptions{Merge: merge})
	require.NoError(t, err)
}

// TestStreamIDsAfterAnImport: a new stream does not get the id of one that was hard deleted before the export, in which a
// checkpoint may count.
func TestStreamIDsAfterAnImport(t *testing.T) {
	t.Parallel()
	for _, from := range kinds {
		for _, to := range kinds {
			for _, merge := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s to %s, merge %t", from, to, merge), func(t *testing.T) {
					t.Parallel()
					old, fresh := open(t, databasetest.New(t, from)), open(t, databasetest.New(t, to))
					old.append("other", 1)
					old.gone()
					path := export(t, old.d)
					if merge {
						fresh.append("mine", 1)
					}
					bring(t, fresh.d, path, merge)

					// And once more, from the store that was imported into.
					twice := open(t, databasetest.New(t, from))
					bring(t, twice.d, export(t, fresh.d), false)
					fresh.again()
					twice.again()
				})
			}
		}
	}
}

// TestStreamIDsAfterAnImportOfAPart: of chosen streams, too.
func TestStreamIDsAfterAnImportOfAPart(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		old, fresh := open(t, d), open(t, databasetest.New(t, d.Kind))
		old.append("other", 1)
		old.append("s", 5)
		old.consume("s", 5)
		path := export(t, old.d, "s")
		bring(t, fresh.d, path, false)
		require.NoError(t, fresh.Delete(t.Context(), "s", store.Any, store.HardDelete))
		fresh.again()
	})
}

// TestStreamIDsOfTheTargetBeforeAnImport: a stream of an archive does not get the id of one that was hard deleted in the store
// that it is imported into, though that is empty.
func TestStreamIDsOfTheTargetBeforeAnImport(t *testing.T) {
	t.Parallel()
	d := databasetest.New(t, database.PostgreSQL) // where a store is empty again until a tick has seen the event
	fresh := open(t, d)
	fresh.append("s", 1)
	// At once: no event has a position yet.
	id := store.SubscriptionID{Stream: "s", Name: "reader"}
	storage := d.Backend.(store.SubscriptionStorage)
	info, err := fresh.StreamInfo(t.Context(), "s")
	require.NoError(t, err)
	lease, err := storage.AcquireLease(t.Context(), store.LeaseRequest{ID: id, Owner: "me", TTL: 1, Create: true})
	require.NoError(t, err)
	require.NoError(t, storage.SaveCheckpoint(t.Context(), store.CheckpointRequest{ID: id, Epoch: lease.Epoch, Checkpoint: 1, StreamID: info.ID}))
	require.NoError(t, fresh.Delete(t.Context(), "s", store.Any, store.HardDelete))

	old := open(t, databasetest.New(t, database.SQLite))
	old.append("s", 8)
	bring(t, d, export(t, old.d), false)
	require.Equal(t, []int64{1, 2, 3, 4, 5, 6, 7, 8}, fresh.delivered("s", 8))
	sound(t, d)
}
