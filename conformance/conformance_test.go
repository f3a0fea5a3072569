package conformance

import (
	"testing"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

func TestMemory(t *testing.T) {
	Run(t, Harness{Name: "memory", New: func(testing.TB) store.Storage { return memory.New() }})
}

func TestMemorySmallPages(t *testing.T) {
	Run(t, Harness{Name: "memory/page=2", New: func(testing.TB) store.Storage { return memory.New() }, PageSize: 2})
}

func BenchmarkMemory(b *testing.B) {
	Bench(b, Harness{Name: "memory", New: func(testing.TB) store.Storage { return memory.New() }})
}
