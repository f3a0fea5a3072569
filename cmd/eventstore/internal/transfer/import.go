package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
)

// Errors of an import, for errors.Is.
var (
	// ErrNotEmpty is returned where positions can't be kept, since the store has events already. Set Merge to give the events
	// new positions behind those.
	ErrNotEmpty = errors.New("the store is not empty")
	// ErrTaken is returned where the store has a stream of the name already. See StreamsTakenError.
	ErrTaken = errors.New("the store has streams of the same names already")
	// ErrTakenID is returned where the store has an event of the same id already.
	ErrTakenID = errors.New("the store has an event of the same id already")
	// ErrOther is returned while the import of another archive is under way, or was interrupted.
	ErrOther = errors.New("another import into this store is not finished")
	// ErrMeanwhile is returned where somebody has appended to an empty store while it was imported into.
	ErrMeanwhile = errors.New("somebody has appended to the store meanwhile, at a position that the archive needs")
	// ErrNotJSON is returned for data that is no JSON where the columns are of type jsonb or json.
	ErrNotJSON = errors.New("the store's columns take JSON only")
)

// StreamsTakenError names streams, up to ten, that are there already. It is ErrTaken.
type StreamsTakenError struct{ Streams []string }

func (e *StreamsTakenError) Error() string {
	return (&ChosenError{ErrTaken.Error(), e.Streams}).Error()
}

// Is matches ErrTaken.
func (e *StreamsTakenError) Is(target error) bool { return target == ErrTaken }

// phase is a part of an import. Each begins when the one before is done.
type phase string

const (
	streams       phase = "streams"
	events        phase = "events"
	gone          phase = "gone"
	links         phase = "links"
	snapshots     phase = "snapshots"
	subscriptions phase = "subscriptions"
	finish        phase = "finish"
)

// state is how far an import has come, as the database keeps it.
type state struct {
	archiveID uuid.UUID
	merge     bool
	base      int64 // what ids of streams are raised by
	phase     phase
	done      int64 // records of the phase
	position  int64 // of the last event, in the archive
}

// target is a store that is imported into. All calls but the first two write records, and where that leaves the import, in
// one transaction; they return ErrOther if the import is not where was says.
type target interface {
	// begin returns the state of the import under way, or begins one of the archive.
	// Streams of the archive have or had ids up to highest, which new streams don't get.
	begin(ctx context.Context, h archive.Header, highest int64, merge bool) (state, error)
	// streams, events and so on write a batch.
	streams(ctx context.Context, was, now state, batch []*archive.Stream) error
	events(ctx context.Context, was, now state, batch []*archive.Event) error
	gone(ctx context.Context, was, now state, batch []*archive.Gone) error
	links(ctx context.Context, was, now state, batch []*archive.Link) error
	snapshots(ctx context.Context, was, now state, batch []*archive.Snapshot) error
	subscriptions(ctx context.Context, was, now state, batch []*archive.Subscription) error
	// finish ends the import.
	finish(ctx context.Context, was state, h archive.Header) error
	// close gives back what the target has taken.
	close() error
}

// ImportOptions of [Import].
type ImportOptions struct {
	// Merge imports into a store that is not empty: events get new positions behind those that are there, in the same order.
	// Streams of the same name are refused.
	Merge bool
	// Batch is how many events a transaction writes. Default: 10,000.
	Batch    int
	Progress Progress // may be nil
}

// Import writes the archive in a file into a store, whose tables must be there. The archive is read once, and its checksum
// compared, before anything is written. If the import is interrupted, the same call goes on where it was.
//
// Into an empty store everything is written as it was: positions, versions, ids, times. Subscriptions and snapshots that are
// there already stay as they are.
func Import(ctx context.Context, d *database.Database, path string, o ImportOptions) (end archive.End, err error) {
	if o.Batch <= 0 {
		o.Batch = 10_000
	}
	if err := d.Check(ctx); err != nil {
		return end, err
	}
	header, highest, end, err := verify(ctx, path)
	if err != nil {
		return end, err
	}
	t, err := newTarget(ctx, d)
	if err != nil {
		return end, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	s, err := t.begin(ctx, header, highest, o.Merge)
	if err != nil {
		return end, err
	}
	i := importer{target: t, path: path, header: header, end: end, options: o, state: s}
	return end, i.run(ctx)
}

// verify reads an archive to its end. It returns the highest id that a stream has or had, too.
func verify(ctx context.Context, path string) (h archive.Header, highest int64, end archive.End, err error) {
	r, err := archive.Open(path)
	if err != nil {
		return h, 0, end, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	highest = r.Header.LastStream
	for {
		record, err := r.Next()
		if err != nil {
			return h, 0, end, fmt.Errorf("%s: %w", path, err)
		}
		s, ok := record.(*archive.Stream)
		if !ok {
			r.Unread(record)
			break
		}
		highest = max(highest, s.ID)
	}
	if end, err = r.Verify(ctx); err != nil {
		return h, 0, end, fmt.Errorf("%s: %w", path, err)
	}
	return r.Header, highest, end, nil
}

type importer struct {
	target  target
	path    string
	header  archive.Header
	end     archive.End
	options ImportOptions
	state   state
}

// run reads the archive twice: links, snapshots and checkpoints come before the events in it, but are written after them,
// so that nobody is led to events that are not there yet.
func (i *importer) run(ctx context.Context) error {
	for _, part := range [][]phase{{streams, events, gone}, {links, snapshots, subscriptions}} {
		if err := i.read(ctx, part); err != nil {
			return err
		}
	}
	return i.target.finish(ctx, i.state, i.header)
}

// order is that of the phases.
var order = map[phase]int{streams: 0, events: 1, gone: 2, links: 3, snapshots: 4, subscriptions: 5, finish: 6}

// kinds are the records of a phase, in the words of an archive.
var kinds = map[phase]string{streams: "stream", events: "event", gone: "gone", links: "link", snapshots: "snapshot", subscriptions: "subscription"}

// read reads the archive once, for some phases.
func (i *importer) read(ctx context.Context, phases []phase) (err error) {
	if order[i.state.phase] > order[phases[len(phases)-1]] {
		return nil
	}
	r, err := archive.Open(i.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if r.Header.ID != i.header.ID {
		return fmt.Errorf("%s is another archive than a moment ago", i.path)
	}
	for _, p := range []phase{streams, links, snapshots, subscriptions, events, gone} { // as they come
		mine := false
		for _, wanted := range phases {
			mine = mine || p == wanted
		}
		if !mine || order[i.state.phase] > order[p] {
			if p == events && phases[0] == links {
				return nil // all that is wanted has come
			}
			if err := r.Pass(kinds[p]); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			continue
		}
		if err := i.phase(ctx, r, p); err != nil {
			return err
		}
	}
	return nil
}

// phase writes the records of a phase, which come next.
func (i *importer) phase(ctx context.Context, r *archive.Reader, p phase) error {
	if err := r.Skip(kinds[p], i.state.done); err != nil {
		return err
	}
	next := map[phase]phase{streams: events, events: gone, gone: links, links: snapshots, snapshots: subscriptions, subscriptions: finish}[p]
	switch p {
	case streams:
		return write(ctx, i, r, next, i.target.streams, nil)
	case events:
		return write(ctx, i, r, next, i.target.events, func(e *archive.Event) (int64, bool) { return e.Position, e.Index == 0 })
	case gone:
		return write(ctx, i, r, next, i.target.gone, nil)
	case links:
		return write(ctx, i, r, next, i.target.links, nil)
	case snapshots:
		return write(ctx, i, r, next, i.target.snapshots, nil)
	default:
		return write(ctx, i, r, next, i.target.subscriptions, nil)
	}
}

// write writes records of type T in batches, until another comes, which stays unread. about, unless it is nil, returns a record's
// position and whether a batch may begin with it. While a batch is written the next one is read.
func write[T any](ctx context.Context, i *importer, r *archive.Reader, next phase,
	to func(ctx context.Context, was, now state, batch []*T) error, about func(*T) (int64, bool),
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	full, read := make(chan []*T, 1), make(chan error, 1)
	go func() {
		defer close(full)
		read <- batches(ctx, r, i.options.Batch, about, full)
	}()
	var failed error
	for batch := range full {
		if failed != nil {
			continue
		}
		now := i.state
		now.done += int64(len(batch))
		if about != nil {
			now.position, _ = about(batch[len(batch)-1])
		}
		if failed = to(ctx, i.state, now, batch); failed != nil {
			cancel()
			continue
		}
		i.state = now
		if i.options.Progress != nil && about != nil {
			i.options.Progress(now.done, i.end.Events)
		}
	}
	if err := <-read; failed == nil {
		failed = err
	}
	if failed != nil {
		return failed
	}
	was := i.state
	i.state.phase, i.state.done = next, 0
	return to(ctx, was, i.state, nil)
}

// batches sends records of type T in batches, until another comes, which stays unread.
func batches[T any](ctx context.Context, r *archive.Reader, size int, about func(*T) (int64, bool), to chan<- []*T) error {
	var batch []*T
	send := func() error {
		if len(batch) == 0 {
			return nil
		}
		select {
		case to <- batch:
			batch = make([]*T, 0, size)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for {
		record, err := r.Next()
		if err != nil {
			return err
		}
		t, ok := record.(*T)
		if !ok {
			r.Unread(record)
			return send()
		}
		if len(batch) >= size {
			begins := true
			if about != nil {
				_, begins = about(t)
			}
			if begins {
				if err := send(); err != nil {
					return err
				}
			}
		}
		batch = append(batch, t)
	}
}
