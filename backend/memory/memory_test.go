package memory_test

import (
	"testing"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/conformance"
	"github.com/eventstore-go/eventstore/store"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, run := range []struct {
		name     string
		pageSize int
	}{{"memory", 0}, {"memory/page=3", 3}} {
		t.Run(run.name, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, conformance.Harness{
				Name:     run.name,
				New:      func(testing.TB) store.Storage { return memory.New() },
				PageSize: run.pageSize,
			})
		})
	}
}
