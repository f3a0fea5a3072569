package bench

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/modernice/goes/backend/postgres"
	"github.com/modernice/goes/codec"
	"github.com/modernice/goes/event"
	"github.com/modernice/goes/event/query"
)

// goes is github.com/modernice/goes. It has no metadata and no order of all events but that of their times, and opens a
// pool of pgx's own.
type goes struct {
	es   *postgres.EventStore
	pool *pgxpool.Pool
}

func openGoes(ctx context.Context, url string, _ *sql.DB) (log, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = connections
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	types := codec.New()
	codec.Register[json.RawMessage](types, eventType)
	es := postgres.NewEventStore(types, postgres.Pool(pool))
	return goes{es, pool}, es.Connect(ctx)
}

// id is the stream's, whose ids are uuids here.
func (goes) id(stream string) uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceOID, []byte(stream)) }

func (g goes) append(ctx context.Context, stream string, has, n int) error {
	events := make([]event.Event, n)
	for i := range events {
		events[i] = event.New(eventType, json.RawMessage(payload(stream, has+i+1)), event.Aggregate(g.id(stream), "order", has+i+1)).Any()
	}
	return g.es.Insert(ctx, events...)
}

func (g goes) readStream(ctx context.Context, stream string) (n int, err error) {
	err = g.query(ctx, func(event.Event) { n++ }, query.Aggregate("order", g.id(stream)), query.SortByAggregate())
	return n, err
}

func (g goes) readAll(ctx context.Context, after int64, each func(data []byte)) (int64, error) {
	if after > 0 {
		return after, errors.ErrUnsupported // it has no place to go on from
	}
	err := g.query(ctx, func(e event.Event) {
		each(e.Data().(json.RawMessage))
		after++
	}, query.SortByTime())
	return after, err
}

func (g goes) query(ctx context.Context, each func(event.Event), opts ...query.Option) error {
	events, errs, err := g.es.Query(ctx, query.New(opts...))
	if err != nil {
		return err
	}
	for events != nil || errs != nil {
		select {
		case e, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			each(e)
		case err, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			return err
		}
	}
	return nil
}

func (g goes) close() error {
	g.pool.Close()
	return nil
}
