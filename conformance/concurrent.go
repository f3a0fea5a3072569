package conformance

import (
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

const callers = 8

var concurrentCases = []testCase{
	{name: "concurrent/append-any", tx: manyTx, run: concurrentAppendAny, why: "any makes no claim, so it never conflicts, also when the stream is new"},
	{name: "concurrent/append-stream-exists", tx: manyTx, run: concurrentAppendExists, why: "stream-exists asks for no version, so it never conflicts on one"},
	{name: "concurrent/append-no-stream", tx: manyTx, run: concurrentAppendNoStream, why: "P1: exactly one of many creates the stream"},
	{name: "concurrent/append-version", tx: manyTx, run: concurrentAppendVersion, why: "P1: of appends with the same expected version exactly one wins"},
	{name: "concurrent/append-many-streams", tx: manyTx, run: concurrentManyStreams, why: "P2, P3, P5: while many processes write, versions and positions have no gaps, streams are in order and appends adjacent"},
	{name: "concurrent/append-retry", tx: manyTx, run: concurrentRetry, why: "a retry that overtakes the first attempt still writes once"},
	{name: "concurrent/append-same-id", tx: manyTx, run: concurrentSameID, why: "an id names one event: of several appends with the same id, one wins"},
	{name: "concurrent/link-any", tx: manyTx, run: concurrentLinkAny, why: "any makes no claim, so it never conflicts, also when the stream is new"},
	{name: "concurrent/link-version", tx: manyTx, run: concurrentLinkVersion, why: "P1: of links with the same expected version exactly one wins"},
	{name: "concurrent/link-same-event", tx: manyTx, run: concurrentLinkSame, why: "an event can be in a stream once: of several links of the same event, one wins"},
	{name: "concurrent/link-and-hard-delete", tx: manyTx, run: concurrentLinkDelete, why: "a link never points to an event that is gone"},
	{name: "concurrent/delete", tx: manyTx, run: concurrentDelete, why: "exactly one of many deletes a stream"},
	{name: "concurrent/delete-version", tx: manyTx, run: concurrentDeleteVersion, why: "a delete that expects a version and an append that expects the same: exactly one wins"},
	{name: "concurrent/soft-delete-and-append", tx: manyTx, run: concurrentSoftDelete, why: "no append lands in a stream that is deleted"},
	{name: "concurrent/hard-delete-and-append", tx: manyTx, run: concurrentHardDelete, why: "an append that loses to a hard delete leaves no events without a stream"},
	{name: "concurrent/never-miss", tx: manyTx, run: concurrentNeverMiss, deadline: longDeadline, why: "P4: once a reader has seen a position, no event at or below it can appear later"},
	{name: "concurrent/read-own-append", tx: manyTx, run: concurrentOwnAppend, why: "a reader of $all sees what was committed before it read, while others write"},
}

// together calls f for 0 to n-1 at the same time and returns the errors.
func together(n int, call func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = call(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// oneWins checks that exactly one call succeeded and the others failed as they should.
func (f *fixture) oneWins(errs []error, is error) {
	f.Helper()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		assert.ErrorIs(f, err, is)
	}
	assert.Equal(f, 1, won, "exactly one wins")
}

// allWin checks that every call succeeded.
func (f *fixture) allWin(errs []error) {
	f.Helper()
	assert.NoError(f, errors.Join(errs...))
}

// noGaps checks that a stream, or $all, has the numbers 1 to n.
func (f *fixture) noGaps(stream string, n int64) {
	f.Helper()
	assert.Equal(f, span(1, n), numbers(f.read(stream, &store.ReadOptions{PageSize: max(f.PageSize, 7)})), "numbers of %q", stream)
}

// each runs a race several times over streams of their own, since a race may end well by luck.
func (f *fixture) each(race func(stream string)) {
	f.Helper()
	for i := range 5 {
		race(fmt.Sprint("s", i))
	}
}

// duel runs two calls at the same time, over and over, with one or the other first to be started. It makes each pair
// of calls for a stream of its own and gives their errors to judge.
func (f *fixture) duel(pair func(stream string) (a, b func() error), judge func(stream string, a, b error)) {
	f.Helper()
	for round := range 12 {
		stream := fmt.Sprint("s", round)
		a, b := pair(stream)
		calls := []func() error{a, b}
		errs := together(2, func(i int) error { return calls[(i+round)%2]() })
		judge(stream, errs[round%2], errs[(round+1)%2])
	}
}

func (f *fixture) appendErr(stream string, e store.Expected, n int) error {
	_, err := f.es.Append(f.ctx, stream, e, events(n)...)
	return err
}

func concurrentAppendAny(f *fixture) {
	f.each(func(stream string) {
		f.allWin(together(callers, func(int) error { return f.appendErr(stream, store.Any, 2) }))
		f.allWin(together(callers, func(int) error { return f.appendErr(stream, store.Any, 1) }))
		f.noGaps(stream, 3*callers)
	})
	f.noGaps(store.All, 5*3*callers)
}

func concurrentAppendExists(f *fixture) {
	f.each(func(stream string) {
		f.fill(stream, 1)
		f.allWin(together(callers, func(int) error { return f.appendErr(stream, store.StreamExists, 2) }))
		f.noGaps(stream, 2*callers+1)
	})
}

func concurrentAppendNoStream(f *fixture) {
	f.each(func(stream string) {
		f.oneWins(together(callers, func(int) error { return f.appendErr(stream, store.NoStream, 2) }), store.ErrStreamExists)
		f.noGaps(stream, 2)
	})
	f.noGaps(store.All, 10)
}

func concurrentAppendVersion(f *fixture) {
	f.each(func(stream string) {
		for version := range int64(4) {
			f.oneWins(together(callers, func(int) error { return f.appendErr(stream, store.Version(version), 1) }), store.ErrWrongExpectedVersion)
		}
		f.noGaps(stream, 4)
	})
	f.noGaps(store.All, 20)
}

// orderly checks what $all owes whatever was written: positions without gaps, each stream in order, appends adjacent.
// The correlation of an event names its append.
func (f *fixture) orderly(total int64) {
	f.Helper()
	got := f.read(store.All, nil)
	require.Equal(f, span(1, total), numbers(got))
	version := map[string]int64{}
	done := map[uuid.UUID]bool{}
	for i, e := range got {
		require.Equal(f, version[e.Stream]+1, e.Version, "%q at position %d", e.Stream, e.Number)
		version[e.Stream] = e.Version
		if i == 0 || got[i-1].CorrelationID != e.CorrelationID {
			require.False(f, done[e.CorrelationID], "position %d: the events of one append are not adjacent", e.Number)
			done[e.CorrelationID] = true
		}
	}
}

// marked returns events of one append, told by their correlation.
func marked(n int) []store.Event {
	list := events(n)
	id := uuid.New()
	for i := range list {
		list[i].CorrelationID = id
	}
	return list
}

func concurrentManyStreams(f *fixture) {
	const rounds = 10
	f.allWin(together(callers, func(i int) error {
		for r := range rounds {
			own := fmt.Sprint("own", i)
			if _, err := f.es.Append(f.ctx, own, store.Version(int64(3*r)), marked(3)...); err != nil {
				return err
			}
			if _, err := f.es.Append(f.ctx, fmt.Sprint("shared", r%3), store.Any, marked(2)...); err != nil {
				return err
			}
		}
		return nil
	}))
	f.orderly(5 * rounds * callers)
	assert.Equal(f, int64(5*rounds*callers), f.head())
}

func concurrentRetry(f *fixture) {
	f.each(func(stream string) {
		list := named(3)
		results := make([]store.AppendResult, callers)
		f.allWin(together(callers, func(i int) (err error) {
			results[i], err = f.es.Append(f.ctx, stream, store.NoStream, list...)
			return err
		}))
		first := 0
		for _, res := range results {
			if !res.Retried {
				first++
			}
			assert.Equal(f, store.AppendResult{Stream: stream, First: 1, Last: 3, Retried: res.Retried}, res)
		}
		assert.Equal(f, 1, first, "one wrote")
		f.noGaps(stream, 3)
	})
	f.noGaps(store.All, 15)
}

func concurrentSameID(f *fixture) {
	f.each(func(stream string) {
		list := named(2)
		f.oneWins(together(callers, func(i int) error {
			_, err := f.es.Append(f.ctx, fmt.Sprint(stream, "/", i), store.Any, list...)
			return err
		}), store.ErrDuplicateEvent)
	})
	f.noGaps(store.All, 10)
}

func concurrentNeverMiss(f *fixture) {
	const rounds, writers = 15, 4
	stop := make(chan struct{})
	var readers sync.WaitGroup
	seen := make([][]store.Recorded, 2)
	failed := make([]error, len(seen))
	for r := range seen {
		readers.Go(func() {
			for last := false; ; {
				after := int64(len(seen[r]))
				for e, err := range f.es.All(f.ctx, &store.ReadOptions{After: after, PageSize: 5 + 95*r}) {
					if err != nil {
						failed[r] = err
						return
					}
					seen[r] = append(seen[r], e)
					if e.Number != int64(len(seen[r])) {
						failed[r] = fmt.Errorf("position %d came where %d was due", e.Number, len(seen[r]))
						return
					}
				}
				if last {
					return
				}
				select {
				case <-stop:
					last = true
				default:
				}
			}
		})
	}
	errs := together(writers, func(i int) error {
		for r := range rounds {
			if _, err := f.es.Append(f.ctx, fmt.Sprint("s", (i+r)%3), store.Any, marked(1+r%4)...); err != nil {
				return err
			}
		}
		return nil
	})
	close(stop)
	readers.Wait()
	f.allWin(errs)
	f.allWin(failed)
	want := f.all()
	for r := range seen {
		assert.Equal(f, store.IDs(want...), store.IDs(seen[r]...), "reader %d", r)
	}
	f.orderly(int64(len(want)))
	assert.Len(f, want, writers*(15/4*10+1+2+3))
}

func concurrentOwnAppend(f *fixture) {
	f.allWin(together(4, func(i int) error {
		for range 10 {
			list := named(2)
			if _, err := f.es.Append(f.ctx, fmt.Sprint("s", i), store.Any, list...); err != nil {
				return err
			}
			found := 0
			for e, err := range f.es.All(f.ctx, nil) {
				if err != nil {
					return err
				}
				if e.ID == list[0].ID || e.ID == list[1].ID {
					found++
				}
			}
			if found != 2 {
				return fmt.Errorf("%d of 2 events of an append that was done are in $all", found)
			}
		}
		return nil
	}))
}
