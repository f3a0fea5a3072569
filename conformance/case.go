package conformance

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

const (
	defaultDeadline = 60 * time.Second
	longDeadline    = 4 * time.Minute
	inTxPrefix      = "in-tx/"
)

// testCase is one thing that a backend owes.
type testCase struct {
	name     string
	why      string // the promise it protects, printed on failure
	tx       txUse
	deadline time.Duration // of the whole case; 0 for defaultDeadline
	run      func(f *fixture)
}

// txUse says how a case goes with transactions.
type txUse int

const (
	oneTx           txUse = iota // run as it is, and again inside one caller's transaction
	manyTx                       // the same, with a transaction for each call: several callers, or cancelled calls
	noTx                         // run as it is only
	ownTx                        // needs transactions, and makes its own, one at a time
	besideTx                     // needs transactions, and other connections read while one is open, or write while one reads
	writersBesideTx              // the same, and other connections write
	onlyWithoutTx                // only for backends without transactions
)

func (u txUse) runs(transactional bool) bool {
	switch u {
	case ownTx, besideTx, writersBesideTx:
		return transactional
	case onlyWithoutTx:
		return !transactional
	}
	return true
}

func (u txUse) runsInTx() bool { return u == oneTx || u == manyTx }

// runner runs a subcase.
type runner func(name string, run func(tb testing.TB, sub runner))

// trial is one run of one case.
type trial struct {
	Harness
	testCase
	counts *tally
	inTx   bool

	// For the suite's own tests:

	wrap    func(face) face // breaks what a Store does; nil for nothing
	largest int             // events in the largest append; 0 for 20,000

	wrapSubs         func(s subFace, t *tap) subFace // breaks what a Store does for subscribers
	breakTap         func(t *tap)                    // breaks the storage under a party
	breakProjections func(t *projectionTap)          // breaks the storage under a process

	impatient time.Duration // how long to wait for what has to come; 0 for patience
}

// title is the name of the trial's test.
func (r trial) title() string {
	if r.inTx {
		return inTxPrefix + r.name
	}
	return r.name
}

// run runs the case, unless the backend is excused, in the goroutine of tb.
func (r trial) run(tb testing.TB, sub runner) {
	if r.excused(tb, r.name) {
		return
	}
	explain(tb, r.why)
	deadline := r.deadline
	if deadline == 0 {
		deadline = defaultDeadline
	}
	ctx, cancel := context.WithTimeout(tb.Context(), deadline)
	defer cancel()
	stuck := time.AfterFunc(deadline+30*time.Second, func() {
		panic(fmt.Sprintf("conformance: %s still runs half a minute after its deadline of %v", r.title(), deadline))
	})
	defer stuck.Stop()

	storage := r.New(tb)
	if r.inTx {
		storage = newInTx(tb, r, storage)
	}
	f := &fixture{TB: tb, ctx: ctx, trial: r, storage: storage, runSub: sub, subs: new(int)}
	f.store = r.newStore(tb, storage)
	f.es = f.face(f.store)
	r.testCase.run(f)
	if *f.subs == 0 {
		r.counts.add(1, 0)
	}
}

// newStore returns a Store to append with, which tells the harness's notifier what it commits.
func (r trial) newStore(tb testing.TB, storage store.Storage) *store.Store {
	opts := &store.Options{HardDelete: true, Logger: logger(tb)}
	if r.Notifier != nil {
		opts.Notifier = r.Notifier(tb, storage)
	}
	es := store.New(storage, opts)
	tb.Cleanup(func() { _ = es.Close() }) // it only ends what listens, or ticks for a replica
	return es
}

// excused skips the test if the harness excuses it from the case or subcase.
func (r trial) excused(tb testing.TB, name string) bool {
	reason, ok := r.Excused[name]
	if !ok && r.inTx {
		reason, ok = r.Excused[inTxPrefix+name]
	}
	if ok {
		r.counts.add(0, 1)
		tb.Skip("excused: " + reason)
	}
	return ok
}

// explain prints why a case matters, if it fails.
func explain(tb testing.TB, why string) {
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Log("why this matters: " + why)
		}
	})
}
