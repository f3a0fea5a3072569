// Command replicated keeps a store inside the program on several machines, without a database server. Each program is a node of
// dqlite, a SQLite that Raft replicates: what is acknowledged is on the disks of most nodes, and any minority of them may die.
//
// Start three in three terminals, and kill one, the first included. The others go on, and a node that is started again
// catches up:
//
//	go run -tags libsqlite3 . -dir /tmp/n1 -address 127.0.0.1:9001
//	go run -tags libsqlite3 . -dir /tmp/n2 -address 127.0.0.1:9002 -join 127.0.0.1:9001
//	go run -tags libsqlite3 . -dir /tmp/n3 -address 127.0.0.1:9003 -join 127.0.0.1:9001
//
// Each appends an event a second. A projection counts them by node; the programs share its partitions, and take over those of one that
// died. It needs cgo, and what scripts/ensure-dqlite installs. docs/replicated.md has the limits.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/canonical/go-dqlite/app"
	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

func main() {
	dir := flag.String("dir", "", "the `folder` of this node's data")
	address := flag.String("address", "127.0.0.1:9001", "where this node listens, and others find it")
	join := flag.String("join", "", "comma-separated addresses of nodes to join; empty for the first node")
	every := flag.Duration("every", time.Second, "how often to append an event")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *dir, *address, *join, *every); err != nil && !errors.Is(err, context.Canceled) {
		log.Fatal(err) //nolint:gocritic // stop only restores signals
	}
}

// run runs a node with a store in it until ctx ends.
func run(ctx context.Context, dir, address, join string, every time.Duration) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	cluster := strings.FieldsFunc(join, func(r rune) bool { return r == ',' })
	node, err := app.New(dir, app.WithAddress(address), app.WithCluster(cluster), app.WithNetworkLatency(100*time.Millisecond))
	if err != nil {
		return err
	}
	defer leave(node)
	if err := node.Ready(ctx); err != nil {
		return err
	}
	db, err := open(node, "events")
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // nothing is open any more
	es, err := prepare(ctx, db)
	if err != nil {
		return err
	}
	defer es.Close() //nolint:errcheck // nothing was to be written

	counting := make(chan error, 1)
	go func() { counting <- es.Project(ctx, "visits", count, &store.ProjectOptions{Partitions: 3}) }()
	err = visit(ctx, es, db, address, every)
	return errors.Join(err, <-counting)
}

// leave hands over what the node is in charge of, and ends it.
func leave(node *app.App) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := node.Handover(ctx); err != nil {
		log.Println("nobody to hand over to:", err)
	}
	if err := node.Close(); err != nil {
		log.Println(err)
	}
}

// prepare creates the tables, unless another node has, and returns the store.
func prepare(ctx context.Context, db *sql.DB) (*store.Store, error) {
	backend := sqlite.New(db, nil)
	if err := migrate.Up(ctx, backend); err != nil {
		return nil, err
	}
	_, err := db.ExecContext(ctx, "create table if not exists visits (node text primary key, n integer not null)")
	if err != nil {
		return nil, err
	}
	return store.New(backend, nil), nil
}

// visit appends an event now and then. One that fails, as while the nodes elect a leader, is sent again with the same id: the
// store knows it if it was written after all.
func visit(ctx context.Context, es *store.Store, db *sql.DB, address string, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	e := store.Event{ID: uuid.New(), Type: "visited"}
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if _, err := es.Append(ctx, "node "+address, store.Any, e); err != nil {
			log.Println("append again:", err)
			continue
		}
		e.ID = uuid.New()
		if err := report(ctx, es, db); err != nil {
			log.Println(err)
		}
	}
}

// count is the projection.
func count(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
	for _, e := range events {
		_, err := tx.ExecContext(ctx, "insert into visits (node, n) values (?, 1) on conflict (node) do update set n = n + 1", e.Stream)
		if err != nil {
			return err
		}
	}
	return nil
}

// report prints what the projection has counted, and how many events there are.
func report(ctx context.Context, es *store.Store, db *sql.DB) error {
	head, err := es.Head(ctx)
	if err != nil {
		return err
	}
	rows, err := db.QueryContext(ctx, "select node, n from visits order by node")
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	line := fmt.Sprintf("%d events", head)
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			return err
		}
		line += fmt.Sprintf("; %s: %d", name, n)
	}
	fmt.Println(line)
	return rows.Err()
}
