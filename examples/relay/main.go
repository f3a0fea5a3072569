// Relay publishes the events of a store to NATS JetStream, which drops what it has already.
//
//	nats-server -js &
//	go run . -db postgres://localhost/shop -nats nats://127.0.0.1:4222 -stream ORDERS
//
// Start it several times: one process publishes, and another takes over when that ends or dies. Kill it whenever you like: each event is in the
// stream once, and the events of each stream of the store are in their order.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	watermillnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/health"
	"github.com/eventstore-go/eventstore/store/relay"
)

func main() {
	var c config
	flag.StringVar(&c.db, "db", "", "`URL` of a PostgreSQL database, or the path of a SQLite file")
	flag.StringVar(&c.nats, "nats", nats.DefaultURL, "`URL` of the NATS server")
	flag.StringVar(&c.stream, "stream", "EVENTS", "`name` of the stream in JetStream, created if it is absent; subjects begin with it")
	flag.StringVar(&c.name, "name", "to-nats", "`name` of the relay; processes of one name take turns")
	flag.StringVar(&c.prefix, "prefix", "", "publish only streams whose names begin with `text`")
	flag.StringVar(&c.http, "http", "", "`address` to answer probes on, at /live, /ready and /status")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, c); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "relay:", err)
		os.Exit(1)
	}
}

type config struct {
	db, nats, stream, name, prefix, http string

	lease time.Duration // default: that of the Store
}

// run publishes until ctx ends.
func run(ctx context.Context, c config) error {
	db, backend, err := open(c.db)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // the program ends
	if err := migrate.Up(ctx, backend); err != nil {
		return err
	}
	es := store.New(backend, &store.Options{LeaseTTL: c.lease})
	defer es.Close() //nolint:errcheck // what is not in the checkpoint is published again, and dropped by the server

	publisher, err := publish(ctx, c)
	if err != nil {
		return err
	}
	defer publisher.Close() //nolint:errcheck // each Publish has waited for the server

	work, ctx := errgroup.WithContext(ctx)
	if c.http != "" {
		server := &http.Server{Addr: c.http, Handler: health.New(es, nil), ReadHeaderTimeout: 5 * time.Second}
		work.Go(server.ListenAndServe)
		work.Go(func() error {
			<-ctx.Done()
			return server.Close()
		})
	}
	o := relay.Options{Topic: func(e store.Recorded) string { return subject(c.stream, e) }}
	o.Filter.StreamPrefix = c.prefix
	o.MaxBackoff = 5 * time.Second
	work.Go(func() error { return relay.Run(ctx, es, c.name, publisher, &o) })
	return work.Wait()
}

// subject returns the subject of an event: the name of the stream in JetStream, and the event's type, in which a dot begins a new part.
func subject(stream string, e store.Recorded) string {
	return stream + "." + strings.NewReplacer(" ", "_", "*", "_", ">", "_", "\t", "_", "\r", "_", "\n", "_").Replace(e.Type)
}

// publish connects to the server. The stream remembers ids for long enough that a relay may be down: two hours.
func publish(ctx context.Context, c config) (*watermillnats.Publisher, error) {
	conn, err := nats.Connect(c.nats, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(200*time.Millisecond))
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: c.stream, Subjects: []string{c.stream + ".>"}, Duplicates: 2 * time.Hour})
	if err != nil {
		return nil, fmt.Errorf("create the stream %s: %w", c.stream, err)
	}
	return watermillnats.NewPublisherWithNatsConn(conn, watermillnats.PublisherPublishConfig{
		Marshaler:         &watermillnats.NATSMarshaler{},
		SubjectCalculator: watermillnats.DefaultSubjectCalculator,
		JetStream:         watermillnats.JetStreamConfig{TrackMsgId: true}, // the event's id in Nats-Msg-Id
	}, nil)
}

// backend is what both backends are.
type backend interface {
	store.Storage
	migrate.Backend
}

func open(target string) (*sql.DB, backend, error) {
	if target == "" {
		return nil, nil, errors.New("say where the events are: -db URL, or -db FILE")
	}
	if strings.HasPrefix(target, "postgres://") || strings.HasPrefix(target, "postgresql://") {
		db, err := sql.Open("pgx", target)
		if err != nil {
			return nil, nil, err
		}
		return db, postgres.New(db, nil), nil
	}
	db, err := sql.Open("sqlite", sqlite.DSN(target))
	if err != nil {
		return nil, nil, err
	}
	return db, sqlite.New(db, nil), nil
}
