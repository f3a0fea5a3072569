package postgres_test

import (
	"testing"
	"time"

	"github.com/eventstore-go/eventstore/conformance/model"
	"github.com/eventstore-go/eventstore/internal/longtest"
	"github.com/eventstore-go/eventstore/store"
)

func init() { longtest.FewerChecks("20") } // memory has as many as there are

func TestModel(t *testing.T) {
	t.Parallel()
	model.Run(t, newStorage(t))
}

func TestModelOfSubscriptions(t *testing.T) {
	t.Parallel()
	model.RunSubscriptions(t, 5*time.Second, newStorage(t))
}

func newStorage(t *testing.T) func(tb testing.TB) store.Storage {
	at := &places{t: t, driver: "pgx", conns: 8}
	return func(tb testing.TB) store.Storage { return at.open(tb) }
}
