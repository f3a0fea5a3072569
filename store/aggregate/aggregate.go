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
//
// # Forgotten events
//
// Where a serializer encrypts (package serializer/encryption), the data of a subject's events can't be read after Forget. Fold then gets
// a serializer.Forgotten in place of the event's value, which the usual type switch has no case for. Give it one, as what an event
// changed may count although its data is gone; or set Options.Forgotten, which makes such an event an error or leaves it out.
// Snapshots of the state hold what events said before they were forgotten: give the state an EventSubject, or delete them.
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
	// what an earlier state holds: a snapshot is taken of it while others fold. The value is a serializer.Forgotten if the event's data
	// is forgotten, unless Forgotten is set.
	Fold func(state S, value any) (S, error)
	// Unknown is called for an event whose type is not registered. Default: it is an error, since the state could be wrong.
	Unknown func(e store.Recorded) error
	// Forgotten is called, in place of Fold, for an event whose data is forgotten, and leaves it out by returning nil. Load and Do end
	// with its error: see [RefuseForgotten], [SkipForgotten]. Default: Fold is called with a serializer.Forgotten.
	Forgotten func(e store.Recorded) error
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
	// Version is the stream's version, 0 if the stream does not exist. It is above the number of the last event if the stream
	// ends with links whose events were hard deleted. Use Expected to append.
	Version int64
	// Snapshot is the version of the snapshot that it was made from, 0 if none was.
	Snapshot int64
}

// Expected returns the expected version of an append that is decided on the state: it fails if anything was appended to the
// stream since the load. Do uses it.
func (s State[S]) Expected() store.Expected { return store.Seen{Version: s.Version}.Expected() }

// origin is the metadata of a snapshot: the id and the number of the last event in it. They show whether the stream was
// deleted and created again since.
type origin struct {
	Last   uuid.UUID `json:"last" msgpack:"last"`
	Number int64     `json:"number,omitempty" msgpack:"number"` // 0: the snapshot's version
}

// Load returns the state of a stream; that of a stream that does not exist is the zero S. If the stream
// is hard deleted during the load, Load starts again. Errors are those of [store.Store.Stream], [store.DecodeError], and Fold's.
func (r *Repository[S]) Load(ctx context.Context, stream string) (State[S], error) {
	state, _, err := r.load(ctx, stream, store.End)
	return state, err
}

// LoadAt returns the state that a stream had at an earlier version: that of its events up to version. A version past the end of the stream
// is its end; version 0 is the zero S. It uses the snapshot if that is not newer than version, and records none. Errors are those of Load,
// and [store.ErrInvalid] if version is negative.
//
// The Version of the result is that up to which it covers the stream. So an append that expects it fails, unless the stream still ends
// there.
func (r *Repository[S]) LoadAt(ctx context.Context, stream string, version int64) (State[S], error) {
	switch {
	case version < 0:
		return State[S]{}, &store.InvalidError{Field: "version", Reason: fmt.Sprintf("%d is negative", version)}
	case version == 0:
		return State[S]{}, nil
	}
	state, _, err := r.load(ctx, stream, version)
	return state, err
}

// LoadAtPosition returns the state that a stream had when [store.All] ended at a position: LoadAt with the version that
// [store.Store.VersionAt] returns. For the state at a time, take the position from [store.Store.PositionAt]. A stream that does not exist
// has the zero S.
func (r *Repository[S]) LoadAtPosition(ctx context.Context, stream string, position int64) (State[S], error) {
	version, err := r.store.VersionAt(ctx, stream, position)
	if errors.Is(err, store.ErrStreamNotFound) {
		return State[S]{}, nil
	}
	if err != nil {
		return State[S]{}, err
	}
	return r.LoadAt(ctx, stream, version)
}

// load returns the state at version to, and its last event. It starts again if the stream is hard deleted during the load.
func (r *Repository[S]) load(ctx context.Context, stream string, to int64) (state State[S], last origin, err error) {
	for range r.opts.Tries {
		if state, last, err = r.loadOnce(ctx, stream, to); !errors.Is(err, store.ErrStreamReplaced) {
			break
		}
	}
	return state, last, err
}

func (r *Repository[S]) loadOnce(ctx context.Context, stream string, to int64) (State[S], origin, error) {
	state, last, err := r.fromSnapshot(ctx, stream)
	if err != nil {
		return State[S]{}, origin{}, err
	}
	if state.Version > 0 && state.Version <= to {
		state, last, err = r.replay(ctx, stream, state, last, to)
		if !errors.Is(err, errOtherStream) {
			return state, last, err
		}
	}
	return r.replay(ctx, stream, State[S]{}, origin{}, to)
}

// fromSnapshot returns what the snapshot of a stream holds, if there is one that can be used.
func (r *Repository[S]) fromSnapshot(ctx context.Context, stream string) (state State[S], last origin, err error) {
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
	if s.Decode(&state.Value) != nil || s.DecodeMetadata(&last) != nil {
		return State[S]{}, origin{}, nil // the events tell as well
	}
	if last.Number == 0 {
		last.Number = s.Version
	}
	state.Version, state.Snapshot = s.Version, s.Version
	return state, last, nil
}

// errOtherStream says that a snapshot is not of the stream that is there.
var errOtherStream = errors.New("another stream")

// replay folds the events behind a state into it, up to version to. The last event that went into the state must still be there.
func (r *Repository[S]) replay(ctx context.Context, stream string, state State[S], last origin, to int64) (State[S], origin, error) {
	known := state.Version == 0
	var seen store.Seen
	o := &store.ReadOptions{From: max(last.Number, 1), Seen: &seen}
	if to < store.End {
		o.Limit = int(to - o.From + 1) // versions have gaps, so that this may be too many
	}
	for e, err := range r.store.Stream(ctx, stream, o) {
		if errors.Is(err, store.ErrStreamNotFound) {
			return State[S]{}, origin{}, nil
		}
		if err != nil {
			return State[S]{}, origin{}, err
		}
		if e.Number > to {
			seen.Version = to
			break
		}
		if !known {
			if e.Number != last.Number || e.ID != last.Last {
				return State[S]{}, origin{}, errOtherStream
			}
			known = true
			continue
		}
		if state.Value, err = r.fold(state.Value, e); err != nil {
			return State[S]{}, origin{}, fmt.Errorf("aggregate: event %d of %q: %w", e.Number, stream, err)
		}
		last = origin{Last: e.ID, Number: e.Number}
	}
	if !known {
		return State[S]{}, origin{}, errOtherStream
	}
	state.Version = min(seen.Version, to)
	return state, last, nil
}

// fold folds the values of an event into a state.
func (r *Repository[S]) fold(state S, e store.Recorded) (S, error) {
	values, err := e.Values()
	if errors.Is(err, store.ErrUnknownType) && r.opts.Unknown != nil {
		err = r.opts.Unknown(e)
	}
	for i := 0; i < len(values) && err == nil; i++ {
		if gone, ok := values[i].(error); ok && r.opts.Forgotten != nil && errors.Is(gone, store.ErrForgotten) {
			err = r.opts.Forgotten(e)
			continue
		}
		state, err = r.opts.Fold(state, values[i])
	}
	return state, err
}

// RefuseForgotten is an [Options].Forgotten that makes a forgotten event an error, which is [store.ErrForgotten].
func RefuseForgotten(e store.Recorded) error {
	return fmt.Errorf("event %s of type %q can't be folded: %w", e.ID, e.Type, store.ErrForgotten)
}

// SkipForgotten is an [Options].Forgotten that leaves forgotten events out.
func SkipForgotten(store.Recorded) error { return nil }

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
	res, err := r.store.Append(ctx, stream, state.Expected(), events...)
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
	state, last, err := r.load(ctx, stream, store.End)
	if err != nil {
		return
	}
	_ = r.store.RecordSnapshot(ctx, store.Snapshot{
		SourceID: stream, Version: state.Version, Type: r.opts.Type, Data: state.Value, Metadata: last,
	})
}

// Waits between tries, so that those who contend for a stream do not meet again.
const (
	firstWait   = 2 * time.Millisecond
	longestWait = 100 * time.Millisecond
)
