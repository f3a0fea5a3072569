package conformance

import (
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fault is one broken promise, built on top of a backend that keeps them all. It breaks the storage, or what the
// Store does around it.
type fault struct {
	name    string
	what    string
	storage func(b *broken)
	store   func(c *careless)
}

// faults returns all faults on top of memory.
func faults() []fault {
	return slices.Concat(expectedFaults, retryFaults, eventFaults, readFaults, orderFaults, linkFaults, deleteFaults, streamsFaults, storeFaults)
}

// suite runs every case that the backend runs, as broken by the fault, and returns the outcome by name: true for red.
func suite(t *testing.T, h Harness, f fault) map[string]bool {
	red := map[string]bool{}
	note := func(name string, failed bool) { red[name] = failed }
	_, transactional := h.New(t).(store.Transactional)
	for _, c := range cases() {
		if !c.tx.runs(transactional) {
			continue
		}
		r := trial{Harness: h, testCase: c}
		if f.storage != nil {
			r.New = func(tb testing.TB) store.Storage {
				b := &broken{Storage: h.New(tb)}
				f.storage(b)
				return b
			}
		}
		if f.store != nil {
			r.wrap = func(s face) face {
				c := &careless{face: s}
				f.store(c)
				return c
			}
		}
		record(t, c.name, note, func(rec *recorder) { r.run(rec, rec.sub) })
	}
	return red
}

var overMemory = Harness{Name: "memory", New: func(testing.TB) store.Storage { return memory.New() }}

// TestFaults checks that each fault turns exactly those cases red that stand in testdata/faults.txt, and that every
// case is turned red by some fault.
func TestFaults(t *testing.T) {
	whole := suite(t, overMemory, fault{})
	for name, failed := range whole {
		assert.False(t, failed, "%s is red without a fault", name)
	}

	golden := "testdata/faults.txt"
	want, err := os.ReadFile(golden)
	if !*update {
		require.NoError(t, err)
	}
	sections := map[string]string{}
	var mu sync.Mutex
	seen := map[string]bool{}
	t.Run("each", func(t *testing.T) {
		for _, f := range faults() {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				began := time.Now()
				red := suite(t, overMemory, f)
				t.Logf("took %v", time.Since(began).Round(time.Millisecond))
				maps.DeleteFunc(red, func(_ string, failed bool) bool { return !failed })
				names := slices.Sorted(maps.Keys(red))
				require.NotEmpty(t, names, "no case notices: %s", f.what)
				text := f.name + ": " + f.what + "\n  " + strings.Join(names, "\n  ") + "\n"
				if !*update {
					assert.Equal(t, section(string(want), f.name), text)
				}
				mu.Lock()
				defer mu.Unlock()
				sections[f.name] = text
				maps.Copy(seen, red)
			})
		}
	})
	if *update {
		var all []string
		for _, f := range faults() {
			all = append(all, sections[f.name])
		}
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, []byte(strings.Join(all, "\n")), 0o644))
	}
	for name := range whole {
		assert.True(t, seen[name], "no fault turns %s red", name)
	}
}

// section returns a fault's section of the golden file.
func section(golden, name string) string {
	for s := range strings.SplitSeq(golden, "\n\n") {
		if strings.HasPrefix(s, name+": ") {
			return strings.TrimRight(s, "\n") + "\n"
		}
	}
	return ""
}

func TestFaultNames(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range faults() {
		assert.False(t, seen[f.name], "two faults are called %s", f.name)
		seen[f.name] = true
		assert.NotEmpty(t, f.what)
		assert.True(t, (f.storage == nil) != (f.store == nil), "%s breaks one thing", f.name)
	}
}

func TestCaseNames(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range cases() {
		assert.False(t, seen[c.name], "two cases are called %s", c.name)
		seen[c.name] = true
		assert.NotEmpty(t, c.why, c.name)
	}
}
