package transfer

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
)

// recreatedError says that a name is that of another stream, which may be gone in the source.
type recreatedError struct{ *TakenError }

func (e *recreatedError) Unwrap() error { return e.TakenError }

func noRows(err error) bool { return errors.Is(err, sql.ErrNoRows) }

// events writes the events that read gives, in batches.
func (f *follower) events(ctx context.Context, read func(do func(e *archive.Event) error) error, head int64) error {
	var batch []*archive.Event
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := f.batch(ctx, batch)
		var recreated *recreatedError
		if errors.As(err, &recreated) {
			if batch, err = f.vanished(ctx, batch); err == nil && len(batch) > 0 {
				err = f.batch(ctx, batch)
			}
		}
		batch = batch[:0]
		if err == nil && f.options.Progress != nil {
			f.options.Progress(f.state.position, head)
		}
		if err == nil {
			f.behind(head)
		}
		return err
	}
	err := read(func(e *archive.Event) error {
		kept := *e
		if batch = append(batch, &kept); len(batch) < f.options.Batch {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// batch writes events, and streams that are not there yet.
func (f *follower) batch(ctx context.Context, batch []*archive.Event) error {
	for _, e := range batch { // also behind the survey
		if err := fitsData(f.target.dataType(), eventName(e), e.ContentType, e.Data, e.Metadata); err != nil {
			return err
		}
	}
	err := f.write(ctx, func(tx tx, now *state) error {
		if err := f.newStreams(ctx, tx, batch, now); err != nil {
			return err
		}
		now.position = batch[len(batch)-1].Position
		if err := f.target.reserve(ctx, tx, now.position, now.base+now.highest); err != nil {
			return err
		}
		return f.target.putEvents(ctx, tx, f.state, batch)
	})
	if t, ok := f.target.(*postgresTarget); ok {
		err = t.explain(ctx, batch, err)
	}
	if err == nil {
		f.result.Events += int64(len(batch))
	}
	return err
}

// newStreams writes the streams of events that are not there yet.
func (f *follower) newStreams(ctx context.Context, tx tx, batch []*archive.Event, now *state) error {
	var ids []int64
	first := map[int64]*archive.Event{}
	for _, e := range batch {
		if first[e.StreamID] == nil {
			first[e.StreamID] = e
			ids = append(ids, e.StreamID)
		}
	}
	there, err := f.known(ctx, tx, ids, nil)
	if err != nil {
		return err
	}
	var list []streamRow
	for _, id := range ids {
		e := first[id]
		if name, ok := there[id]; !ok {
			// Version 0 stands for none that was looked at.
			list = append(list, streamRow{ID: id, Name: e.Stream, Created: e.StreamCreatedAt.UnixMicro()})
		} else if name != e.Stream {
			return renamed(id, name, e.Stream)
		}
	}
	return f.set(ctx, tx, list, now)
}

func renamed(id int64, name, other string) error {
	return &TakenError{ErrTaken, fmt.Sprintf("the source has another name for stream %d than it was imported with", id), []string{name, other}}
}

// known returns the streams of these ids, which are the source's, or names, by id.
func (f *follower) known(ctx context.Context, q querier, ids []int64, names []string) (map[int64]string, error) {
	own := make([]int64, len(ids))
	for i, id := range ids {
		own[i] = f.state.base + id
	}
	if names == nil {
		names = []string{}
	}
	a, err := json.Marshal(own)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(names)
	if err != nil {
		return nil, err
	}
	there := map[int64]string{}
	err = each(ctx, q, f.queries.Get("follow_known"), func(rows *sql.Rows) error {
		var id int64
		var name string
		err := rows.Scan(&id, &name)
		there[id-f.state.base] = name
		return err
	}, string(a), string(b))
	return there, err
}
