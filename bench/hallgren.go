package bench

import (
	"context"
	"database/sql"
	"time"

	"github.com/hallgren/eventsourcing/core"
	hallgrensql "github.com/hallgren/eventsourcing/eventstore/sql"
)

// hallgren is github.com/hallgren/eventsourcing.
type hallgren struct{ es *hallgrensql.Postgres }

func openHallgren(_ context.Context, _ string, db *sql.DB) (log, error) {
	es, err := hallgrensql.NewPostgres(db)
	return hallgren{es}, err
}

func (h hallgren) append(_ context.Context, stream string, has, n int) error {
	events := make([]core.Event, n)
	for i := range events {
		events[i] = core.Event{
			AggregateID: stream, Version: core.Version(has + i + 1), AggregateType: "order", Timestamp: time.Now(), Reason: eventType,
			Data: payload(stream, has+i+1), Metadata: metadata,
		}
	}
	return h.es.Save(events)
}

func (h hallgren) readStream(ctx context.Context, stream string) (n int, err error) {
	it, err := h.es.Get(ctx, stream, "order", 0)
	if err != nil {
		return 0, err
	}
	defer it.Close()
	for it.Next() {
		if _, err := it.Value(); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (h hallgren) readAll(_ context.Context, after int64, each func(data []byte)) (int64, error) {
	it, err := h.es.All(core.Version(after + 1))()
	if err != nil {
		return after, err
	}
	defer it.Close()
	for it.Next() {
		e, err := it.Value()
		if err != nil {
			return after, err
		}
		each(e.Data)
		after = int64(e.GlobalVersion)
	}
	return after, nil
}
