package aggregate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/aggregate"
)

type (
	deposited struct{ Cents int64 }
	withdrawn struct{ Cents int64 }
	// Account is what a stream of deposits and withdrawals comes to.
	Account struct{ Cents, Events int64 }
)

var errNotCovered = errors.New("not covered")

func fold(a Account, value any) (Account, error) {
	a.Events++
	switch v := value.(type) {
	case deposited:
		a.Cents += v.Cents
	case withdrawn:
		a.Cents -= v.Cents
	default:
		return a, fmt.Errorf("a %T in an account", value)
	}
	return a, nil
}

func withdraw(cents int64) func(Account) ([]store.Event, error) {
	return func(a Account) ([]store.Event, error) {
		if a.Cents < cents {
			return nil, errNotCovered
		}
		return []store.Event{{Data: withdrawn{cents}}}, nil
	}
}

func deposit(cents int64) func(Account) ([]store.Event, error) {
	return func(Account) ([]store.Event, error) { return []store.Event{{Data: deposited{cents}}}, nil }
}

func open(t *testing.T) *store.Store {
	types := serializer.NewTypes()
	serializer.Register[deposited](types, "deposited")
	serializer.Register[withdrawn](types, "withdrawn")
	es := store.New(memory.New(), &store.Options{Serializer: serializer.JSON(types), HardDelete: true})
	t.Cleanup(func() { require.NoError(t, es.Close()) })
	return es
}

func TestDo(t *testing.T) {
	t.Parallel()
	accounts := aggregate.New(open(t), &aggregate.Options[Account]{Fold: fold})
	_, err := accounts.Do(t.Context(), "a", withdraw(1))
	require.ErrorIs(t, err, errNotCovered)
	state, err := accounts.Load(t.Context(), "a")
	require.NoError(t, err)
	assert.Zero(t, state, "nothing was written")
	_, err = accounts.Do(t.Context(), "a", deposit(10))
	require.NoError(t, err)
	res, err := accounts.Do(t.Context(), "a", withdraw(4))
	require.NoError(t, err)
	assert.EqualValues(t, 2, res.Last)
	state, err = accounts.Load(t.Context(), "a")
	require.NoError(t, err)
	assert.Equal(t, aggregate.State[Account]{Value: Account{6, 2}, Version: 2}, state)
	res, err = accounts.Do(t.Context(), "a", func(Account) ([]store.Event, error) { return nil, nil })
	require.NoError(t, err)
	assert.Equal(t, store.AppendResult{Stream: "a", First: 3, Last: 2}, res, "no decision, no events")
}

// TestContention: everyone decides on what is true when it appends, whoever comes between.
func TestContention(t *testing.T) {
	t.Parallel()
	accounts := aggregate.New(open(t), &aggregate.Options[Account]{Fold: fold, Tries: 1000, Type: "account", SnapshotEvery: 3})
	_, err := accounts.Do(t.Context(), "a", deposit(25))
	require.NoError(t, err)
	var wg sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	for range 8 {
		wg.Go(func() {
			for range 5 {
				_, err := accounts.Do(t.Context(), "a", withdraw(1))
				if errors.Is(err, errNotCovered) {
					mu.Lock()
					refused++
					mu.Unlock()
					continue
				}
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
	state, err := accounts.Load(t.Context(), "a")
	require.NoError(t, err)
	assert.Equal(t, Account{0, 26}, state.Value)
	assert.Equal(t, 15, refused)
	assert.GreaterOrEqual(t, state.Snapshot, int64(20), "a snapshot every three events")
}

func TestConflictInTheEnd(t *testing.T) {
	t.Parallel()
	es := open(t)
	accounts := aggregate.New(es, &aggregate.Options[Account]{Fold: fold, Tries: 3})
	tries := 0
	_, err := accounts.Do(t.Context(), "a", func(Account) ([]store.Event, error) {
		tries++
		_, err := es.Append(t.Context(), "a", store.Any, store.Event{Data: deposited{1}}) // somebody is always first
		return []store.Event{{Data: deposited{5}}}, err
	})
	require.ErrorIs(t, err, store.ErrWrongExpectedVersion)
	assert.Equal(t, 3, tries)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = accounts.Do(ctx, "a", deposit(1))
	require.ErrorIs(t, err, context.Canceled)
}

func TestSnapshots(t *testing.T) {
	t.Parallel()
	es := open(t)
	accounts := aggregate.New(es, &aggregate.Options[Account]{Fold: fold, Type: "account/1", SnapshotEvery: 2})
	for range 4 {
		_, err := accounts.Do(t.Context(), "a", deposit(1))
		require.NoError(t, err)
	}
	s, err := es.ReadSnapshot(t.Context(), "a")
	require.NoError(t, err)
	assert.EqualValues(t, 4, s.Version)
	var metadata json.RawMessage
	require.NoError(t, s.DecodeMetadata(&metadata))
	// What the snapshot says is believed.
	believed := store.Snapshot{SourceID: "a", Version: 4, Type: "account/1", Data: Account{100, 4}, Metadata: metadata}
	require.NoError(t, es.RecordSnapshot(t.Context(), believed))
	state, err := accounts.Load(t.Context(), "a")
	require.NoError(t, err)
	assert.Equal(t, aggregate.State[Account]{Value: Account{100, 4}, Version: 4, Snapshot: 4}, state)
	// Unless it is of another version of the program, or does not decode.
	for _, bad := range []store.Snapshot{{Type: "account/2", Data: Account{100, 4}}, {Type: "account/1", Data: "text"}} {
		bad.SourceID, bad.Version, bad.Metadata = "a", 4, metadata
		require.NoError(t, es.RecordSnapshot(t.Context(), bad))
		state, err = accounts.Load(t.Context(), "a")
		require.NoError(t, err)
		assert.Equal(t, aggregate.State[Account]{Value: Account{4, 4}, Version: 4}, state)
	}
	// Or is of a stream that is no more, also when another has come as far.
	require.NoError(t, es.RecordSnapshot(t.Context(), believed))
	require.NoError(t, es.Delete(t.Context(), "a", store.Any, store.HardDelete))
	state, err = accounts.Load(t.Context(), "a")
	require.NoError(t, err)
	assert.Zero(t, state)
	for n := range int64(6) {
		_, err = es.Append(t.Context(), "a", store.Any, store.Event{Data: deposited{7}})
		require.NoError(t, err)
		state, err = accounts.Load(t.Context(), "a")
		require.NoError(t, err)
		assert.Equal(t, Account{7 * (n + 1), n + 1}, state.Value)
	}
}

// A stream may end with a link to an event that is gone: its version is not the number of the last event.
func TestEndThatIsGone(t *testing.T) {
	t.Parallel()
	es := open(t)
	accounts := aggregate.New(es, &aggregate.Options[Account]{Fold: fold, Type: "account", SnapshotEvery: 1})
	link := func(to string) {
		t.Helper()
		_, err := es.Append(t.Context(), "gone", store.NoStream, store.Event{Data: deposited{1}})
		require.NoError(t, err)
		page, err := es.Page(t.Context(), "gone", nil)
		require.NoError(t, err)
		_, err = es.Link(t.Context(), to, store.Any, store.IDs(page...)...)
		require.NoError(t, err)
		require.NoError(t, es.Delete(t.Context(), "gone", store.Any, store.HardDelete))
	}
	_, err := accounts.Do(t.Context(), "a", deposit(10))
	require.NoError(t, err)
	link("a")
	state, err := accounts.Load(t.Context(), "a")
	require.NoError(t, err)
	assert.Equal(t, aggregate.State[Account]{Value: Account{10, 1}, Version: 2, Snapshot: 1}, state)
	assert.Equal(t, store.Version(2), state.Expected())
	tries := 0
	res, err := accounts.Do(t.Context(), "a", func(Account) ([]store.Event, error) {
		tries++
		return []store.Event{{Data: deposited{5}}}, nil
	})
	require.NoError(t, err)
	assert.Equal(t, []int64{3, 1}, []int64{res.Last, int64(tries)})
	link("a")
	// A snapshot of a stream that ends so counts, too.
	_, err = accounts.Do(t.Context(), "a", deposit(1))
	require.NoError(t, err)
	link("a")
	require.NoError(t, es.DeleteSnapshot(t.Context(), "a"))
	recording := aggregate.New(es, &aggregate.Options[Account]{Fold: fold, Type: "account", SnapshotEvery: 1})
	_, err = recording.Do(t.Context(), "a", deposit(1))
	require.NoError(t, err)
	state, err = recording.Load(t.Context(), "a")
	require.NoError(t, err)
	assert.Equal(t, aggregate.State[Account]{Value: Account{17, 4}, Version: 7, Snapshot: 7}, state)
	// Nothing is left of this one.
	link("b")
	state, err = accounts.Load(t.Context(), "b")
	require.NoError(t, err)
	assert.Equal(t, aggregate.State[Account]{Version: 1}, state)
	res, err = accounts.Do(t.Context(), "b", deposit(1))
	require.NoError(t, err)
	assert.EqualValues(t, 2, res.Last)
	assert.Equal(t, store.NoStream, aggregate.State[Account]{}.Expected())
}

// A stream may be deleted and created again while it is loaded: what is decided on is never of both.
func TestReplacedWhileLoaded(t *testing.T) {
	t.Parallel()
	es := open(t)
	fill := func(n int, cents int64) {
		t.Helper()
		var list []store.Event
		for range n {
			list = append(list, store.Event{Data: deposited{cents}})
		}
		_, err := es.Append(t.Context(), "a", store.Any, list...)
		require.NoError(t, err)
	}
	fill(3*store.DefaultPageSize, 1)
	replaced := 0
	accounts := aggregate.New(es, &aggregate.Options[Account]{Fold: func(a Account, v any) (Account, error) {
		if replaced == 0 {
			replaced++
			require.NoError(t, es.Delete(t.Context(), "a", store.Any, store.HardDelete))
			fill(3*store.DefaultPageSize+1, 100)
		}
		return fold(a, v)
	}})
	state, err := accounts.Load(t.Context(), "a")
	require.NoError(t, err)
	n := int64(3*store.DefaultPageSize + 1)
	assert.Equal(t, aggregate.State[Account]{Value: Account{100 * n, n}, Version: n}, state)
	replaced = 0
	res, err := accounts.Do(t.Context(), "a", func(a Account) ([]store.Event, error) {
		return []store.Event{{Data: withdrawn{a.Cents}}}, nil
	})
	require.NoError(t, err)
	assert.Equal(t, n+1, res.Last)
}

func TestWhatCanNotBeFolded(t *testing.T) {
	t.Parallel()
	es := open(t)
	_, err := es.Append(t.Context(), "a", store.NoStream, store.Event{Data: deposited{1}}, store.Event{Type: "unheard.of", Data: 1})
	require.NoError(t, err)
	_, err = aggregate.New(es, &aggregate.Options[Account]{Fold: fold}).Load(t.Context(), "a")
	require.ErrorIs(t, err, store.ErrUnknownType)
	assert.ErrorContains(t, err, `event 2 of "a"`)
	state, err := aggregate.New(es, &aggregate.Options[Account]{Fold: fold, Unknown: func(store.Recorded) error { return nil }}).Load(t.Context(), "a")
	require.NoError(t, err)
	assert.Equal(t, aggregate.State[Account]{Value: Account{1, 1}, Version: 2}, state)
	assert.Panics(t, func() { aggregate.New(es, &aggregate.Options[Account]{}) })
}

func TestLoadAt(t *testing.T) {
	for name, every := range map[string]int64{"without snapshots": 0, "with snapshots": 4} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, es := t.Context(), open(t)
			accounts := aggregate.New(es, &aggregate.Options[Account]{Fold: fold, Type: "account/1", SnapshotEvery: every})
			var positions []int64
			for i := range int64(10) {
				_, err := accounts.Do(ctx, "a", deposit(i+1))
				require.NoError(t, err)
				_, err = accounts.Do(ctx, "b", deposit(100))
				require.NoError(t, err)
				head, err := es.Head(ctx)
				require.NoError(t, err)
				positions = append(positions, head)
			}
			for version := range int64(12) {
				state, err := accounts.LoadAt(ctx, "a", version)
				require.NoError(t, err)
				there := min(version, 10)
				assert.Equal(t, Account{Cents: there * (there + 1) / 2, Events: there}, state.Value, "at version %d", version)
				assert.Equal(t, there, state.Version)
				assert.LessOrEqual(t, state.Snapshot, version)
			}
			for i, position := range positions {
				at := int64(i + 1)
				state, err := accounts.LoadAtPosition(ctx, "a", position)
				require.NoError(t, err)
				assert.Equal(t, at, state.Version)
				state, err = accounts.LoadAtPosition(ctx, "b", position-1)
				require.NoError(t, err)
				assert.Equal(t, Account{Cents: 100 * (at - 1), Events: at - 1}, state.Value)
			}
			state, err := accounts.LoadAt(ctx, "a", 5)
			require.NoError(t, err)
			_, err = es.Append(ctx, "a", state.Expected(), store.Event{Data: deposited{1}})
			require.ErrorIs(t, err, store.ErrWrongExpectedVersion)
		})
	}
}

// TestLoadAtGaps: versions of links whose events are gone are passed over, and the state covers them.
func TestLoadAtGaps(t *testing.T) {
	t.Parallel()
	ctx, es := t.Context(), open(t)
	accounts := aggregate.New(es, &aggregate.Options[Account]{Fold: fold})
	gone, err := es.Append(ctx, "gone", store.NoStream, store.Event{Data: deposited{7}}, store.Event{Data: deposited{7}})
	require.NoError(t, err)
	_, err = es.Append(ctx, "a", store.NoStream, store.Event{Data: deposited{1}})
	require.NoError(t, err)
	_, err = es.Link(ctx, "a", store.Any, gone.IDs...)
	require.NoError(t, err)
	_, err = es.Append(ctx, "a", store.Any, store.Event{Data: deposited{2}})
	require.NoError(t, err)
	require.NoError(t, es.Delete(ctx, "gone", store.Any, store.HardDelete))
	for version, cents := range []int64{0, 1, 1, 1, 3, 3} {
		state, err := accounts.LoadAt(ctx, "a", int64(version))
		require.NoError(t, err)
		assert.Equal(t, cents, state.Value.Cents, "at version %d", version)
		assert.Equal(t, int64(min(version, 4)), state.Version)
	}
}

func TestLoadAtErrors(t *testing.T) {
	t.Parallel()
	ctx, es := t.Context(), open(t)
	accounts := aggregate.New(es, &aggregate.Options[Account]{Fold: fold})
	_, err := accounts.LoadAt(ctx, "a", -1)
	require.ErrorIs(t, err, store.ErrInvalid)
	_, err = accounts.LoadAtPosition(ctx, "a", -1)
	require.ErrorIs(t, err, store.ErrInvalid)
	state, err := accounts.LoadAt(ctx, "a", 7)
	require.NoError(t, err)
	assert.Zero(t, state)
	state, err = accounts.LoadAtPosition(ctx, "a", 7)
	require.NoError(t, err)
	assert.Zero(t, state)
}
