package transfer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/store"
)

// TestParked: what a subscription has parked goes with its checkpoint, which has passed it, and is handled in the new store.
func TestParked(t *testing.T) {
	t.Parallel()
	for from, to := range map[database.Kind]database.Kind{database.SQLite: database.PostgreSQL, database.PostgreSQL: database.SQLite} {
		t.Run(databaseName(from)+" to "+databaseName(to), func(t *testing.T) {
			t.Parallel()
			s := open(t, databasetest.New(t, from))
			s.append("a", 3)
			s.append("b", 1)
			filter := &store.ParkedFilter{Stream: store.All}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			err := s.Consume(ctx, store.All, "mailer", func(_ context.Context, e store.Recorded) error {
				switch e.Number {
				case 2:
					return errors.New(`no "such" Ümläut`)
				case 4:
					stop()
				}
				return nil
			}, &store.ConsumeOptions{OnError: store.RetryThen(2, store.Park), MinBackoff: time.Millisecond})
			require.ErrorIs(t, err, context.Canceled)
			want, err := s.Parked(t.Context(), "mailer", filter)
			require.NoError(t, err)
			require.Len(t, want, 2)

			target := open(t, databasetest.New(t, to))
			_, err = transfer.Import(t.Context(), target.d, exported(t, s.d), transfer.ImportOptions{})
			require.NoError(t, err)
			got, err := target.Parked(t.Context(), "mailer", filter)
			require.NoError(t, err)
			assert.Equal(t, want, got)

			n, err := target.ReplayParked(t.Context(), "mailer", filter)
			require.NoError(t, err)
			require.EqualValues(t, 2, n)
			var handled []int64
			ctx, stop = context.WithCancel(t.Context())
			defer stop()
			err = target.Consume(ctx, store.All, "mailer", func(_ context.Context, e store.Recorded) error {
				if handled = append(handled, e.Number); len(handled) == 2 {
					stop()
				}
				return nil
			}, nil)
			require.ErrorIs(t, err, context.Canceled)
			assert.Equal(t, []int64{2, 3}, handled)
		})
	}
}

func databaseName(k database.Kind) string {
	if k == database.SQLite {
		return "sqlite"
	}
	return "postgres"
}
