package hatest_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

const (
	streams   = 5                     // of each writer
	pace      = 40 * time.Millisecond // between two appends
	patience  = 5 * time.Second       // with one answer
	afterFail = 50 * time.Millisecond
	most      = 3 * time.Minute // with an append, made again and again
)

// money is the data of an event.
type money struct{ Cents int64 }

// writer appends to streams of its own until it is told to end, and makes each append again, with the same ids, until it is
// acknowledged. It appends alone and expects a version, or in a transaction together with a row of the table orders.
type writer struct {
	*worker

	name string
	inTx bool
	made int
	at   [streams]int64 // versions
}

func (w *writer) run(ctx context.Context) error {
	for n := 0; !pause(ctx, pace); n++ {
		events := make([]store.Event, 1+n%3)
		for i := range events {
			w.made++
			id := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%s/%d", w.name, w.made))
			events[i] = store.Event{ID: id, Type: "paid", Data: money{rand.Int64N(10_000)}}
		}
		if err := w.acknowledged(n%streams, events); err != nil {
			return err
		}
	}
	return w.note(line{Kind: quiet, Stream: w.name})
}

// acknowledged appends events until that succeeds.
func (w *writer) acknowledged(n int, events []store.Event) error {
	stream := fmt.Sprintf("%s-%d", w.name, n)
	l := line{Stream: stream}
	for _, e := range events {
		l.IDs = append(l.IDs, e.ID)
	}
	for end := time.Now().Add(most); time.Now().Before(end); {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		res, err := w.append(ctx, stream, w.at[n], events)
		cancel()
		var wrong *store.WrongExpectedVersionError
		switch {
		case err == nil:
			w.at[n] = res.Last
			l.Kind, l.Number, l.Retried, l.Error = acked, res.Last, res.Retried, ""
			return w.note(l)
		case errors.As(err, &wrong):
			l.Kind, l.Error = conflict, err.Error()
			w.at[n] = wrong.Actual
		default:
			l.Kind, l.Error = failed, err.Error()
		}
		if err := w.note(l); err != nil {
			return err
		}
		pause(context.Background(), afterFail)
	}
	return fmt.Errorf("an append to %q was not acknowledged for %v: %s", stream, most, l.Error)
}

func (w *writer) append(ctx context.Context, stream string, version int64, events []store.Event) (res store.AppendResult, err error) {
	if !w.inTx {
		return w.es.Append(ctx, stream, store.Version(version), events...)
	}
	err = w.es.InTx(ctx, func(tx *sql.Tx) error {
		if res, err = w.es.WithTx(tx).Append(ctx, stream, store.Any, events...); err != nil {
			return err
		}
		for _, e := range events {
			if _, err := tx.ExecContext(ctx, `insert into orders (id, stream) values ($1, $2) on conflict do nothing`, e.ID.String(), stream); err != nil {
				return err
			}
		}
		return nil
	})
	return res, err
}
