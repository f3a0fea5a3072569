package doctor

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/store"
)

// TestHistories names readers whose checkpoints belong to events that the store does not have, as if the rows of subscriptions had
// come from another database.
func TestHistories(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		es := store.New(d.Backend, nil)
		events := []store.Event{{ID: uuid.New(), Type: "counted", Data: 1}, {ID: uuid.New(), Type: "counted", Data: 2}}
		_, err := es.Append(t.Context(), "a", store.Any, events...)
		require.NoError(t, err)
		head, err := es.Head(t.Context()) // gives positions
		require.NoError(t, err)
		info, err := es.StreamInfo(t.Context(), "a")
		require.NoError(t, err)
		storage := d.Backend.(store.SubscriptionStorage)
		seen := func(id store.SubscriptionID, streamID int64) {
			lease, err := storage.AcquireLease(t.Context(), store.LeaseRequest{ID: id, Owner: "me", TTL: time.Hour, Create: true})
			require.NoError(t, err)
			require.NoError(t, storage.ReleaseLease(t.Context(), store.CheckpointRequest{
				ID: id, Epoch: lease.Epoch, Checkpoint: head, StreamID: streamID, Seen: store.SeenEvent{Number: head, ID: events[1].ID},
			}))
		}
		seen(store.SubscriptionID{Stream: store.All, Name: "r"}, 0)
		seen(store.SubscriptionID{Stream: "a", Name: "r"}, info.ID)
		assert.Empty(t, bad(t, d, Options{Long: time.Hour, Lag: 10}))

		table := `"` + d.Schema + `".subscriptions`
		if d.Kind == database.SQLite {
			table = d.Schema + "subscriptions"
		}
		_, err = d.ExecContext(t.Context(), `update `+table+` set seen = 1`)
		require.NoError(t, err)
		found := bad(t, d, Options{Long: time.Hour, Lag: 10})
		require.Len(t, found, 2)
		for _, f := range found {
			assert.Contains(t, f, "has read event "+events[1].ID.String()+" at 1, where event "+events[0].ID.String()+" is: events that it has read were lost")
		}
	})
}
