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
	"github.com/eventstore-go/eventstore/internal/longtest"
	"github.com/eventstore-go/eventstore/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fault is one broken promise, built on top of a backend that keeps them all. It breaks the storage, its transactions,
// or what the Store does around it.
type fault struct {
	name    string
	what    string
	storage func(b *broken)
	tx      func(b *brokenTx)
	store   func(c *careless)
}

// faults returns all faults on top of memory.
func faults() []fault {
	return slices.Concat(expectedFaults, retryFaults, eventFaults, readFaults, pinnedFaults, orderFaults, linkFaults, deleteFaults, undeleteFaults, streamsFaults, snapshotFaults, storeFaults,
		leaseFaults, filterFaults, bytesFaults, appendAllFaults, positionFaults, chooseFaults)
}

// breaks returns the trial with the fault built in.
func (f fault) breaks(r trial) trial {
	sound := r.New
	r.New = func(tb testing.TB) store.Storage {
		s := sound(tb)
		switch {
		case f.tx != nil:
			b := &brokenTx{broken: newBroken(s), real: s.(store.Transactional)}
			f.tx(b)
			return b
		case f.storage != nil:
			b := newBroken(s)
			f.storage(b)
			return b
		}
		return s
	}
	if f.store != nil {
		r.wrap = func(s face) face {
			c := &careless{face: s}
			f.store(c)
			return c
		}
	}
	return r
}

// suite is a number of cases over a backend that passes them, and the golden file of its faults.
type suite struct {
	golden string
	over   Harness
	cases  []testCase
	faults []fault
}

// run runs cases, as broken by the fault, and returns the outcome by name: true for red.
func (s suite) run(t *testing.T, f fault, cases []testCase) map[string]bool {
	red := map[string]bool{}
	note := func(name string, failed bool) { red[name] = failed }
	impatient := 3 * time.Second
	if f.name == "" {
		impatient = 0
	}
	for _, c := range cases {
		r := f.breaks(trial{Harness: s.over, testCase: c, largest: 7_500, impatient: impatient})
		record(t, c.name, note, func(rec *recorder) { r.run(rec, rec.sub) })
	}
	return red
}

// check checks that each fault turns those cases red that stand in the golden file, and in the long tests no other, and that every
// case is turned red by some fault.
func (s suite) check(t *testing.T) {
	whole := s.run(t, fault{}, s.cases)
	for name, failed := range whole {
		assert.False(t, failed, "%s is red without a fault", name)
	}
	want, err := os.ReadFile(s.golden)
	if !*update {
		require.NoError(t, err)
	}
	sections := map[string]string{}
	var mu sync.Mutex
	seen := map[string]bool{}
	t.Run("each", func(t *testing.T) {
		for _, f := range s.faults {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				tried := s.cases
				if !longtest.On() && !*update {
					tried = redCases(s.cases, section(string(want), f.name))
				}
				red := s.run(t, f, tried)
				for range 5 { // who of two comes first may be the same each time, by chance
					again := slices.DeleteFunc(redCases(s.cases, section(string(want), f.name)), func(c testCase) bool {
						return !strings.HasPrefix(c.name, "concurrent/") || red[c.name]
					})
					for name, failed := range s.run(t, f, again) {
						red[name] = red[name] || failed
					}
				}
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
		for _, f := range s.faults {
			all = append(all, sections[f.name])
		}
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(s.golden, []byte(strings.Join(all, "\n")), 0o644))
	}
	for name := range whole {
		assert.True(t, seen[name], "no fault turns %s red", name)
	}
}

// redCases returns the cases that a section of a golden file names, or subcases of.
func redCases(cases []testCase, section string) []testCase {
	return slices.DeleteFunc(slices.Clone(cases), func(c testCase) bool {
		return !strings.Contains(section, "\n  "+c.name+"\n") && !strings.Contains(section, "\n  "+c.name+"/")
	})
}

// section returns a fault's section of a golden file.
func section(golden, name string) string {
	for s := range strings.SplitSeq(golden, "\n\n") {
		if strings.HasPrefix(s, name+": ") {
			return strings.TrimRight(s, "\n") + "\n"
		}
	}
	return ""
}

func isProject(name string) bool {
	return strings.HasPrefix(name, "project/") || strings.HasPrefix(name, "advance/")
}

// casesFor returns the cases with a use of transactions that wanted takes. Those of subscriptions have their own test.
func casesFor(wanted func(u txUse) bool) []testCase {
	return slices.DeleteFunc(cases(), func(c testCase) bool { return !wanted(c.tx) || isSub(c.name) || isProject(c.name) })
}

// TestFaults tests all cases that need no transactions.
func TestFaults(t *testing.T) {
	t.Parallel()
	suite{
		golden: "testdata/faults.txt",
		over:   Harness{Name: "memory", New: func(testing.TB) store.Storage { return memory.New() }},
		cases:  casesFor(func(u txUse) bool { return u.runs(false) }),
		faults: faults(),
	}.check(t)
}

func TestFaultNames(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range slices.Concat(faults(), txFaults, pinnedTxFaults, appendAllTxFaults, openTxFaults, pinnedOpenTxFaults, appendAllOpenTxFaults, lateChoiceFaults) {
		assert.False(t, seen[f.name], "two faults are called %s", f.name)
		seen[f.name] = true
		assert.NotEmpty(t, f.what)
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
