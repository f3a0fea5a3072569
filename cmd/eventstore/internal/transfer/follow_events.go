package transfer

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
)

// errRecreated is returned where a name is that of another stream, which may be gone in the source.
var errRecreated = errors.New("the store has another stream of this name")

func noRows(err error) bool { return errors.Is(err, sql.ErrNoRows) }

// events writes the events that read gives, in batches.
func (f *follower) events(ctx context.Context, read func(do func(e *archive.Event) error) error, head int64) error {
	var batch []*archive.Event
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := f.batch(ctx, batch)
		if errors.Is(err, errRecreated) {
			if err := f.vanished(ctx); err != nil {
				return err
			}
			err = f.batch(ctx, batch)
		}
		batch = batch[:0]
		if err == nil && f.options.Progress != nil {
			f.options.Progress(f.state.position, head)
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
	err := f.write(ctx, func(tx tx, now *state) error {
		if err := f.newStreams(ctx, tx, batch, now); err != nil {
			return err
		}
		now.position = batch[len(batch)-1].Position
		if err := f.target.reserve(ctx, tx, now.position, now.highest); err != nil {
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
	first := map[int64]*archive.Event{}
	var ids []int64
	var names []string
	for _, e := range batch {
		if first[e.StreamID] == nil {
			first[e.StreamID] = e
			ids, names = append(ids, e.StreamID), append(names, e.Stream)
		}
	}
	there, err := f.known(ctx, tx, ids, names)
	if err != nil {
		return err
	}
	byName := map[string]int64{}
	for id, name := range there {
		byName[name] = id
	}
	for _, id := range ids {
		e := first[id]
		if other, ok := byName[e.Stream]; ok && other != id {
			return fmt.Errorf("%w: %q, streams %d and %d", errRecreated, e.Stream, other, id)
		}
		if name, ok := there[id]; ok {
			if name != e.Stream {
				return renamed(id, name, e.Stream)
			}
			continue
		}
		if err := tx.exec(ctx, "follow_stream", id, e.Stream, tx.timeOf(e.CreatedAt)); err != nil {
			return err
		}
		byName[e.Stream] = id
		now.highest = max(now.highest, id)
	}
	return nil
}

func renamed(id int64, name, other string) error {
	return fmt.Errorf("%w: stream %d of the source is now called %q, and was imported as %q", ErrTaken, id, other, name)
}

// known returns the streams of these ids or names, by id.
func (f *follower) known(ctx context.Context, q querier, ids []int64, names []string) (map[int64]string, error) {
	if ids == nil {
		ids = []int64{}
	}
	a, err := json.Marshal(ids)
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
		there[id] = name
		return err
	}, string(a), string(b))
	return there, err
}
