package transfer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
)

// Progress is told how many events are done, and how many there are at most: positions, of which some may be empty.
type Progress func(done, total int64)

// sink is where an export writes to: an archive's Writer.
type sink interface {
	Write(record any) error
	Counts() archive.Counts
}

// ExportOptions of [Export].
type ExportOptions struct {
	Compress bool     // with zstd
	Replace  bool     // a file of that name
	Progress Progress // may be nil
	// Resumed is called, unless it is nil, before an earlier export of that name goes on: with how far that has come.
	Resumed func(archive.Progress)
	// SaveEvery is after how many events what was written is made durable, so that an export that is interrupted goes on there.
	// Default: 200,000.
	SaveEvery int
}

// Export writes an archive of a store to a file. If it is interrupted, the same call goes on where it was: with the events up
// to the head that the store had when it began. See [Missing] for what came later. It returns an [OtherSourceError] if what
// stands beside the file was read from another store, or from one that has lost events since.
func Export(ctx context.Context, from archive.Source, path string, o ExportOptions) (end archive.End, err error) {
	x := exporter{from: from, progress: o.Progress, saveEvery: o.SaveEvery}
	if x.saveEvery <= 0 {
		x.saveEvery = 200_000
	}
	if x.identity, err = from.Identity(ctx); err != nil {
		return archive.End{}, err
	}
	file, err := archive.Create(path, o.Compress, o.Replace)
	if err != nil {
		return archive.End{}, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	x.to, x.save = file, file.Save
	if file.Resumed != nil {
		if err := x.resume(ctx, file, o.Resumed); err != nil {
			return archive.End{}, err
		}
	} else if err := x.front(ctx); err != nil {
		return archive.End{}, err
	}
	if err := x.events(ctx); err != nil {
		return archive.End{}, err
	}
	return file.Finish(x.leftOut())
}

// ExportTo is [Export] to a writer, at which nobody can go on.
func ExportTo(ctx context.Context, from archive.Source, w *archive.Writer, o ExportOptions) (end archive.End, err error) {
	x := exporter{from: from, to: w, progress: o.Progress, saveEvery: math.MaxInt, save: func(archive.Progress) error { return nil }}
	if x.identity, err = from.Identity(ctx); err != nil {
		return end, err
	}
	if err := x.front(ctx); err != nil {
		return end, err
	}
	if err := x.events(ctx); err != nil {
		return end, err
	}
	return w.Finish(x.leftOut())
}

type exporter struct {
	from      archive.Source
	to        sink
	save      func(archive.Progress) error
	saveEvery int
	progress  Progress
	identity  archive.Identity
	done      archive.Progress // Header, LeftOut by earlier calls, Position and Event
	streams   []int64          // ids that were written, in order
}

// resume goes on where an earlier call was, if that read the same store.
func (x *exporter) resume(ctx context.Context, file *archive.File, tell func(archive.Progress)) error {
	x.done = *file.Resumed
	if err := same(ctx, x.from, file.Partial(), x.identity, x.done); err != nil {
		return err
	}
	if err := x.recall(file.Partial()); err != nil {
		return err
	}
	if tell != nil {
		tell(x.done)
	}
	return nil
}

// leftOut adds up what this call and earlier ones have left out.
func (x *exporter) leftOut() map[string]int64 {
	sum := maps.Clone(x.from.LeftOut())
	for name, n := range x.done.LeftOut {
		if sum == nil {
			sum = map[string]int64{}
		}
		sum[name] += n
	}
	return sum
}

// note returns what is saved before the event behind a position: what was left out up to there was counted.
func (x *exporter) note(position int64) archive.Progress {
	p := x.done
	p.LeftOut = x.leftOut()
	if p.Position != position {
		p.Position, p.Event = position, uuid.Nil
	}
	return p
}

// front writes all but events.
func (x *exporter) front(ctx context.Context) error {
	err := x.from.Front(ctx, func(record any) error {
		switch r := record.(type) {
		case *archive.Header:
			r.Format, r.ID, r.Identity, r.ExportedAt = archive.Format, uuid.New(), x.identity, time.Now().UTC().Truncate(time.Microsecond)
			x.done.Header = *r
		case *archive.Stream:
			x.streams = append(x.streams, r.ID)
		}
		return x.to.Write(record)
	})
	if err != nil {
		return err
	}
	return x.save(x.note(0))
}

// recall learns from the file which streams were written.
func (x *exporter) recall(path string) (err error) {
	r, err := archive.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if r.Header.ID != x.done.Header.ID {
		return fmt.Errorf("%s is of another export than what stands beside it: remove both and begin again", path)
	}
	for range x.to.Counts().Streams {
		record, err := r.Next()
		if err != nil {
			return err
		}
		if s, ok := record.(*archive.Stream); ok {
			x.streams = append(x.streams, s.ID)
		}
	}
	return nil
}

// events writes events, and which streams have gone meanwhile.
func (x *exporter) events(ctx context.Context) error {
	unsaved, head := 0, x.done.Header.Head
	err := x.from.Events(ctx, x.done.Position, head, func(e *archive.Event) error {
		if unsaved >= x.saveEvery && e.Index == 0 {
			if err := x.save(x.note(e.Position - 1)); err != nil {
				return err
			}
			unsaved = 0
		}
		if x.progress != nil && unsaved%1000 == 0 {
			x.progress(x.done.Position, head)
		}
		unsaved++
		x.done.Position, x.done.Event = e.Position, e.ID
		return x.to.Write(e)
	})
	if err != nil {
		return err
	}
	if x.progress != nil {
		x.progress(head, head)
	}
	left := x.streams
	gone := func(id int64) error { return x.to.Write(&archive.Gone{StreamID: id}) }
	err = x.from.StreamIDs(ctx, func(id int64) error {
		for len(left) > 0 && left[0] < id {
			if err := gone(left[0]); err != nil {
				return err
			}
			left = left[1:]
		}
		if len(left) > 0 && left[0] == id {
			left = left[1:]
		}
		return nil
	})
	if err != nil {
		return err
	}
	for id := range slices.Values(left) {
		if err := gone(id); err != nil {
			return err
		}
	}
	return nil
}
