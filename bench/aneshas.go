package bench

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/aneshas/eventstore"
	"gorm.io/gorm/logger"
)

// aneshas is github.com/aneshas/eventstore. It opens its own pool, and reads all events through a subscription that polls.
type aneshas struct{ es *eventstore.EventStore }

// asText is its encoder of events that are encoded already.
type asText struct{}

func (asText) Encode(v any) (*eventstore.EncodedEvt, error) {
	return &eventstore.EncodedEvt{Data: string(v.([]byte)), Type: eventType}, nil
}

func (asText) Decode(e *eventstore.EncodedEvt) (any, error) { return []byte(e.Data), nil }

func openAneshas(_ context.Context, url string, _ *sql.DB) (log, error) {
	es, err := eventstore.New(asText{}, eventstore.WithPostgresDB(url))
	if err != nil {
		return nil, err
	}
	es.DB.Logger = logger.Discard // it logs what is refused, and what is slow
	db, err := es.DB.DB()
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return aneshas{es}, nil
}

func (a aneshas) append(ctx context.Context, stream string, has, n int) error {
	var meta map[string]string
	if err := json.Unmarshal(metadata, &meta); err != nil {
		return err
	}
	events := make([]eventstore.EventToStore, n)
	for i := range events {
		events[i] = eventstore.EventToStore{Event: payload(stream, has+i+1), Meta: meta}
	}
	return a.es.AppendStream(ctx, stream, has, events)
}

func (a aneshas) readStream(ctx context.Context, stream string) (int, error) {
	events, err := a.es.ReadStream(ctx, stream)
	return len(events), err
}

func (a aneshas) readAll(ctx context.Context, after int64, each func(data []byte)) (int64, error) {
	events, err := a.es.ReadAll(ctx, eventstore.WithOffset(int(after)), eventstore.WithBatchSize(1000), eventstore.WithPollInterval(time.Microsecond))
	for _, e := range events {
		each(e.Event.([]byte))
		after++ // its offset counts events
	}
	return after, err
}

func (a aneshas) subscribe(ctx context.Context, _ string, handle func(data []byte) bool) error {
	sub, err := a.es.SubscribeAll(ctx, eventstore.WithBatchSize(1000), eventstore.WithPollInterval(time.Millisecond))
	if err != nil {
		return err
	}
	defer sub.Close()
	for {
		select {
		case e := <-sub.EventData:
			if handle(e.Event.([]byte)) {
				return nil
			}
		case err := <-sub.Err:
			if !errors.Is(err, io.EOF) {
				return err
			}
		}
	}
}

func (a aneshas) close() error { return a.es.Close() }
