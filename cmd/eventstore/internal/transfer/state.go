package transfer

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
)

// phase is a part of an import. Each begins when the one before is done.
type phase string

const (
	events    phase = "events"
	gone      phase = "gone"
	links     phase = "links"
	snapshots phase = "snapshots"
	finish    phase = "finish" // all is written but checkpoints
	abandon   phase = "abandon"
	follow    phase = "follow" // the store follows its source; records are transactions

	// Not phases, but kinds of records: streams are written as an import begins, subscriptions as it ends.
	streams       phase = "streams"
	subscriptions phase = "subscriptions"
)

// state is how far an import has come.
//
// It lies in the database that is imported into, in the only row of the table import_progress. The table is there exactly while
// an import is unfinished, and so are the triggers import_guard on streams, log, snapshots and subscriptions, by which the
// database refuses the writes of everybody else with what becomes [store.ErrImporting]. The import's own transactions are exempt:
// in PostgreSQL by the setting eventstore.importing, in SQLite by the column writing, which nobody else sees set.
//
// The column header is the archive's header as JSON: from which store it was read (Identity), when (ExportedAt), and up to where
// (Head, HeadEvent). Streams of the import have the ids base+1 to base+highest; without merge there are no others. Every transaction of the import writes some records and moves phase, done and position with them; begin writes all
// streams, and the last transaction all subscriptions, and removes the table and the triggers.
type state struct {
	header   archive.Header
	merge    bool
	base     int64 // what ids of streams are raised by
	highest  int64 // id of a stream in the archive
	phase    phase
	done     int64 // records of the phase
	position int64 // of the last event, in the archive
	begun    time.Time
}

func (s state) unfinished() Unfinished {
	return Unfinished{Header: s.header, Merge: s.merge, Begun: s.begun, Phase: string(s.phase), Done: s.done}
}

// Find returns the import into a store that is unfinished, or nil if there is none.
func Find(ctx context.Context, d *database.Database) (*Unfinished, error) {
	s, found, err := (&base{d: d, queries: queriesOf(d)}).progress(ctx)
	if err != nil || !found {
		return nil, err
	}
	u := s.unfinished()
	return &u, nil
}

// progress is target.progress.
func (b base) progress(ctx context.Context) (s state, found bool, err error) {
	present := 0
	switch err := b.d.QueryRowContext(ctx, b.queries.Get("progress_present")).Scan(&present); {
	case errors.Is(err, sql.ErrNoRows):
		return s, false, nil
	case err != nil:
		return s, false, fmt.Errorf("progress_present: %w", err)
	}
	var header string
	err = b.d.QueryRowContext(ctx, b.queries.Get("progress_read")).Scan(&header, &s.merge, &s.base, &s.highest, &s.phase, &s.done, &s.position, moment{&s.begun})
	if err != nil {
		return s, false, fmt.Errorf("progress_read: %w", err)
	}
	if err := json.Unmarshal([]byte(header), &s.header); err != nil {
		return s, false, fmt.Errorf("progress_read: the header of the archive: %w", err)
	}
	return s, true, nil
}

// begin is target.begin in a transaction that locks out everybody who appends. reserve makes numbers of streams and appends be
// the import's own, and returns what those of streams are raised by.
func (t tx) begin(ctx context.Context, s state, reserve func() (int64, error)) (state, error) {
	var empty bool
	if _, err := t.one(ctx, "empty", nil, &empty); err != nil {
		return s, err
	}
	if !empty && !s.merge {
		return s, ErrNotEmpty
	}
	if !s.merge {
		if err := t.free(ctx); err != nil {
			return s, err
		}
	}
	var err error
	if s.base, err = reserve(); err != nil {
		return s, err
	}
	header, err := json.Marshal(s.header)
	if err != nil {
		return s, err
	}
	s.begun = time.Now().UTC().Truncate(time.Microsecond)
	if err := t.exec(ctx, "progress_create"); err != nil {
		return s, err
	}
	if err := t.exec(ctx, "progress_begin", string(header), s.merge, s.base, s.highest, string(s.phase), t.timeOf(s.begun)); err != nil {
		return s, err
	}
	guards := []string{"guard"}
	switch {
	case t.d.Kind == database.PostgreSQL && s.merge:
		guards = []string{"guard_function", "guard_streams"}
	case t.d.Kind == database.PostgreSQL:
		guards = []string{"guard_function", "guard_all"}
	}
	for _, statement := range guards {
		if err := t.exec(ctx, statement); err != nil {
			return s, err
		}
	}
	return s, nil
}

// free checks that nothing is in a store without events that an import into it would have to change, but subscriptions that
// have not begun.
func (t tx) free(ctx context.Context) error {
	for _, check := range []struct {
		query, kind string
		err         error
	}{
		{"held", "subscriptions", ErrHeld},
		{"begun", "subscriptions with checkpoints", ErrTaken},
		{"recorded", "snapshots", ErrTaken},
	} {
		found, err := t.names(ctx, t, check.query)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return &TakenError{check.err, check.kind, found}
		}
	}
	return nil
}

// names returns the names that a query finds.
func (b base) names(ctx context.Context, q querier, query string, args ...any) (found []string, err error) {
	err = each(ctx, q, b.queries.Get(query), func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		found = append(found, name)
		return err
	}, args...)
	if err != nil {
		err = fmt.Errorf("%s: %w", query, err)
	}
	return found, err
}

// timeOf returns a time as the database keeps it.
func (b base) timeOf(t time.Time) any {
	if b.d.Kind == database.SQLite {
		return micros(t)
	}
	return t
}

// write notes how far the import has come.
func (t tx) write(ctx context.Context, was, now state) error {
	r, err := t.ExecContext(ctx, t.queries.Get("progress_write"), string(now.phase), now.done, now.position, string(was.phase), was.done)
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n != 1 {
		return errors.Join(fmt.Errorf("%w: another process goes on with it", ErrOther), err)
	}
	return nil
}

// end removes what says that an import is unfinished.
func (t tx) end(ctx context.Context) error {
	for _, statement := range []string{"guard_drop", "progress_drop"} {
		if err := t.exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
