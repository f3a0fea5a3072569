package transfer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
)

// change is a stream that is not as it was when it was last looked at.
type change struct {
	stream archive.Stream
	seen   int64 // version up to which its links were read
}

// moment takes all that is new at one moment of the source: first what is gone, whose names may be in the way; then the last events, which
// links may lead to; and the mark at the end.
func (f *follower) moment(ctx context.Context, finish bool) error {
	return f.from.Moment(ctx, func(ctx context.Context, m archive.Moment) error {
		if err := f.at(m); err != nil {
			return err
		}
		changed, gone, err := f.compare(ctx, m)
		if err != nil {
			return err
		}
		if err := f.remove(ctx, gone); err != nil {
			return err
		}
		after := f.state.position
		err = f.events(ctx, func(do func(*archive.Event) error) error { return m.Events(ctx, after, do) }, m.Head())
		if err != nil {
			return err
		}
		if err := f.streams(ctx, m, changed); err != nil {
			return err
		}
		if f.mayHaveLost(m, len(gone)) {
			if err := f.lost(ctx, m); err != nil {
				return err
			}
		}
		if err := f.snapshots(ctx, m); err != nil {
			return err
		}
		if err := f.mark(ctx, m); err != nil {
			return err
		}
		f.behind(m.Head())
		if finish {
			return f.finish(ctx, m)
		}
		return nil
	})
}

// at checks that a moment is not older than what was read: a source may be several standbys.
func (f *follower) at(m archive.Moment) error {
	if m.Head() < f.state.position {
		return behindError(m.Head(), f.state.position)
	}
	return nil
}

func behindError(head, read int64) error {
	return fmt.Errorf("%w: it is at position %d, and position %d was read before: is it a standby that lags?", ErrBehind, head, read)
}

// mayHaveLost reports whether the source may have lost events that were read, though it has their streams. Every id of a stream that is
// there says that no stream was ever hard deleted. If some are missing, the number of them tells most such deletes; of the others, a
// store that goes on and on learns when it ends.
func (f *follower) mayHaveLost(m archive.Moment, gone int) bool {
	deleted := m.Mark().Deleted
	return gone > 0 || deleted < 0 || deleted != f.state.header.Following.Mark.Deleted || deleted > 0 && !f.options.Forever
}

// compare compares all streams of the source with those of the store. Both come by id.
func (f *follower) compare(ctx context.Context, m archive.Moment) (changed []change, gone []string, err error) {
	rows, err := f.d.QueryContext(ctx, f.queries.Get("follow_streams"))
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, rows.Err(), rows.Close()) }()
	var have archive.Stream
	next := func() (bool, error) {
		have = archive.Stream{}
		if !rows.Next() {
			return false, rows.Err()
		}
		err := rows.Scan(&have.ID, &have.Name, &have.Version, moment{&have.DeletedAt})
		have.ID -= f.state.base
		return true, err
	}
	more, err := next()
	if err != nil {
		return nil, nil, err
	}
	err = m.Streams(ctx, func(s *archive.Stream) error {
		for more && have.ID < s.ID {
			gone = append(gone, have.Name)
			if more, err = next(); err != nil {
				return err
			}
		}
		if !more || have.ID != s.ID {
			changed = append(changed, change{stream: *s})
			return nil
		}
		if have.Name != s.Name {
			return renamed(s.ID, have.Name, s.Name)
		}
		if have.Version != s.Version || !have.DeletedAt.Equal(s.DeletedAt) {
			changed = append(changed, change{stream: *s, seen: have.Version})
		}
		more, err = next()
		return err
	})
	for ; err == nil && more; more, err = next() {
		gone = append(gone, have.Name)
	}
	return changed, gone, err
}

// removed is how many streams, or events, a transaction removes.
const removed = 100

// remove hard deletes streams that are gone in the source.
func (f *follower) remove(ctx context.Context, names []string) error {
	for batch := range slices.Chunk(names, removed) {
		err := f.write(ctx, func(tx tx, _ *state) error { return tx.removeStreams(ctx, batch) })
		if err != nil {
			return err
		}
		f.result.Gone += int64(len(batch))
	}
	if len(names) > 0 {
		return f.anchor(ctx)
	}
	return nil
}

// vanished hard deletes streams that are gone in the source now, and returns the events of those that are there.
func (f *follower) vanished(ctx context.Context, batch []*archive.Event) ([]*archive.Event, error) {
	err := f.from.Moment(ctx, func(ctx context.Context, m archive.Moment) error {
		if err := f.at(m); err != nil {
			return err
		}
		if last := batch[len(batch)-1].Position; m.Head() < last {
			return behindError(m.Head(), last)
		}
		there := map[int64]bool{}
		err := m.Streams(ctx, func(s *archive.Stream) error {
			there[s.ID] = true
			return nil
		})
		if err != nil {
			return err
		}
		batch = slices.DeleteFunc(batch, func(e *archive.Event) bool { return !there[e.StreamID] })
		_, gone, err := f.compare(ctx, m)
		if err != nil {
			return err
		}
		// The mark stays: what they took with them is looked for in the next moment.
		return f.remove(ctx, gone)
	})
	return batch, err
}

// ranges is how many positions are counted together.
const ranges = 100_000

// lost removes events that the source has not any more, though it has their streams: a hard delete there takes what the stream links to
// with it. The source only loses events below the head; so ranges with the same number are the same.
func (f *follower) lost(ctx context.Context, m archive.Moment) error {
	until := f.state.position
	source, own := map[int64]int64{}, map[int64]int64{}
	err := m.Places(ctx, until, ranges, func(number, events int64) error {
		source[number] = events
		return nil
	})
	if err != nil {
		return err
	}
	err = each(ctx, f.d, f.queries.Get("follow_places"), func(rows *sql.Rows) error {
		var number, events int64
		err := rows.Scan(&number, &events)
		own[number] = events
		return err
	}, until, ranges)
	if err != nil {
		return err
	}
	for number, events := range own {
		if source[number] == events {
			continue
		}
		if err := f.lostIn(ctx, m, number*ranges+1, min((number+1)*ranges, until)); err != nil {
			return err
		}
	}
	return nil
}

func (f *follower) lostIn(ctx context.Context, m archive.Moment, from, until int64) error {
	there := map[int64]bool{}
	err := m.Positions(ctx, from, until, func(position int64) error {
		there[position] = true
		return nil
	})
	if err != nil {
		return err
	}
	var lost []int64
	err = each(ctx, f.d, f.queries.Get("follow_positions"), func(rows *sql.Rows) error {
		var position int64
		err := rows.Scan(&position)
		if !there[position] {
			lost = append(lost, position)
		}
		return err
	}, from, until)
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(lost, removed) {
		err := f.write(ctx, func(tx tx, _ *state) error {
			if err := tx.exec(ctx, "follow_removing"); err != nil {
				return err
			}
			for _, position := range batch {
				if err := tx.exec(ctx, "follow_remove", position); err != nil {
					return err
				}
			}
			return tx.exec(ctx, "follow_removed")
		})
		if err != nil {
			return err
		}
		f.result.Removed += int64(len(batch))
	}
	if len(lost) > 0 {
		return f.anchor(ctx)
	}
	return nil
}

// mark notes that all changes of a moment were taken.
func (f *follower) mark(ctx context.Context, m archive.Moment) error {
	h := f.state.header
	following := *h.Following
	following.Mark = m.Mark()
	h.Head, h.ExportedAt, h.Following = m.Head(), time.Now().UTC().Truncate(time.Microsecond), &following
	return f.write(ctx, func(tx tx, now *state) error {
		now.header = h
		now.highest = max(now.highest, m.HighestStream())
		return f.target.reserve(ctx, tx, m.Head(), now.base+now.highest)
	})
}

// finish writes checkpoints and makes the store independent, unless the source has gone on.
func (f *follower) finish(ctx context.Context, m archive.Moment) error {
	var list []*archive.Subscription
	err := m.Subscriptions(ctx, func(s *archive.Subscription) error {
		kept := *s
		list = append(list, &kept)
		return nil
	})
	if err != nil {
		return err
	}
	head, err := f.from.Head(ctx)
	if err != nil {
		return err
	}
	if head < m.Head() {
		return behindError(head, m.Head())
	}
	if head > m.Head() {
		return &MovedError{Read: m.Head(), Head: head}
	}
	if err := f.target.finish(ctx, f.state, list); err != nil {
		return err
	}
	f.did()
	f.result.Subscriptions, f.result.Finished = int64(len(list)), true
	return nil
}
