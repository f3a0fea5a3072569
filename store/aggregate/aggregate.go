// Package aggregate keeps the state of one stream: it folds the stream's events into a state, from a snapshot if there is
// one, lets a command decide on new events, and appends them if nobody else has appended meanwhile.
//
//	orders := aggregate.New(es, &aggregate.Options[Order]{Type: "order", Fold: Order.With, SnapshotEvery: 100})
//	result, err := orders.Do(ctx, "order-17", func(order Order) ([]store.Event, error) {
//		if order.Paid {
//			return nil, ErrPaidAlready
//		}
//		return []store.Event{{Data: OrderPaid{}}}, nil
//	})
//
// It is optional, and uses nothing of the Store but what is public.
package aggregate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// Options of a [Repository]. The zero value of each field but Fold is its default.
type Options[S any] struct {
	// Fold returns what a state becomes with a value that an event of the stream stands for. It must not keep or change
	// what an earlier state holds: a snapshot is taken of it while others fold.
	Fold func(state S, value any) (S, error)
	// Unknown is called for an event whose type is not registered. Default: it is an error, since the state could be wrong.
	Unknown func(e store.Recorded) error
	// Type names the state in snapshots; its version is to change when Fold or S do, so that old snapshots are not used:
	// "order/2". Default: no snapshots are read or recorded.
	Type string
	// SnapshotEvery is after how many events a snapshot is recorded. Default: never.
	SnapshotEvery int64
	// Tries is how often Do decides anew, on the new state, when another append came first. Default: 10.
	Tries int
}

// Repository loads and changes the states of streams. It is safe for concurrent use.
type Repository[S any] struct {
	store *store.Store
	opts  Options[S]
}

// New returns a repository on es, which may be bound to a transaction. It panics if there is no Fold.
func New[S any](es *store.Store, opts *Options[S]) *Repository[S] {
	if opts == nil || opts.Fold == nil {
		panic("aggregate: Fold is not set")
	}
	r := &Repository[S]{store: es, opts: *opts}
	if r.opts.Tries <= 0 {
		r.opts.Tries = 10
	}
	return r
}

// State is a state, and where it comes from.
type State[S any] struct {
	Value S
	// Version is that of the last event in it, 0 if the stream does not exist.
	Version int64
	// Snapshot is the version of the snapshot that it was made from, 0 if none was.
	Snapshot int64
}

// origin is the metadata of a snapshot: the id of the last event in it, by which a stream that was deleted and created
// again is known.
type origin struct {
	Last uuid.UUID `json:"last" msgpack:"last"`
}

// Load returns the state of a stream; that of a stream that does not exist is the zero S. Errors are those of
// [store.Store.Stream], [store.DecodeError], and Fold's.
func (r *Repository[S]) Load(ctx context.Context, stream string) (State[S], error) {
	state, _, err := r.load(ctx, stream)
	return state, err
}

// load also returns the id of the last event.
func (r *Repository[S]) load(ctx context.Context, stream string) (State[S], uuid.UUID, error) {
	state, last, err := r.fromSnapshot(ctx, stream)
	if err != nil {
		return State[S]{}, uuid.Nil, err
	}
	if state.Version > 0 {
		state, last, err = r.replay(ctx, stream, state, last)
		if !errors.Is(err, errOtherStream) {
			return state, last, err
		}
	}
	return r.replay(ctx, stream, State[S]{}, uuid.Nil)
}

// fromSnapshot returns what the snapshot of a stream holds, if there is one that can be used.
func (r *Repository[S]) fromSnapshot(ctx context.Context, stream string) (state State[S], last uuid.UUID, err error) {
	if r.opts.Type == "" {
		return state, last, nil
	}
	s, err := r.store.ReadSnapshot(ctx, stream)
	switch {
	case errors.Is(err, store.ErrSnapshotNotFound) || err == nil && s.Type != r.opts.Type:
		return state, last, nil
	case err != nil:
		return state, last, err
	}
	var from origin
	if s.Decode(&state.Value) != nil || s.DecodeMetadata(&from) != nil {
		return State[S]{}, uuid.Nil, nil // the events tell as well
	}
	state.Version, state.Snapshot = s.Version, s.Version
	return state, from.Last, nil
}

// errOtherStream says that a snapshot is not of the stream that is there.
var errOtherStream = errors.New("another stream")

// replay folds the events behind a state into it. The event that the state ends with must have the id last.
func (r *Repository[S]) replay(ctx context.Context, stream string, state State[S], last uuid.UUID) (State[S], uuid.UUID, error) {
	known := state.Version == 0
	for e, err := range r.store.Stream(ctx, stream, &store.ReadOptions{From: max(state.Version, 1)}) {
		if errors.Is(err, store.ErrStreamNotFound) {
			return State[S]{}, uuid.Nil, nil
		}
		if err != nil {
			return State[S]{}, uuid.Nil, err
		}
		if !known {
			if e.Number != state.Version || e.ID != last {
				return State[S]{}, uuid.Nil, errOtherStream
			}
			known = true
			continue
		}
		if state.Value, err = r.fold(state.Value, e); err != nil {
			return State[S]{}, uuid.Nil, fmt.Errorf("aggregate: event %d of %q: %w", e.Number, stream, err)
		}
		state.Version, last = e.Number, e.ID
	}
	if !known {
		return State[S]{}, uuid.Nil, errOtherStream
	}
	return state, last, nil
}

// fold folds the values of an event into a state.
func (r *Repository[S]) fold(state S, e store.Recorded) (S, error) {
	values, err := e.Values()
	if errors.Is(err, store.ErrUnknownType) && r.opts.Unknown != nil {
		err = r.opts.Unknown(e)
	}
	for i := 0; i < len(values) && err == nil; i++ {
		state, err = r.opts.Fold(state, values[i])
	}
	return state, err
}

// Do loads the state of a stream, has decide make events of it, and appends them if the stream is still as it was
// loaded; otherwise it decides again, on the new state. decide may return no events, and its error ends Do. Errors are
// also those of Load and [store.Store.Append]: [store.ErrWrongExpectedVersion] when others came first Tries times.
//
// decide may be called several times, so it must do nothing but decide.
func (r *Repository[S]) Do(ctx context.Context, stream string, decide func(state S) ([]store.Event, error)) (store.AppendResult, error) {
	tries := 0
	return backoff.Retry(ctx, func() (store.AppendResult, error) {
		res, err := r.once(ctx, stream, decide)
		if tries++; err != nil && (!errors.Is(err, store.ErrWrongExpectedVersion) || tries >= r.opts.Tries) {
			return res, backoff.Permanent(err)
		}
		return res, err
	}, backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: firstWait, MaxInterval: longestWait, Multiplier: 2, RandomizationFactor: 1,
	}), backoff.WithMaxElapsedTime(0))
}

func (r *Repository[S]) once(ctx context.Context, stream string, decide func(state S) ([]store.Event, error)) (store.AppendResult, error) {
	state, err := r.Load(ctx, stream)
	if err != nil {
		return store.AppendResult{}, err
	}
	events, err := decide(state.Value)
	if err != nil {
		return store.AppendResult{}, err
	}
	if len(events) == 0 {
		return store.AppendResult{Stream: stream, First: state.Version + 1, Last: state.Version}, nil
	}
	expected := store.NoStream
	if state.Version > 0 {
		expected = store.Version(state.Version)
	}
	res, err := r.store.Append(ctx, stream, expected, events...)
	if err != nil {
		return res, err
	}
	if r.opts.Type != "" && r.opts.SnapshotEvery > 0 && res.Last-state.Snapshot >= r.opts.SnapshotEvery {
		r.snapshot(ctx, stream)
	}
	return res, nil
}

// snapshot records the state of a stream. What was appended counts, whether this succeeds or not: the next one tries again.
func (r *Repository[S]) snapshot(ctx context.Context, stream string) {
	state, last, err := r.load(ctx, stream)
	if err != nil {
		return
	}
	_ = r.store.RecordSnapshot(ctx, store.Snapshot{
		SourceID: stream, Version: state.Version, Type: r.opts.Type, Data: state.Value, Metadata: origin{last},
	})
}

// Waits between tries, so that those who contend for a stream do not meet again.
const (
	firstWait   = 2 * time.Millisecond
	longestWait = 100 * time.Millisecond
)
