package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/store"
)

// history is a store of commits with the table that is kept beside it.
type history struct {
	db *sql.DB
	es *store.Store

	batchSize int               // commits in one transaction
	followed  func(step string) // for tests: called between the steps of a follower
}

// leaseTTL is how long a follower waits for one that was killed. Tests are less patient.
var leaseTTL = store.DefaultLeaseTTL

// backend is what both backends are.
type backend interface {
	store.Storage
	migrate.Backend
}

// open opens the database at target, a PostgreSQL URL or the path of a SQLite file, and creates what is missing there.
func open(ctx context.Context, target string) (*history, error) {
	db, b, err := connect(target)
	if err != nil {
		return nil, err
	}
	h := &history{db: db, es: store.New(b, &store.Options{Serializer: serializer.JSON(types), LeaseTTL: leaseTTL}), batchSize: 500, followed: func(string) {}}
	err = migrate.Up(ctx, b)
	if err == nil {
		err = createTable(ctx, db)
	}
	if err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func connect(target string) (*sql.DB, backend, error) {
	if strings.HasPrefix(target, "postgres://") || strings.HasPrefix(target, "postgresql://") {
		db, err := sql.Open("pgx", target)
		return db, postgres.New(db, &postgres.Options{Schema: "githistory"}), err
	}
	db, err := sql.Open("sqlite", sqlite.DSN(target))
	return db, sqlite.New(db, nil), err
}

func (h *history) close() {
	_ = h.es.Close()
	_ = h.db.Close()
}

// defaultFile returns the path of the repository's own SQLite file and creates the folder it is in.
func defaultFile(repo repository) (string, error) {
	path, err := filepath.Abs(string(repo))
	if err != nil {
		return "", err
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	dir = filepath.Join(dir, "eventstore-githistory")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return filepath.Join(dir, fmt.Sprintf("%s-%.4x.db", filepath.Base(path), sha256.Sum256([]byte(path)))), nil
}
