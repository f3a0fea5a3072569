package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
)

// ErrMoved is returned where the source got events while the store was to be made independent of it. See MovedError.
var ErrMoved = errors.New("the source is still written to")

// ErrBehind is returned where the source does not have what was read from it already.
var ErrBehind = errors.New("the source is behind the store")

// MovedError says how many positions the source has got behind what was read. It is ErrMoved.
type MovedError struct {
	Read, Head int64
	Ended      bool // the store does not follow its source any more: what is missing stays so
}

func (e *MovedError) Error() string {
	text := "stop all its writers and finish again"
	if e.Ended {
		text = "these events are missing: clear the store away and import again, with all writers stopped"
	}
	return fmt.Sprintf("%v: position %d was read, and it is at %d, %d further; %s", ErrMoved, e.Read, e.Head, e.Head-e.Read, text)
}

// Is matches ErrMoved.
func (e *MovedError) Is(target error) bool { return target == ErrMoved }

// FollowOptions of [Follow].
type FollowOptions struct {
	// Forever goes on until the context ends, which is no error.
	Forever bool
	// Finish writes the checkpoints and makes the store independent of the source.
	Finish   bool
	Batch    int           // events that a transaction writes. Default: 10,000
	Interval time.Duration // between looks for what is new. Default: 500 ms
	Progress Progress      // of a look; may be nil
	// Behind is called before each look for what is new, and behind it, unless it is nil: with where the store is, and the source.
	Behind func(position, head int64)
	// Resumed is called, unless it is nil, if the store follows the source already.
	Resumed func(Unfinished)
	// After is called behind each transaction, unless it is nil.
	After func()
}

// Followed is what [Follow] has written.
type Followed struct {
	Identity archive.Identity `json:"identity"` // of the source
	Head     int64            `json:"head"`     // of the source, up to which all was read
	archive.Counts
	Removed  int64            `json:"events_removed,omitempty"` // that the source has lost without their streams
	LeftOut  map[string]int64 `json:"left_out,omitempty"`
	Finished bool             `json:"finished"`
}

// Follow writes into a store what is new in its source: all in the first call, which needs an empty store, and then what came since the
// last one: events, links, deletes and snapshots. Everything is where it is in the source, also positions; those of events that were
// hard deleted stay unused. Until Finish the library refuses to write into the store, as in any unfinished import; [Abandon] clears it
// away.
//
// Where the store is lies in its database alone, and every transaction moves it together with what it writes. So Follow may be
// interrupted, or killed, at any moment.
func Follow(ctx context.Context, d *database.Database, from archive.Followed, o FollowOptions) (result Followed, err error) {
	if o.Batch <= 0 {
		o.Batch = 10_000
	}
	if o.Interval <= 0 {
		o.Interval = 500 * time.Millisecond
	}
	if err := d.Check(ctx); err != nil {
		return result, err
	}
	t, err := newTarget(ctx, d)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	f := &follower{d: d, base: base{d: d, queries: queriesOf(d)}, target: t, from: from, options: o}
	defer func() { result = f.summary() }()
	if err := f.begin(ctx); err != nil {
		return result, err
	}
	if o.Forever {
		err = f.forever(ctx)
		if ctx.Err() != nil {
			err = nil
		}
		return result, err
	}
	if err := f.look(ctx, f.options.Finish); err != nil || !o.Finish {
		return result, err
	}
	return result, f.ended(ctx)
}

type follower struct {
	base
	d       *database.Database
	target  target
	from    archive.Followed
	options FollowOptions
	state   state
	result  Followed
	swept   time.Time     // when the last sweep ended
	sweep   time.Duration // how long it took
}

func (f *follower) summary() Followed {
	r := f.result
	r.Identity, r.Head, r.LeftOut = f.state.header.Identity, f.state.header.Head, f.from.LeftOut()
	return r
}

// begin finds out how far the store is, or makes an empty store follow the source.
func (f *follower) begin(ctx context.Context) error {
	identity, err := f.from.Identity(ctx)
	if err != nil {
		return err
	}
	s, found, err := f.target.progress(ctx)
	if err != nil {
		return err
	}
	if !found {
		return f.couple(ctx, identity)
	}
	if err := f.mine(ctx, s, identity); err != nil {
		return err
	}
	earlier := *s.header.Following
	rename, skip, err := f.from.Prepare(ctx, earlier)
	if err != nil {
		return err
	}
	for _, old := range slices.Sorted(maps.Keys(rename)) {
		if _, known := earlier.Rename[old]; known {
			continue
		}
		if there, err := f.known(ctx, f.d, nil, []string{old}); err != nil {
			return err
		} else if len(there) > 0 {
			return &TakenError{ErrTaken, "a stream that was imported keeps its name", []string{old}}
		}
	}
	f.state = s
	if err := f.anchor(ctx); err != nil {
		return err
	}
	if f.options.Resumed != nil {
		f.options.Resumed(s.unfinished())
	}
	if maps.Equal(rename, earlier.Rename) && slices.Equal(skip, earlier.Skip) {
		return nil
	}
	return f.note(ctx, rename, skip)
}

// mine checks that the import under way follows this source, which has lost nothing since.
func (f *follower) mine(ctx context.Context, s state, identity archive.Identity) error {
	other := &OtherImportError{Unfinished: s.unfinished(), Reason: "given is " + identity.String()}
	switch {
	case s.phase == abandon:
		other.Reason = "it is being cleared away"
		return other
	case s.header.Following == nil:
		return other
	}
	p := archive.Progress{Header: s.header}
	var err error
	if p.Position, p.Event, err = f.last(ctx); err != nil {
		return err
	}
	if p.Position == p.Header.Head {
		p.Header.HeadEvent = p.Event
	}
	var source *OtherSourceError
	if err = same(ctx, f.from, "", identity, p); errors.As(err, &source) {
		if source.Reason != "" {
			other.Reason += ": " + source.Reason
		}
		return other
	}
	return err
}

// last is the last event that the store has.
func (f *follower) last(ctx context.Context) (position int64, event uuid.UUID, err error) {
	err = f.d.QueryRowContext(ctx, f.queries.Get("follow_last")).Scan(&position, id{&event})
	if noRows(err) {
		err = nil
	}
	return position, event, err
}

// anchor tells the source which event it must still have.
func (f *follower) anchor(ctx context.Context) error {
	position, event, err := f.last(ctx)
	if err == nil {
		f.from.Known(position, event)
	}
	return err
}

// couple makes an empty store follow the source. Before it writes, it checks all that can be refused.
func (f *follower) couple(ctx context.Context, identity archive.Identity) error {
	rename, skip, err := f.from.Prepare(ctx, archive.Following{})
	if err != nil {
		return err
	}
	if err := f.survey(ctx); err != nil {
		return err
	}
	s := state{phase: follow, header: archive.Header{
		ID: uuid.New(), Source: "commanded", Identity: identity, ExportedAt: time.Now().UTC().Truncate(time.Microsecond),
		Following: &archive.Following{Rename: rename, Skip: skip},
	}}
	f.state, err = f.target.begin(ctx, s, func(context.Context, func([]*archive.Stream) error) error { return nil })
	if err == nil {
		f.did()
	}
	return err
}

// survey reads all data of a source, if the store's columns may refuse some.
func (f *follower) survey(ctx context.Context) error {
	t, source := f.target.dataType(), dataType(f.from.DataType())
	if t == anyBytes || source == jsonb || source == t {
		return nil
	}
	head, err := f.from.Head(ctx)
	if err != nil {
		return err
	}
	err = f.from.Events(ctx, 0, head, func(e *archive.Event) error {
		return fitsData(t, eventName(e), e.ContentType, e.Data, e.Metadata)
	})
	if err != nil {
		return err
	}
	return f.from.Moment(ctx, func(ctx context.Context, m archive.Moment) error {
		return m.Snapshots(ctx, archive.Mark{}, func(s *archive.Snapshot) error {
			return fitsData(t, fmt.Sprintf("the snapshot of %q", s.SourceID), s.ContentType, s.Data, s.Metadata)
		})
	})
}

// note keeps names that have been given, before anything is written under them.
func (f *follower) note(ctx context.Context, rename map[string]string, skip []string) error {
	h := f.state.header
	following := *h.Following
	following.Rename, following.Skip = rename, skip
	h.Following = &following
	return f.write(ctx, func(_ tx, now *state) error {
		now.header = h
		return nil
	})
}

// write runs f in a transaction of the import, which also writes the state that f leaves. That counts transactions: of two processes,
// one is refused.
func (f *follower) write(ctx context.Context, do func(tx tx, now *state) error) error {
	now := f.state
	now.done++
	err := f.target.within(ctx, f.state, now, func(tx tx) error {
		if err := do(tx, &now); err != nil {
			return err
		}
		text, err := json.Marshal(now.header)
		if err != nil {
			return err
		}
		if err := tx.exec(ctx, "follow_mark", string(text), now.highest); err != nil {
			return err
		}
		if now.position == f.state.position {
			return nil
		}
		return tx.write(ctx, state{phase: now.phase, done: now.done}, now)
	})
	if err == nil {
		f.state = now
		f.did()
	}
	return err
}

func (f *follower) did() {
	if f.options.After != nil {
		f.options.After()
	}
}

// forever looks for what is new until the context ends. What takes a look at all streams is done only so often that it takes a tenth of
// the time.
func (f *follower) forever(ctx context.Context) error {
	ticker := time.NewTicker(f.options.Interval)
	defer ticker.Stop()
	for {
		if err := f.look(ctx, false); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look takes what is new: events in pages, and when few are left, what came since in one moment with everything else.
func (f *follower) look(ctx context.Context, finish bool) error {
	for {
		head, err := f.from.Head(ctx)
		if err != nil {
			return err
		}
		f.behind(head)
		if head-f.state.position <= int64(f.options.Batch) {
			break
		}
		before := f.state.position
		if err := f.events(ctx, func(do func(*archive.Event) error) error { return f.from.Events(ctx, before, head, do) }, head); err != nil {
			return err
		}
		if f.state.position == before {
			break // nothing but holes
		}
	}
	if f.options.Forever && time.Since(f.swept) < 10*f.sweep {
		return f.quick(ctx)
	}
	begun := time.Now()
	if err := f.moment(ctx, finish); err != nil {
		return err
	}
	f.swept, f.sweep = time.Now(), time.Since(begun)
	return nil
}

// quick takes events alone.
func (f *follower) quick(ctx context.Context) error {
	head, err := f.from.Head(ctx)
	if err != nil {
		return err
	}
	after := f.state.position
	return f.events(ctx, func(do func(*archive.Event) error) error { return f.from.Events(ctx, after, head, do) }, head)
}

func (f *follower) behind(head int64) {
	if f.options.Behind != nil {
		f.options.Behind(max(f.state.position, f.state.header.Head), head) // the last positions may have no events here
	}
}

// ended compares the source's head with what was read, when the store does not follow it any more.
func (f *follower) ended(ctx context.Context) error {
	head, err := f.from.Head(ctx)
	if err == nil && head < f.state.header.Head {
		err = behindError(head, f.state.header.Head)
	}
	if err == nil && head > f.state.header.Head {
		err = &MovedError{Read: f.state.header.Head, Head: head, Ended: true}
	}
	return err
}
