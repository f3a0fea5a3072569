// Prometheus serves the metrics of a store to Prometheus, by OpenTelemetry's exporter, and answers health probes.
//
//	go run . -db events.db -http :8080
//	curl localhost:8080/metrics
//	curl localhost:8080/health/status
//
// docs/operations.md has alerts on these metrics.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"golang.org/x/sync/errgroup"
	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/health"
	"github.com/eventstore-go/eventstore/store/telemetry"
)

func main() {
	db := flag.String("db", "events.db", "`path` of a SQLite file")
	address := flag.String("http", "127.0.0.1:8080", "`address` to serve on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	l, err := net.Listen("tcp", *address)
	if err == nil {
		err = run(ctx, *db, l)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "prometheus:", err)
		os.Exit(1)
	}
}

// run appends an event a second, handles them, and serves metrics and health, until ctx ends.
func run(ctx context.Context, path string, l net.Listener) error {
	db, err := sql.Open("sqlite", sqlite.DSN(path))
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // the program ends
	backend := sqlite.New(db, nil)
	if err := migrate.Up(ctx, backend); err != nil {
		return err
	}

	registry := prometheus.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(registry))
	if err != nil {
		return err
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	defer provider.Shutdown(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is buffered
	opts := &telemetry.Options{MeterProvider: provider}
	es := store.New(backend, &store.Options{Observer: telemetry.New(opts)})
	defer es.Close()                          //nolint:errcheck // events may come again
	status, err := telemetry.Status(es, opts) // lag and parked events of all readers, whichever process runs them
	if err != nil {
		return err
	}
	defer status.Unregister() //nolint:errcheck // the program ends

	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.Handle("/health/", http.StripPrefix("/health", health.New(es, nil)))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}

	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { return server.Serve(l) })
	work.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	work.Go(func() error {
		return es.Consume(ctx, store.All, "greetings", func(context.Context, store.Recorded) error { return nil }, nil)
	})
	work.Go(func() error { return tick(ctx, es) })
	return work.Wait()
}

// tick appends an event a second.
func tick(ctx context.Context, es *store.Store) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for n := 1; ; n++ {
		if _, err := es.Append(ctx, "greetings", store.Any, store.Event{Type: "greeted", Data: n}); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
