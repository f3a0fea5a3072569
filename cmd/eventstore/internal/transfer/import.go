package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
)

// ImportOptions of [Import].
type ImportOptions struct {
	// Merge imports into a store that is not empty: events get new positions behind those that are there, in the same order.
	// Streams of the same name are refused.
	Merge bool
	// Batch is how many events a transaction writes. Default: 10,000.
	Batch    int
	Progress Progress // may be nil
	// Resumed is called, unless it is nil, before an import that was interrupted goes on.
	Resumed func(Unfinished)

	after func() // called behind each transaction, unless it is nil
}

// Import writes the archive in a file into a store, whose tables must be there. The archive is read once, and all that can be
// refused is refused, before anything is written. If the import is interrupted, the same call goes on where it was; until it
// has ended the library refuses to write into the store: see [store.ErrImporting]. [Abandon] clears it away.
//
// Into an empty store everything is written as it was: positions, versions, ids, times.
func Import(ctx context.Context, d *database.Database, path string, o ImportOptions) (end archive.End, err error) {
	if o.Batch <= 0 {
		o.Batch = 10_000
	}
	if err := d.Check(ctx); err != nil {
		return end, err
	}
	t, err := newTarget(ctx, d)
	if err != nil {
		return end, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	i := importer{target: t, path: path, options: o}
	if err := i.begin(ctx); err != nil {
		return end, cancelled(ctx, err)
	}
	err = i.run(ctx)
	var taken *TakenError
	if errors.As(err, &taken) { // not looked for, or not there, when the import began
		err = fmt.Errorf("the import can't go on: %w; %s", err, Advice)
	}
	return i.end, cancelled(ctx, err)
}

// cancelled makes an error be ctx's, too, if ctx is done, whatever the driver makes of it.
func cancelled(ctx context.Context, err error) error {
	if done := ctx.Err(); err != nil && done != nil && !errors.Is(err, done) {
		return fmt.Errorf("%w: %w", done, err)
	}
	return err
}

// begin finds the import under way, or checks all that can be refused and begins one.
func (i *importer) begin(ctx context.Context) error {
	s, found, err := i.target.progress(ctx)
	if err != nil {
		return err
	}
	if found {
		if err := i.mine(s); err != nil {
			return err
		}
	}
	look := survey{target: i.target, path: i.path, merge: i.options.Merge, fresh: !found}
	if err := look.run(ctx); err != nil {
		return err
	}
	i.header, i.end = look.header, look.end
	if i.state = s; found {
		if i.options.Resumed != nil {
			i.options.Resumed(s.unfinished())
		}
		return nil
	}
	i.state, err = i.target.begin(ctx, state{header: look.header, merge: i.options.Merge, highest: look.highest, phase: events}, i.streams)
	i.did()
	return err
}

func (i *importer) did() {
	if i.options.after != nil {
		i.options.after()
	}
}

// mine returns an OtherImportError unless the import under way is of the archive.
func (i *importer) mine(s state) (err error) {
	r, err := archive.Open(i.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	other := &OtherImportError{Unfinished: s.unfinished(), Header: r.Header}
	switch {
	case s.header.ID != r.Header.ID:
		return other
	case s.phase == abandon:
		other.Reason = "it is being cleared away"
		return other
	case s.merge != i.options.Merge:
		other.Reason = fmt.Sprintf("it was begun with merge=%t", s.merge)
		return other
	}
	return nil
}

// streams calls do with the streams of the archive, in batches.
func (i *importer) streams(ctx context.Context, do func(batch []*archive.Stream) error) (err error) {
	r, err := i.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return inBatches(ctx, i, r, do, nil)
}

// open opens the archive, which must be the one that was checked.
func (i *importer) open() (*archive.Reader, error) {
	r, err := archive.Open(i.path)
	if err == nil && r.Header.ID != i.header.ID {
		err = errors.Join(fmt.Errorf("%s is another archive than a moment ago", i.path), r.Close())
	}
	return r, err
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
// so that nobody is led to events that are not there yet. Checkpoints are the last, and written with the end of the import.
func (i *importer) run(ctx context.Context) error {
	for _, part := range [][]phase{{events, gone}, {links, snapshots}} {
		if err := i.read(ctx, part); err != nil {
			return err
		}
	}
	list, err := i.subscriptions(ctx)
	if err != nil {
		return err
	}
	return i.target.finish(ctx, i.state, list)
}

// order is that of the phases.
var order = map[phase]int{events: 1, gone: 2, links: 3, snapshots: 4, finish: 5}

// kinds are the records of a phase, in the words of an archive.
var kinds = map[phase]string{streams: "stream", events: "event", gone: "gone", links: "link", snapshots: "snapshot", subscriptions: "subscription"}

// read reads the archive once, for some phases.
func (i *importer) read(ctx context.Context, phases []phase) (err error) {
	if order[i.state.phase] > order[phases[len(phases)-1]] {
		return nil
	}
	r, err := i.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for _, p := range []phase{streams, links, snapshots, subscriptions, events, gone} { // as they come
		if !slices.Contains(phases, p) || order[i.state.phase] > order[p] {
			if p == subscriptions && phases[0] == links {
				return nil // all that is wanted has come
			}
			if err := r.Pass(kinds[p]); err != nil {
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

// subscriptions returns those of the archive. They are few.
func (i *importer) subscriptions(ctx context.Context) (list []*archive.Subscription, err error) {
	r, err := i.open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for _, p := range []phase{streams, links, snapshots} {
		if err := r.Pass(kinds[p]); err != nil {
			return nil, err
		}
	}
	err = inBatches(ctx, i, r, func(batch []*archive.Subscription) error {
		list = append(list, batch...)
		return nil
	}, nil)
	return list, err
}

// phase writes the records of a phase, which come next.
func (i *importer) phase(ctx context.Context, r *archive.Reader, p phase) error {
	if err := r.Skip(kinds[p], i.state.done); err != nil {
		return err
	}
	next := map[phase]phase{events: gone, gone: links, links: snapshots, snapshots: finish}[p]
	switch p {
	case events:
		return write(ctx, i, r, next, i.target.events, func(e *archive.Event) (int64, bool) { return e.Position, e.Index == 0 })
	case gone:
		return write(ctx, i, r, next, i.target.gone, nil)
	case links:
		return write(ctx, i, r, next, i.target.links, nil)
	default:
		return write(ctx, i, r, next, i.target.snapshots, nil)
	}
}

// write writes records of type T in batches, until another comes, which stays unread. about, unless it is nil, returns a record's
// position and whether a batch may begin with it.
func write[T any](ctx context.Context, i *importer, r *archive.Reader, next phase,
	to func(ctx context.Context, was, now state, batch []*T) error, about func(*T) (int64, bool),
) error {
	err := inBatches(ctx, i, r, func(batch []*T) error {
		now := i.state
		now.done += int64(len(batch))
		if about != nil {
			now.position, _ = about(batch[len(batch)-1])
		}
		if err := to(ctx, i.state, now, batch); err != nil {
			return err
		}
		i.state = now
		i.did()
		if i.options.Progress != nil && about != nil {
			i.options.Progress(now.done, i.end.Events)
		}
		return nil
	}, about)
	if err != nil {
		return err
	}
	was := i.state
	i.state.phase, i.state.done = next, 0
	defer i.did()
	return to(ctx, was, i.state, nil)
}

// inBatches calls do with records of type T in batches, until another comes, which stays unread. While do runs the next batch is
// read. about is as in write.
func inBatches[T any](ctx context.Context, i *importer, r *archive.Reader, do func(batch []*T) error, about func(*T) (int64, bool)) error {
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
		if failed = do(batch); failed != nil {
			cancel()
		}
	}
	if err := <-read; failed == nil {
		failed = err
	}
	return failed
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
