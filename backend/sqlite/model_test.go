package sqlite_test

import (
	"testing"
	"time"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/conformance/model"
	"github.com/eventstore-go/eventstore/internal/longtest"
	"github.com/eventstore-go/eventstore/store"
)

func init() { longtest.FewerChecks("20") } // memory has as many as there are

func TestModel(t *testing.T) {
	t.Parallel()
	model.Run(t, func(tb testing.TB) store.Storage { return backend(tb, handle(tb, sqlite.Memory(), 0), nil) })
}

func TestModelOfSubscriptions(t *testing.T) {
	t.Parallel()
	model.RunSubscriptions(t, 5*time.Second, func(tb testing.TB) store.Storage { return backend(tb, handle(tb, sqlite.Memory(), 0), nil) })
}
