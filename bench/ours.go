package bench

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// ours is this library.
type ours struct {
	db *sql.DB
	es *store.Store
}

func oursWith(opts postgres.Options) func(ctx context.Context, url string, db *sql.DB) (log, error) {
	return func(ctx context.Context, _ string, db *sql.DB) (log, error) {
		b := postgres.New(db, &opts)
		return ours{db, store.New(b, &store.Options{Serializer: bytesAsTheyAre{}, MetadataSerializer: bytesAsTheyAre{}})}, migrate.Up(ctx, b)
	}
}

// bytesAsTheyAre is a serializer of bytes: no other store encodes here, either.
type bytesAsTheyAre struct{}

func (bytesAsTheyAre) Encode(_ string, v any) ([]byte, string, error) {
	return v.([]byte), store.JSON, nil
}

func (bytesAsTheyAre) Decode(_, _ string, data []byte, into any) error {
	*into.(*[]byte) = data
	return nil
}

func (o ours) append(ctx context.Context, stream string, has, n int) error {
	_, err := o.es.Append(ctx, stream, store.Version(int64(has)), o.events(stream, has, n)...)
	return err
}

func (ours) events(stream string, has, n int) []store.Event {
	events := make([]store.Event, n)
	for i := range events {
		events[i] = store.Event{Type: eventType, Data: payload(stream, has+i+1), Metadata: metadata}
	}
	return events
}

func (o ours) appendTx(ctx context.Context, stream string, has int, hold time.Duration) error {
	tx, err := o.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing
	if _, err := o.es.WithTx(tx).Append(ctx, stream, store.Version(int64(has)), o.events(stream, has, 1)...); err != nil {
		return err
	}
	time.Sleep(hold)
	return tx.Commit()
}

func (o ours) readStream(ctx context.Context, stream string) (n int, err error) {
	for _, err := range o.es.Stream(ctx, stream, nil) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (o ours) readAll(ctx context.Context, after int64, each func(data []byte)) (int64, error) {
	for e, err := range o.es.All(ctx, &store.ReadOptions{After: after}) {
		if err != nil {
			return after, err
		}
		each(e.Data)
		after = e.Number
	}
	return after, nil
}

func (o ours) subscribe(ctx context.Context, name string, handle func(data []byte) bool) (err error) {
	sub, err := o.es.Subscribe(ctx, store.All, name, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sub.Close()) }()
	for {
		events, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		enough := false
		for _, e := range events {
			enough = handle(e.Data)
		}
		if err := sub.Ack(ctx, events...); err != nil || enough {
			return err
		}
	}
}

func (o ours) close() error { return o.es.Close() }
