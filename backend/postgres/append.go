package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
	"github.com/eventstore-go/eventstore/store"
)

// Append implements [store.Storage]. Outside a transaction it is one statement, unless the append is very large, or shares
// a statement and a commit with others: see [Options].
func (b *Backend) Append(ctx context.Context, r store.AppendRequest) (res store.AppendResult, err error) {
	if err := b.Check(ctx); err != nil {
		return res, err
	}
	if err := b.checkJSON(r.Events); err != nil {
		return res, err
	}
	if b.tx == nil && !b.opts.NoGroupCommit && grouped(r) {
		return b.group.append(ctx, b, r)
	}
	if b.tx != nil {
		return b.appendAlone(ctx, r, false)
	}
	return b.appendInTurn(ctx, b.streams.queue(r.Stream), r, false)
}

// appendInTurn is appendAlone for an append that is in line at the gate.
func (b *Backend) appendInTurn(ctx context.Context, t *turn, r store.AppendRequest, refused bool) (store.AppendResult, error) {
	defer t.end()
	first, err := t.near(ctx)
	if err != nil {
		return store.AppendResult{}, err
	}
	if !first && chunk(r.Events) == len(r.Events) {
		res, err := (&Backend{shared: b.shared, brief: true}).append(ctx, r, refused)
		if !waitedTooLong(err) && !errors.Is(err, store.ErrRetryTx) {
			return res, err
		}
		r.FreshIDs = false // it may have been written, if its answer was lost and database/sql sent it again
	}
	if err := t.wait(ctx); err != nil {
		return store.AppendResult{}, err
	}
	return b.appendAlone(ctx, r, refused)
}

// appendAlone appends in a statement of its own, or in the caller's transaction. It waits for a session that holds the stream.
// If the append was refused already, it finds out first why.
func (b *Backend) appendAlone(ctx context.Context, r store.AppendRequest, refused bool) (res store.AppendResult, err error) {
	attempt := 0
	err = b.retried(ctx, func() error {
		if attempt++; attempt == 1 {
			res, err = b.append(ctx, r, refused)
		} else {
			res, err = b.appendReadCommitted(ctx, r)
		}
		return err
	})
	return res, err
}

// appendReadCommitted is for a database whose default isolation level made append give way to others. The attempt before may have
// been written, if its answer was lost.
func (b *Backend) appendReadCommitted(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
	tx, err := b.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return store.AppendResult{}, err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing; after an error that error counts
	r.FreshIDs = false
	res, err := (&Backend{shared: b.shared, tx: tx}).append(ctx, r, false)
	if err != nil {
		return store.AppendResult{}, err
	}
	return res, b.CommitTx(ctx, tx)
}

// mostTries bounds how often a write is tried again because the stream changed between the compare-and-set that failed
// and the look that found nothing wrong.
const mostTries = 20

func (b *Backend) append(ctx context.Context, r store.AppendRequest, wasRefused bool) (store.AppendResult, error) {
	for range mostTries {
		var last int64
		var err error
		if !wasRefused {
			last, err = b.writeEvents(ctx, r)
		}
		wasRefused = false
		switch {
		case err == nil && last > 0:
			return store.AppendResult{Stream: r.Stream, First: last - int64(len(r.Events)) + 1, Last: last}, nil
		case err != nil && !refused(err):
			return store.AppendResult{}, b.beyondMemory(size(r.Events), err)
		case err != nil && b.tx != nil:
			return store.AppendResult{}, refusedInTx(err)
		}
		res, judged := b.judgeAppend(ctx, r)
		if judged != nil || res.Retried {
			return res, judged
		}
		if err != nil {
			// Not the ids, so the number: a tick sets the sequence right.
			if _, tickErr := b.tick(ctx, maxPlaced, true); tickErr != nil {
				return store.AppendResult{}, tickErr
			}
		}
	}
	return store.AppendResult{}, fmt.Errorf("postgres: append to %q: %w: the stream kept changing", r.Stream, store.ErrRetryTx)
}

// writeEvents sends the events. It returns the stream's new version, or 0 if the statement found the stream not as expected,
// or an id known: then nothing was written.
func (b *Backend) writeEvents(ctx context.Context, r store.AppendRequest) (last int64, err error) {
	if len(r.Events) == 1 && (b.tx == nil || r.FreshIDs) {
		return b.writeOne(ctx, r)
	}
	first := chunk(r.Events)
	if first == len(r.Events) {
		at, err := b.writeChunk(ctx, r, 0, first, nil)
		return at.version, err
	}
	if b.tx != nil {
		return b.writeChunksInTx(ctx, r, first)
	}
	tx, err := b.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing; after an error that error counts
	last, err = (&Backend{shared: b.shared, tx: tx}).writeChunks(ctx, r, first)
	if err != nil || last == 0 {
		return 0, err
	}
	return last, b.CommitTx(ctx, tx)
}

// writeOne is writeEvents for a single event.
func (b *Backend) writeOne(ctx context.Context, r store.AppendRequest) (last int64, err error) {
	e := &r.Events[0]
	data := e.Data
	if data == nil {
		data = []byte{} // drivers send nil as null
	}
	var metadata, created any
	if e.Metadata != nil {
		metadata = e.Metadata
	}
	if !e.CreatedAt.IsZero() {
		created = e.CreatedAt.UnixMicro()
	}
	var version sql.NullInt64
	statement, into := "append_one", []any{&version}
	if b.brief {
		statement, into = "append_one_brief", []any{new(string), &version}
	}
	_, err = b.one(ctx, statement, []any{
		r.Stream, expectedArg(r.Expected), r.Expected.MayCreate(), !r.FreshIDs,
		e.ID.String(), idArg(e.CausationID), idArg(e.CorrelationID), e.Type, nullable(e.ContentType), data, metadata, created,
	}, into...)
	return version.Int64, err
}

// expectedArg is the version that the stream must be at, or nil for any.
func expectedArg(e store.Expected) any {
	if v, ok := e.AsVersion(); ok {
		return v
	}
	return nil
}

// idArg is an id, or nil for none.
func idArg(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id.String()
}

// writeChunksInTx is writeChunks for a caller's transaction, which must not keep a part of the append.
func (b *Backend) writeChunksInTx(ctx context.Context, r store.AppendRequest, first int) (last int64, err error) {
	if err := b.exec(ctx, "append_begin"); err != nil {
		return 0, err
	}
	last, err = b.writeChunks(ctx, r, first)
	if err != nil || last == 0 {
		// Also when ctx has ended between two statements: the caller might commit what was written.
		under, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, b.exec(under, "append_undo"), b.exec(under, "append_end"))
		return 0, err
	}
	return last, b.exec(ctx, "append_end")
}

// writeChunks returns 0 if the stream is not as expected or an id is known. For an id that another session has committed
// since the first chunk looked, a part of the append is written then, for the caller to undo.
func (b *Backend) writeChunks(ctx context.Context, r store.AppendRequest, first int) (last int64, err error) {
	at, err := b.writeChunk(ctx, r, 0, first, nil)
	if err != nil || at.version == 0 {
		return 0, err
	}
	for from := first; from < len(r.Events); {
		n := chunk(r.Events[from:])
		next, err := b.writeChunk(ctx, r, from, from+n, &at)
		if err != nil || next.version == 0 {
			return 0, err
		}
		from += n
	}
	return at.version, nil
}

// place is where an append went: the stream, its new version, and the append's number.
type place struct{ streamID, version, seq int64 }

// writeChunk sends the events from … to-1. For the first chunk at is nil; for later ones it is what the first returned.
func (b *Backend) writeChunk(ctx context.Context, r store.AppendRequest, from, to int, at *place) (place, error) {
	events := newBatch(r.Events[from:to])
	if at == nil && to < len(r.Events) && !r.FreshIDs {
		// The first chunk looks for the ids of all.
		for _, e := range r.Events[to:] {
			events.ids = append(events.ids, e.ID[:]...)
		}
	}
	var seq, streamID, version any
	if at != nil {
		seq, streamID, version = at.seq, at.streamID, at.version
	}
	var written string
	statement, into := "append_events", []any{&written}
	if b.tx != nil && !r.FreshIDs {
		statement = "append_events_in_tx"
	}
	if b.brief {
		statement, into = "append_events_brief", []any{new(string), &written}
	}
	_, err := b.one(ctx, statement, []any{
		r.Stream, expectedArg(r.Expected), r.Expected.MayCreate(), int64(len(r.Events)), !r.FreshIDs,
		events.ids, nullable(events.causation), nullable(events.correlation),
		events.types, events.data, events.metadata, events.cuts, nullable(events.created),
		seq, streamID, version, int64(from),
	}, into...)
	if err != nil || written == "(,,)" {
		return place{}, err
	}
	var p place
	if _, err := fmt.Sscanf(written, "(%d,%d,%d)", &p.streamID, &p.version, &p.seq); err != nil {
		return place{}, fmt.Errorf("postgres: %s returned %q: %w", statement, written, err)
	}
	return p, nil
}

// judgeAppend returns why nothing was written. It returns neither a result nor an error if there is no reason left: then
// the stream has changed since. It looks for ids that were drawn just now, too: if the answer to an append is lost,
// database/sql may send the append again by itself, and what refuses it then is what it has written. An append that is there is
// acknowledged only when synchronous standbys have it: its own wait for them may have been cancelled.
func (b *Backend) judgeAppend(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
	ids := make([]uuid.UUID, len(r.Events))
	for i := range ids {
		ids[i] = r.Events[i].ID
	}
	var version, first, known sql.NullInt64
	var deleted bool
	_, err := b.one(ctx, "judge_append", []any{r.Stream, ids[0].String(), idBytes(ids), int64(len(ids))}, &version, &deleted, &first, &known)
	if err != nil {
		return store.AppendResult{}, err
	}
	if first.Valid && !deleted && r.MayBeRetry(first.Int64) {
		if err := b.exec(ctx, "wait_for_standby"); err != nil {
			return store.AppendResult{}, err
		}
		return store.AppendResult{Stream: r.Stream, First: first.Int64, Last: first.Int64 + int64(len(ids)) - 1, Retried: true}, nil
	}
	state := store.State{Exists: version.Valid, Deleted: deleted, Version: version.Int64}
	if err := r.Expected.Judge(r.Stream, state); err != nil {
		return store.AppendResult{}, err
	}
	if known.Valid {
		return store.AppendResult{}, &store.DuplicateEventError{Stream: r.Stream, ID: ids[known.Int64]}
	}
	return store.AppendResult{}, nil
}

// refused reports whether the database refused a row: an id that another session committed since the statement looked,
// a number that was drawn before, or a stream that another session created since the statement looked.
func refused(err error) bool {
	state := sqlerr.State(err)
	return state == uniqueViolation || state == sequenceBehind || state == streamCreated
}

// refusedInTx is for a caller's transaction, which such a row has aborted. An id can't be the reason: append_in_tx sees
// to that.
func refusedInTx(err error) error {
	return errors.Join(ErrSequenceBehind, store.ErrRetryTx, err)
}
