package transfer

import (
	"context"
	"errors"
	"fmt"
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
	// SaveEvery is after how many events what was written is made durable, so that an export that is interrupted goes on there.
	// Default: 200,000.
	SaveEvery int
}

// Export writes an archive of a store to a file. If it is interrupted, the same call goes on where it was: with the events up
// to the head that the store had when it began.
func Export(ctx context.Context, from archive.Source, path string, o ExportOptions) (end archive.End, err error) {
	file, err := archive.Create(path, o.Compress, o.Replace)
	if err != nil {
		return archive.End{}, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if o.SaveEvery <= 0 {
		o.SaveEvery = 200_000
	}
	x := exporter{from: from, to: file, progress: o.Progress, saveEvery: o.SaveEvery}
	x.save = func(position int64) error { return file.Save(x.header, position) }
	after := int64(0)
	if file.Resumed != nil {
		x.header, after = file.Resumed.Header, file.Resumed.Position
		if err := x.recall(file.Partial()); err != nil {
			return archive.End{}, err
		}
	} else if err := x.front(ctx); err != nil {
		return archive.End{}, err
	}
	if err := x.events(ctx, after); err != nil {
		return archive.End{}, err
	}
	return file.Finish()
}

// ExportTo is [Export] to a writer, at which nobody can go on.
func ExportTo(ctx context.Context, from archive.Source, w *archive.Writer, o ExportOptions) (archive.End, error) {
	x := exporter{from: from, to: w, progress: o.Progress, saveEvery: math.MaxInt, save: func(int64) error { return nil }}
	if err := x.front(ctx); err != nil {
		return archive.End{}, err
	}
	if err := x.events(ctx, 0); err != nil {
		return archive.End{}, err
	}
	return w.Finish()
}

type exporter struct {
	from      archive.Source
	to        sink
	save      func(position int64) error
	saveEvery int
	progress  Progress
	header    archive.Header
	streams   []int64 // ids that were written, in order
}

// front writes all but events.
func (x *exporter) front(ctx context.Context) error {
	err := x.from.Front(ctx, func(record any) error {
		switch r := record.(type) {
		case *archive.Header:
			r.Format, r.ID, r.ExportedAt = archive.Format, uuid.New(), time.Now().UTC().Truncate(time.Microsecond)
			x.header = *r
		case *archive.Stream:
			x.streams = append(x.streams, r.ID)
		}
		return x.to.Write(record)
	})
	if err != nil {
		return err
	}
	return x.save(0)
}

// recall learns from the file which streams were written.
func (x *exporter) recall(path string) (err error) {
	r, err := archive.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if r.Header.ID != x.header.ID {
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
func (x *exporter) events(ctx context.Context, after int64) error {
	unsaved, last := 0, after
	err := x.from.Events(ctx, after, x.header.Head, func(e *archive.Event) error {
		if unsaved >= x.saveEvery && e.Index == 0 {
			if err := x.save(last); err != nil {
				return err
			}
			unsaved = 0
		}
		if x.progress != nil && unsaved%1000 == 0 {
			x.progress(last, x.header.Head)
		}
		unsaved++
		last = e.Position
		return x.to.Write(e)
	})
	if err != nil {
		return err
	}
	if x.progress != nil {
		x.progress(x.header.Head, x.header.Head)
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
