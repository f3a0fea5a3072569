package transfer

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
)

// grouped is for how many streams links are asked at once.
const grouped = 500

// streams writes streams as they are in the source, and their new links. A stream's version says up to where its links are there.
func (f *follower) streams(ctx context.Context, m archive.Moment, changed []change) error {
	for group := range slices.Chunk(changed, grouped) {
		since := make([]archive.Since, len(group))
		for i, c := range group {
			since[i] = archive.Since{StreamID: c.stream.ID, Version: c.seen}
		}
		w := &linking{follower: f, group: group}
		err := m.Links(ctx, since, func(l *archive.Link) error {
			kept := *l
			return w.add(ctx, &kept)
		})
		if err != nil {
			return err
		}
		if err := w.flush(ctx, len(w.group), nil); err != nil {
			return err
		}
	}
	return nil
}

// linking writes the streams of a group in turn, each with its links.
type linking struct {
	*follower
	group   []change // that are not written yet
	pending []*archive.Link
}

// add adds a link, and writes when there are many.
func (w *linking) add(ctx context.Context, l *archive.Link) error {
	if w.pending = append(w.pending, l); len(w.pending) < w.options.Batch {
		return nil
	}
	whole := slices.IndexFunc(w.group, func(c change) bool { return c.stream.ID == l.StreamID })
	return w.flush(ctx, whole, l)
}

// flush writes what is pending: the links of so many streams, which are then whole, and those of the next one up to last.
func (w *linking) flush(ctx context.Context, whole int, last *archive.Link) error {
	linked := map[int64]bool{}
	for _, l := range w.pending {
		linked[l.StreamID] = true
	}
	list := make([]streamRow, 0, whole+1)
	for i := range w.group[:whole] {
		list = append(list, w.group[i].row(w.group[i].stream.Version, linked))
	}
	if last != nil {
		list = append(list, w.group[whole].row(last.Version, linked))
	}
	err := w.write(ctx, func(tx tx, now *state) error {
		if err := w.set(ctx, tx, list, now); err != nil {
			return err
		}
		return w.target.putLinks(ctx, tx, *now, w.pending)
	})
	if err != nil {
		return err
	}
	w.result.Streams, w.result.Links = w.result.Streams+int64(whole), w.result.Links+int64(len(w.pending))
	w.group, w.pending = w.group[whole:], nil
	if last != nil {
		w.group[0].seen = last.Version
	}
	return nil
}

// streamRow is a stream as the statement follow_set takes it.
type streamRow struct {
	ID      int64  `json:"id"`
	Name    string `json:"name"`
	Version int64  `json:"version"`
	Created int64  `json:"created"`
	Deleted *int64 `json:"deleted"`
	Linked  bool   `json:"linked"`
	Seen    int64  `json:"seen"`
}

// row is a stream whose links up to a version come with it.
func (c *change) row(version int64, linked map[int64]bool) streamRow {
	s := c.stream
	r := streamRow{ID: s.ID, Name: s.Name, Version: version, Created: s.CreatedAt.UnixMicro(), Linked: linked[s.ID], Seen: c.seen}
	if !s.DeletedAt.IsZero() {
		at := s.DeletedAt.UnixMicro()
		r.Deleted = &at
	}
	return r
}

// set writes streams. A name that another stream has is an error: those that are gone were removed before.
func (f *follower) set(ctx context.Context, tx tx, list []streamRow, now *state) error {
	if len(list) == 0 {
		return nil
	}
	ids, names := make([]int64, len(list)), make([]string, len(list))
	for i, r := range list {
		ids[i], names[i] = r.ID, r.Name
		now.highest = max(now.highest, r.ID)
	}
	there, err := f.known(ctx, tx, ids, names)
	if err != nil {
		return err
	}
	byName := map[string]int64{}
	for id, name := range there {
		byName[name] = id
	}
	for _, r := range list {
		if other, ok := byName[r.Name]; ok && other != r.ID {
			return &recreatedError{&TakenError{ErrTaken, fmt.Sprintf("streams %d and %d of the source would both be called so", other, r.ID), []string{r.Name}}}
		}
		byName[r.Name] = r.ID
		if name, ok := there[r.ID]; ok && name != r.Name {
			return renamed(r.ID, name, r.Name)
		}
	}
	for i := range list {
		list[i].ID += now.base
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return tx.exec(ctx, "follow_set", string(text))
}

// snapshots writes those that are new, and removes those that are gone.
func (f *follower) snapshots(ctx context.Context, m archive.Moment) error {
	var batch []*archive.Snapshot
	flush := func() error {
		err := f.putSnapshots(ctx, batch)
		batch = nil
		return err
	}
	add := func(s *archive.Snapshot) error {
		kept := *s
		if batch = append(batch, &kept); len(batch) < removed {
			return nil
		}
		return flush()
	}
	if err := m.Snapshots(ctx, f.state.header.Following.Mark, add); err != nil {
		return err
	}
	if err := flush(); err != nil {
		return err
	}
	gone, missing, err := f.snapshotSources(ctx, m)
	if err != nil {
		return err
	}
	for sources := range slices.Chunk(missing, removed) {
		if err := m.SnapshotsOf(ctx, sources, add); err != nil {
			return err
		}
	}
	if err := flush(); err != nil || len(gone) == 0 {
		return err
	}
	return f.write(ctx, func(tx tx, _ *state) error {
		for _, source := range gone {
			if err := tx.exec(ctx, "follow_snapshot_gone", source); err != nil {
				return err
			}
		}
		return nil
	})
}

// putSnapshots writes and counts the snapshots of a batch that are new or have changed.
func (f *follower) putSnapshots(ctx context.Context, batch []*archive.Snapshot) error {
	if len(batch) == 0 {
		return nil
	}
	written := int64(0)
	err := f.write(ctx, func(tx tx, _ *state) error {
		written = 0
		for _, s := range batch {
			changed, err := f.putSnapshot(ctx, tx, s)
			if err != nil {
				return err
			}
			if changed {
				written++
			}
		}
		return nil
	})
	if err == nil {
		f.result.Snapshots += written
	}
	return err
}

func (f *follower) putSnapshot(ctx context.Context, tx tx, s *archive.Snapshot) (changed bool, err error) {
	name := fmt.Sprintf("the snapshot of %q", s.SourceID)
	if err := fitsData(f.target.dataType(), name, s.ContentType, s.Data, s.Metadata); err != nil {
		return false, err
	}
	one := 0
	args := []any{s.SourceID, s.Version, s.Type, s.ContentType, s.Data, bytesOrNull(s.Metadata), tx.timeOf(s.CreatedAt)}
	changed, err = tx.one(ctx, "follow_snapshot", args, &one)
	if err == nil && changed {
		err = tx.exec(ctx, "follow_snapshot_noted", s.SourceID)
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	return changed, nil
}

// snapshotSources compares which snapshots are there: gone are those that the source has not, missing those that the store has not, since a
// hard delete takes them with it here.
func (f *follower) snapshotSources(ctx context.Context, m archive.Moment) (gone, missing []string, err error) {
	have := map[string]bool{}
	err = each(ctx, f.d, f.queries.Get("follow_snapshots"), func(rows *sql.Rows) error {
		var source string
		err := rows.Scan(&source)
		have[source] = true
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	err = m.SnapshotSources(ctx, func(source string) error {
		if !have[source] {
			missing = append(missing, source)
		}
		delete(have, source)
		return nil
	})
	for source := range have {
		gone = append(gone, source)
	}
	return gone, missing, err
}
