package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
	"github.com/eventstore-go/eventstore/store"
)

var _ store.MultiAppender = (*Backend)(nil)

// AppendAll implements [store.MultiAppender]. Outside a transaction it is one statement, unless the appends are very large together.
// The statement waits for streams that other sessions hold, but briefly: it holds the rows of its other streams meanwhile. If that was
// not enough, the backend waits for one stream after the other while it holds nothing, and sends the statement again.
func (b *Backend) AppendAll(ctx context.Context, list []store.AppendRequest) (results []store.AppendResult, err error) {
	if err := b.Check(ctx); err != nil {
		return nil, err
	}
	for _, r := range list {
		if err := b.checkJSON(r.Events); err != nil {
			return nil, err
		}
	}
	if b.tx != nil {
		return b.appendAll(ctx, list)
	}
	gaveWay := false // to another transaction: the default isolation level of the database may be too high
	for {
		err = b.retried(ctx, func() error {
			if gaveWay {
				results, err = b.appendAllReadCommitted(ctx, list)
			} else {
				results, err = b.appendAll(ctx, list)
			}
			gaveWay = errors.Is(err, store.ErrRetryTx)
			return err
		})
		if !waitedTooLong(err) {
			return results, err
		}
		list = notFresh(list) // they may have been written, if the answer was lost and database/sql sent them again
		if err := b.awaitStreams(ctx, list); err != nil {
			return nil, err
		}
	}
}

// notFresh returns the appends as those whose ids may be known.
func notFresh(list []store.AppendRequest) []store.AppendRequest {
	list = slices.Clone(list)
	for i := range list {
		list[i].FreshIDs = false
	}
	return list
}

// appendAllReadCommitted is appendAll in a transaction of its own, which keeps to the brief wait.
func (b *Backend) appendAllReadCommitted(ctx context.Context, list []store.AppendRequest) (results []store.AppendResult, err error) {
	err = b.inBriefTx(ctx, func(in *Backend) error {
		results, err = in.appendAll(ctx, list)
		return err
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// inBriefTx runs f in a transaction at READ COMMITTED whose statements don't wait long for a lock, and commits it.
func (b *Backend) inBriefTx(ctx context.Context, f func(in *Backend) error) error {
	tx, err := b.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing; after an error that error counts
	in := &Backend{shared: b.shared, tx: tx}
	if err := in.exec(ctx, "lock_briefly"); err != nil {
		return err
	}
	err = f(in)
	if errors.Is(err, ErrSequenceBehind) {
		_ = tx.Rollback() // with a pool of one, the tick needs the connection
		_, tickErr := b.tick(ctx, maxPlaced, true)
		return errors.Join(err, tickErr)
	}
	if err != nil {
		return err
	}
	return b.CommitTx(ctx, tx)
}

// awaitStreams waits for one stream after the other, in line at its gate, and holds none.
func (b *Backend) awaitStreams(ctx context.Context, list []store.AppendRequest) error {
	for _, r := range list {
		err := b.pass(ctx, b.streams, r.Stream, func() error {
			return b.retried(ctx, func() error { return b.exec(ctx, "await_stream", r.Stream) })
		})
		if err != nil && !refused(err) {
			return err
		}
	}
	return nil
}

// appendAll is append for several streams.
func (b *Backend) appendAll(ctx context.Context, list []store.AppendRequest) ([]store.AppendResult, error) {
	for range mostTries {
		places, err := b.writeAll(ctx, list)
		switch {
		case err == nil && places != nil:
			results := make([]store.AppendResult, len(list))
			for i, r := range list {
				last := places[i].version
				results[i] = store.AppendResult{Stream: r.Stream, First: last - int64(len(r.Events)) + 1, Last: last}
			}
			return results, nil
		case err != nil && !refused(err):
			return nil, b.beyondMemory(sizeOfAll(list), err)
		case err != nil && b.tx != nil:
			return nil, refusedInTx(err)
		}
		results, judged := b.judgeAll(ctx, list)
		if judged != nil || results != nil {
			return results, judged
		}
		if state := sqlerr.State(err); err != nil && state != streamCreated {
			// Not the ids, so the number: a tick sets the sequence right.
			if _, tickErr := b.tick(ctx, maxPlaced, true); tickErr != nil {
				return nil, tickErr
			}
		}
	}
	return nil, fmt.Errorf("postgres: append to %q and %d other streams: %w: the streams kept changing", list[0].Stream, len(list)-1, store.ErrRetryTx)
}

func sizeOfAll(list []store.AppendRequest) (n int) {
	for _, r := range list {
		n += size(r.Events)
	}
	return n
}

// writeAll sends the events. It returns where each append went, or nil if nothing was written: a stream was not as expected, or an id
// was known.
func (b *Backend) writeAll(ctx context.Context, list []store.AppendRequest) (places []place, err error) {
	counts, all := firstChunks(list)
	switch {
	case all:
		return b.writeFirstChunks(ctx, list, counts)
	case b.tx != nil:
		return b.writeAllChunksInTx(ctx, list, counts)
	}
	err = b.inBriefTx(ctx, func(in *Backend) error {
		if places, err = in.writeAllChunks(ctx, list, counts); err == nil && places == nil {
			err = errUnwritten
		}
		return err
	})
	if errors.Is(err, errUnwritten) {
		return nil, nil
	}
	return places, err
}

// errUnwritten rolls a transaction back in which a part of the appends may be written.
var errUnwritten = errors.New("postgres: nothing was written")

// firstChunks returns how many events of each append go into the first statement, and whether those are all events.
func firstChunks(list []store.AppendRequest) (counts []int, all bool) {
	counts = make([]int, len(list))
	n, bytes := 0, 0
	for i, r := range list {
		for k := range r.Events {
			bytes += len(r.Events[k].Data) + len(r.Events[k].Metadata)
			if n > 0 && (n == maxChunkEvents || bytes > maxChunkBytes) {
				return counts, false
			}
			counts[i]++
			n++
		}
	}
	return counts, true
}

// writeFirstChunks sends the first events of each append, so many as counts says, and has all streams judged, locked and counted up.
func (b *Backend) writeFirstChunks(ctx context.Context, list []store.AppendRequest, counts []int) ([]place, error) {
	var look []byte
	events := make([][]store.NewEvent, len(list))
	for i, r := range list {
		events[i] = r.Events[:counts[i]]
		for k := 0; k < len(r.Events) && !r.FreshIDs; k++ {
			look = append(look, r.Events[k].ID[:]...)
		}
	}
	var written sql.NullString
	statement, into := "append_all", []any{new(string), &written}
	if b.tx != nil {
		statement, into = "append_all_in_tx", []any{&written}
	}
	if _, err := b.one(ctx, statement, appendArgs(list, nullable(look), events), into...); err != nil || !written.Valid {
		return nil, err
	}
	places, ok := parsePlaces(written.String, len(list))
	if !ok {
		return nil, fmt.Errorf("postgres: %s returned %q", statement, written.String)
	}
	return places, nil
}

// parsePlaces parses the literal of an array with a row of ids of streams, a row of versions and a row of numbers of appends.
func parsePlaces(text string, n int) (places []place, ok bool) {
	rows := strings.Split(strings.Trim(text, "{}"), "},{")
	if len(rows) != 3 {
		return nil, false
	}
	places = make([]place, n)
	for row, into := range [3]func(*place) *int64{
		func(p *place) *int64 { return &p.streamID }, func(p *place) *int64 { return &p.version }, func(p *place) *int64 { return &p.seq },
	} {
		words := strings.Split(rows[row], ",")
		if len(words) != n {
			return nil, false
		}
		for i, word := range words {
			number, err := strconv.ParseInt(word, 10, 64)
			if err != nil {
				return nil, false
			}
			*into(&places[i]) = number
		}
	}
	return places, true
}

// writeAllChunks is writeAll in several statements. If it returns no places, a part may be written, for the caller to undo.
func (b *Backend) writeAllChunks(ctx context.Context, list []store.AppendRequest, counts []int) ([]place, error) {
	places, err := b.writeFirstChunks(ctx, list, counts)
	if err != nil || places == nil {
		return nil, err
	}
	for i, r := range list {
		for from := counts[i]; from < len(r.Events); {
			n := chunk(r.Events[from:])
			written, err := b.writeChunk(ctx, r, from, from+n, &places[i])
			if err != nil || written.version == 0 {
				return nil, err
			}
			from += n
		}
	}
	return places, nil
}

// writeAllChunksInTx is writeAllChunks for a caller's transaction, which must not keep a part of the appends.
func (b *Backend) writeAllChunksInTx(ctx context.Context, list []store.AppendRequest, counts []int) ([]place, error) {
	if err := b.exec(ctx, "append_begin"); err != nil {
		return nil, err
	}
	places, err := b.writeAllChunks(ctx, list, counts)
	if err != nil || places == nil {
		// Also when ctx has ended between two statements: the caller might commit what was written.
		under, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return nil, errors.Join(err, b.exec(under, "append_undo"), b.exec(under, "append_end"))
	}
	return places, b.exec(ctx, "append_end")
}

// judgeAll is judgeAppend for several appends: all are retries, or the first that is not as expected is the reason, or the first id that
// is known.
func (b *Backend) judgeAll(ctx context.Context, list []store.AppendRequest) ([]store.AppendResult, error) {
	var ids []byte
	var totals, starts []int64
	streams := make([]string, len(list))
	for i, r := range list {
		streams[i] = r.Stream
		totals, starts = append(totals, int64(len(r.Events))), append(starts, int64(len(ids)/16))
		for k := range r.Events {
			ids = append(ids, r.Events[k].ID[:]...)
		}
	}
	results := make([]store.AppendResult, 0, len(list))
	var conflict, duplicate error
	i := 0
	err := b.each(ctx, "judge_all", func(rows *sql.Rows) error {
		var version, first, known sql.NullInt64
		var deleted bool
		if err := rows.Scan(&version, &deleted, &first, &known); err != nil {
			return err
		}
		r := list[i]
		i++
		if first.Valid && !deleted && r.MayBeRetry(first.Int64) {
			results = append(results, store.AppendResult{Stream: r.Stream, First: first.Int64, Last: first.Int64 + int64(len(r.Events)) - 1, Retried: true})
		}
		if conflict == nil {
			conflict = r.Expected.Judge(r.Stream, store.State{Exists: version.Valid, Deleted: deleted, Version: version.Int64})
		}
		if duplicate == nil && known.Valid {
			duplicate = &store.DuplicateEventError{Stream: r.Stream, ID: r.Events[known.Int64].ID}
		}
		return nil
	}, textArray(streams), intArray(totals), intArray(starts), ids)
	switch {
	case err != nil:
		return nil, err
	case len(results) == len(list):
		return results, b.exec(ctx, "wait_for_standby")
	case conflict != nil:
		return nil, conflict
	}
	return nil, duplicate
}
