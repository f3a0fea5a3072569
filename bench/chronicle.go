package bench

import (
	"context"
	"database/sql"
	"time"

	"github.com/DeluxeOwl/chronicle/event"
	"github.com/DeluxeOwl/chronicle/eventlog"
	"github.com/DeluxeOwl/chronicle/version"
)

// chronicle is github.com/DeluxeOwl/chronicle. It has no metadata.
type chronicle struct{ log *eventlog.Postgres }

func openChronicle(_ context.Context, _ string, db *sql.DB) (log, error) {
	l, err := eventlog.NewPostgres(db)
	return chronicle{l}, err
}

func (c chronicle) events(stream string, has, n int) event.RawEvents {
	events := make(event.RawEvents, n)
	for i := range events {
		events[i] = event.NewRaw(eventType, payload(stream, has+i+1))
	}
	return events
}

func (c chronicle) append(ctx context.Context, stream string, has, n int) error {
	_, err := c.log.AppendEvents(ctx, event.LogID(stream), version.CheckExact(has), c.events(stream, has, n))
	return err
}

func (c chronicle) appendTx(ctx context.Context, stream string, has int, hold time.Duration) error {
	return c.log.WithinTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, _, err := c.log.AppendInTx(ctx, tx, event.LogID(stream), version.CheckExact(has), c.events(stream, has, 1))
		time.Sleep(hold)
		return err
	})
}

func (c chronicle) readStream(ctx context.Context, stream string) (n int, err error) {
	for _, err := range c.log.ReadEvents(ctx, event.LogID(stream), version.SelectFromBeginning) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (c chronicle) readAll(ctx context.Context, after int64, each func(data []byte)) (int64, error) {
	for e, err := range c.log.ReadAllEvents(ctx, version.Selector{From: version.Version(after + 1)}) {
		if err != nil {
			return after, err
		}
		each(e.Data())
		after = int64(e.GlobalVersion())
	}
	return after, nil
}
