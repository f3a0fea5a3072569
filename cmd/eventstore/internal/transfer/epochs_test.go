package transfer_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/store"
)

// TestEpochs: an imported subscription does not get an epoch that a deleted one had, if the sequence was set back.
func TestEpochs(t *testing.T) {
	t.Parallel()
	s := open(t, databasetest.New(t, database.SQLite))
	s.append("a", 3)
	s.consume("a", 2)
	path := exported(t, s.d)
	for _, merge := range []bool{false, true} {
		d := databasetest.New(t, database.PostgreSQL)
		es := open(t, d)
		ctx := t.Context()
		for range 3 {
			sub, err := es.Subscribe(ctx, store.All, "deleted", nil)
			require.NoError(t, err)
			require.NoError(t, sub.Close())
			require.NoError(t, es.DeleteSubscription(ctx, store.All, "deleted"))
		}
		if merge {
			es.append("b", 1)
		}
		set := d.Queries("-- name: set\nselect setval('/*schema.*/epoch_seq', 1, false)\n\n-- name: epochs\n" +
			"select (select max(r.id) from /*schema.*/retired as r where r.kind = 'epoch'), (select min(s.epoch) from /*schema.*/subscriptions as s)")
		_, err := d.ExecContext(ctx, set.Get("set"))
		require.NoError(t, err)
		_, err = transfer.Import(ctx, d, path, transfer.ImportOptions{Merge: merge})
		require.NoError(t, err)
		var retired, epoch int64
		require.NoError(t, d.QueryRowContext(ctx, set.Get("epochs")).Scan(&retired, &epoch))
		assert.Positive(t, retired)
		assert.Greater(t, epoch, retired)
	}
}
