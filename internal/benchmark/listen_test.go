package benchmark

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/postgres/pgxnotify"
	"github.com/eventstore-go/eventstore/backend/postgres/pqnotify"
	"github.com/eventstore-go/eventstore/store"
)

// listen returns the notifier of a driver.
func listen(b *testing.B, driver, url string) store.Notifier {
	b.Helper()
	channel := postgres.New(nil, nil).Channel()
	if driver == "pgx" {
		n, err := pgxnotify.New(url, channel, nil)
		require.NoError(b, err)
		return n
	}
	n, err := pqnotify.New(url, channel, nil)
	require.NoError(b, err)
	return n
}
