package conformance

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/eventstore-go/eventstore/store"
)

// Harness is a backend under test.
type Harness struct {
	// Name is what the backend is called in the output, with whatever sets this run apart: "postgres/pgx/pool=1".
	Name string
	// New returns an empty storage that nobody else uses. It is called once or more for each case, possibly
	// concurrently, and cleans up by tb.Cleanup.
	New func(tb testing.TB) store.Storage
	// Begin begins the transactions that cases run in, as an application would that has its own handle on the
	// database. Default: the storage's BeginTx. Not used unless the storage is a [store.Transactional].
	Begin func(ctx context.Context, s store.Storage) (*sql.Tx, error)
	// PageSize is used for every read that doesn't choose its own. Default: the store's.
	PageSize int
	// Notifier returns the notifier of a Store with subscribers over a storage that New returned; such a Store then polls
	// seldom. Default: none, so that subscribers hear of other Stores' events by polling.
	Notifier func(tb testing.TB, s store.Storage) store.Notifier
	// NotInTx leaves out the runs of cases inside a caller's transaction: for a further harness of a backend that another
	// one runs in full.
	NotInTx bool
	// Only are the prefixes of the names of the cases to run, such as "sub/". Default: all cases.
	Only []string
	// Without is what the names of the cases begin with that are not run: for a further harness, too. Default: none.
	Without []string
	// Excused gives, by the name of a case or subcase, the reason why this backend need not pass it. A name that
	// starts with in-tx/ excuses only the run inside a caller's transaction.
	Excused map[string]string
}

// Run runs every case over the backend, in parallel.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.Name == "" {
		h.Name = t.Name()
	}
	counts := &tally{}
	t.Cleanup(func() { t.Log(counts.line(h.Name)) })
	_, transactional := h.New(t).(store.Transactional)
	checkExcuses(t, h)

	for _, c := range cases() {
		begins := func(prefix string) bool { return strings.HasPrefix(c.name, prefix) }
		if len(h.Only) > 0 && !slices.ContainsFunc(h.Only, begins) || slices.ContainsFunc(h.Without, begins) {
			continue
		}
		if !c.tx.runs(transactional) {
			counts.needTransactions(c.tx)
			continue
		}
		start(t, trial{Harness: h, testCase: c, counts: counts})
		if transactional && c.tx.runsInTx() && !h.NotInTx {
			start(t, trial{Harness: h, testCase: c, counts: counts, inTx: true})
		}
	}
}

// start runs a trial as a parallel subtest.
func start(t *testing.T, r trial) {
	t.Run(r.title(), func(t *testing.T) {
		t.Parallel()
		r.run(t, subtests(t))
	})
}

// subtests returns how subcases are run under t.
func subtests(t *testing.T) runner {
	return func(name string, run func(tb testing.TB, sub runner)) {
		t.Run(name, func(t *testing.T) { run(t, subtests(t)) })
	}
}

// checkExcuses fails if an excuse is for no case at all.
func checkExcuses(t *testing.T, h Harness) {
	t.Helper()
	for name, reason := range h.Excused {
		known := false
		for _, c := range cases() {
			bare := strings.TrimPrefix(name, inTxPrefix)
			known = known || bare == c.name || strings.HasPrefix(bare, c.name+"/")
		}
		if !known {
			t.Errorf("conformance: there is no case %q to be excused from", name)
		}
		if reason == "" {
			t.Errorf("conformance: the excuse from %q gives no reason", name)
		}
	}
}

// NeedTwoConnections returns the names of the cases that read or write beside an open transaction: what a pool of one
// can be excused from.
func NeedTwoConnections() []string { return casesWith(besideTx, writersBesideTx) }

// NeedTwoWriters returns the names of the cases that write beside an open transaction: what a database with one writer
// can be excused from.
func NeedTwoWriters() []string { return casesWith(writersBesideTx) }

func casesWith(uses ...txUse) []string {
	var names []string
	for _, c := range cases() {
		if slices.Contains(uses, c.tx) {
			names = append(names, c.name)
		}
	}
	return names
}

// Excuse returns an Excused map with one reason for many cases.
func Excuse(reason string, names ...string) map[string]string {
	excused := make(map[string]string, len(names))
	for _, name := range names {
		excused[name] = reason
	}
	return excused
}

// tally counts what was run. A case that has subcases counts as those.
type tally struct {
	mu sync.Mutex

	ran, excused, needTx int
}

func (t *tally) add(ran, excused int) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ran += ran
	t.excused += excused
}

func (t *tally) needTransactions(u txUse) {
	if u == onlyWithoutTx {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.needTx++
}

func (t *tally) line(name string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := fmt.Sprintf("conformance: %s: %d cases, %d excused", name, t.ran, t.excused)
	if t.needTx > 0 {
		line += fmt.Sprintf(" (%d more need transactions)", t.needTx)
	}
	return line
}
