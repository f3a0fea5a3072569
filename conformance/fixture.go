package conformance

import (
	"bufio"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

// face is what cases use of a [store.Store].
type face interface {
	Append(ctx context.Context, stream string, expected store.Expected, events ...store.Event) (store.AppendResult, error)
	AppendAll(ctx context.Context, appends ...store.StreamAppend) ([]store.AppendResult, error)
	Link(ctx context.Context, stream string, expected store.Expected, ids ...uuid.UUID) (store.AppendResult, error)
	Delete(ctx context.Context, stream string, expected store.Expected, kind store.DeleteKind) error
	Undelete(ctx context.Context, stream string, expected store.Expected) error
	Stream(ctx context.Context, stream string, opts *store.ReadOptions) iter.Seq2[store.Recorded, error]
	All(ctx context.Context, opts *store.ReadOptions) iter.Seq2[store.Recorded, error]
	Page(ctx context.Context, stream string, opts *store.ReadOptions) ([]store.Recorded, error)
	Event(ctx context.Context, id uuid.UUID) (store.Recorded, error)
	Head(ctx context.Context) (int64, error)
	PositionAt(ctx context.Context, t time.Time) (int64, error)
	VersionAt(ctx context.Context, stream string, position int64) (int64, error)
	StreamInfo(ctx context.Context, stream string) (store.StreamInfo, error)
	Streams(ctx context.Context, opts *store.ListOptions) (store.StreamPage, error)
	Types(ctx context.Context) ([]store.TypeInfo, error)
	ReadSnapshot(ctx context.Context, sourceID string) (store.RecordedSnapshot, error)
	RecordSnapshot(ctx context.Context, snapshot store.Snapshot) error
	DeleteSnapshot(ctx context.Context, sourceID string) error
	InTx(ctx context.Context, f func(tx *sql.Tx) error) error
	Committed()
	Close() error
}

var _ face = (*store.Store)(nil)

// fixture is what a case works with: an empty store, and short ways to use it. Methods without an error fail the case.
type fixture struct {
	testing.TB
	trial
	ctx     context.Context // ends at the case's deadline
	storage store.Storage
	store   *store.Store // hard deletes enabled
	es      face         // the same
	runSub  runner
	subs    *int
}

// face returns s as cases should use it.
func (f *fixture) face(s *store.Store) face {
	checked := withIDs{s, f.TB}
	if f.wrap != nil {
		return f.wrap(checked)
	}
	return checked
}

// withIDs checks that each result has the ids of its events, and takes them out, so that cases compare places only.
type withIDs struct {
	face
	tb testing.TB
}

func (s withIDs) Append(ctx context.Context, stream string, expected store.Expected, events ...store.Event) (store.AppendResult, error) {
	res, err := s.face.Append(ctx, stream, expected, events...)
	return s.checked(res, err, idsOf(events)), err
}

func (s withIDs) AppendAll(ctx context.Context, appends ...store.StreamAppend) ([]store.AppendResult, error) {
	results, err := s.face.AppendAll(ctx, appends...)
	for i := range results {
		results[i] = s.checked(results[i], err, idsOf(appends[i].Events))
	}
	return results, err
}

func (s withIDs) Link(ctx context.Context, stream string, expected store.Expected, ids ...uuid.UUID) (store.AppendResult, error) {
	res, err := s.face.Link(ctx, stream, expected, ids...)
	return s.checked(res, err, ids), err
}

// checked returns res without ids. Those that were drawn, zero in given, must be set.
func (s withIDs) checked(res store.AppendResult, err error, given []uuid.UUID) store.AppendResult {
	if err == nil && assert.Len(s.tb, res.IDs, len(given), "ids of a result") {
		for i, id := range res.IDs {
			if given[i] == uuid.Nil {
				assert.NotEqual(s.tb, uuid.Nil, id, "the id of an event that was given none")
			} else {
				assert.Equal(s.tb, given[i], id, "the id of an event")
			}
		}
	}
	res.IDs = nil
	return res
}

// open returns another Store on the same storage.
func (f *fixture) open(opts *store.Options) face {
	es := store.New(f.storage, opts)
	f.Cleanup(func() { _ = es.Close() })
	return f.face(es)
}

// sub runs a subcase over the same store.
func (f *fixture) sub(name string, run func(f *fixture)) {
	f.Helper()
	*f.subs++
	f.runSub(name, func(tb testing.TB, sub runner) {
		g := *f
		g.TB, g.runSub, g.subs = tb, sub, new(int)
		g.name = f.name + "/" + name
		if g.excused(tb, g.name) {
			return
		}
		explain(tb, f.why)
		run(&g)
		if *g.subs == 0 {
			f.counts.add(1, 0)
		}
	})
}

// append appends events and returns where they went.
func (f *fixture) append(stream string, expected store.Expected, events ...store.Event) store.AppendResult {
	f.Helper()
	res, err := f.es.Append(f.ctx, stream, expected, events...)
	require.NoError(f, err, "append to %q", stream)
	return res
}

// fill appends n events to a stream, whatever its version, and returns them as recorded.
func (f *fixture) fill(stream string, n int) []store.Recorded {
	f.Helper()
	res := f.append(stream, store.Any, events(n)...)
	return f.read(stream, &store.ReadOptions{From: res.First, Limit: n})
}

func (f *fixture) link(stream string, expected store.Expected, events ...store.Recorded) store.AppendResult {
	f.Helper()
	res, err := f.es.Link(f.ctx, stream, expected, store.IDs(events...)...)
	require.NoError(f, err, "link to %q", stream)
	return res
}

// delete deletes a stream. Before a hard delete it lets the events have their positions, which could be unused otherwise.
func (f *fixture) delete(stream string, kind store.DeleteKind) {
	f.Helper()
	f.head()
	require.NoError(f, f.es.Delete(f.ctx, stream, store.Any, kind), "delete %q", stream)
}

// read reads a stream or [store.All] to the end.
func (f *fixture) read(stream string, opts *store.ReadOptions) []store.Recorded {
	f.Helper()
	events, err := collect(f.TB, f.es.Stream(f.ctx, stream, f.paged(opts)))
	require.NoError(f, err, "read %q", stream)
	return events
}

// all reads all events in the global order.
func (f *fixture) all() []store.Recorded {
	f.Helper()
	return f.read(store.All, nil)
}

func (f *fixture) head() int64 {
	f.Helper()
	head, err := f.es.Head(f.ctx)
	require.NoError(f, err, "head")
	return head
}

func (f *fixture) info(stream string) store.StreamInfo {
	f.Helper()
	info, err := f.es.StreamInfo(f.ctx, stream)
	require.NoError(f, err, "info of %q", stream)
	return info
}

// paged fills in the harness's page size.
func (f *fixture) paged(opts *store.ReadOptions) *store.ReadOptions {
	var o store.ReadOptions
	if opts != nil {
		o = *opts
	}
	if o.PageSize == 0 {
		o.PageSize = f.PageSize
	}
	return &o
}

// inOrder reports whether the last event goes on in the direction of the first two.
func inOrder(events []store.Recorded) bool {
	n := len(events)
	if n < 2 {
		return true
	}
	up := events[1].Number > events[0].Number
	return events[n-1].Number != events[n-2].Number && up == (events[n-1].Number > events[n-2].Number)
}

// collect returns what a sequence yields and checks its form: numbers rise or fall, without repetition; an error comes
// once, last, with a zero event.
func collect(tb testing.TB, seq iter.Seq2[store.Recorded, error]) ([]store.Recorded, error) {
	tb.Helper()
	var events []store.Recorded
	var failed error
	for e, err := range seq {
		require.NoError(tb, failed, "the sequence went on after an error")
		if failed = err; err != nil {
			require.Equal(tb, store.Recorded{}, e, "an event came together with an error")
			continue
		}
		events = append(events, e)
		if !inOrder(events) {
			require.FailNow(tb, "a read is out of order", "number %d follows %d", e.Number, events[len(events)-2].Number)
		}
	}
	return events, failed
}

// events returns n events to be appended, without ids.
func events(n int) []store.Event {
	list := make([]store.Event, n)
	for i := range list {
		list[i] = store.Event{Type: "counted", Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i+1))}
	}
	return list
}

// named returns n events with ids.
func named(n int) []store.Event {
	list := events(n)
	random := bufio.NewReader(rand.Reader) // a system call for each id would take longer than the appends
	for i := range list {
		list[i].ID = uuid.Must(uuid.NewRandomFromReader(random))
	}
	return list
}

// same fails unless two long lists are equal, and then says where they differ.
func same[T comparable](f *fixture, want, got []T, what string) {
	f.Helper()
	if slices.Equal(want, got) {
		return
	}
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	require.Fail(f, what+" differ", "want %d, got %d; first difference at index %d:\nwant %v\ngot  %v",
		len(want), len(got), at, want[at:min(at+5, len(want))], got[at:min(at+5, len(got))])
}

// sorted ranges over a map in the order of its keys, so that a case takes the same course every time.
func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}

func idsOf(events []store.Event) []uuid.UUID {
	ids := make([]uuid.UUID, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return ids
}

func numbers(events []store.Recorded) []int64 {
	list := make([]int64, len(events))
	for i, e := range events {
		list[i] = e.Number
	}
	return list
}

// span returns from, from+1, ... to; or downwards, if to is less.
func span(from, to int64) []int64 {
	step := int64(1)
	if to < from {
		step = -1
	}
	list := []int64{from}
	for n := from; n != to; {
		n += step
		list = append(list, n)
	}
	return list
}

// origins returns "stream@version" for each event.
func origins(events []store.Recorded) []string {
	list := make([]string, len(events))
	for i, e := range events {
		list[i] = fmt.Sprintf("%s@%d", e.Stream, e.Version)
	}
	return list
}
