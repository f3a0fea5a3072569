package benchmark

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// raw is one table.
type raw struct {
	db       *sql.DB
	dialect  dialect
	versions sync.Map // stream to *atomic.Int64: nobody checks
	inserts  sync.Map // size of an append to *sql.Stmt
}

func newRaw(ctx context.Context, db *sql.DB, d dialect) (*raw, error) {
	_, err := db.ExecContext(ctx, d.rawSchema)
	return &raw{db: db, dialect: d}, err
}

func (r *raw) append(ctx context.Context, stream string, n int) error {
	v, _ := r.versions.LoadOrStore(stream, new(atomic.Int64))
	version := v.(*atomic.Int64).Add(int64(n)) - int64(n)
	stmt, err := prepared(ctx, &r.inserts, r.db, n, func() string { //nolint:sqlclosecheck // kept
		return `insert into raw_events (stream, version, event_id, event_type, causation_id, correlation_id, data, metadata, created_at) values ` + values(0, n, 9)
	})
	if err != nil {
		return err
	}
	args := make([]any, 0, 9*n)
	now := time.Now().UTC()
	for i := range n {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		args = append(args, stream, version+int64(i)+1, id.String(), "order.placed", nil, nil, data, metadata, r.dialect.time(now))
	}
	_, err = stmt.ExecContext(ctx, args...)
	return err
}

const rawColumns = `stream, version, event_id, event_type, causation_id, correlation_id, data, metadata, created_at`

func (r *raw) readStream(ctx context.Context, stream string) (int, error) {
	n, _, err := pages(ctx, r.db, r.dialect, 0, fmt.Sprintf(`select version, %s from raw_events where stream = $1 and version > $2 order by version limit $3`, rawColumns), stream)
	return n, err
}

const rawAll = `select position, ` + rawColumns + ` from raw_events where position > $1 order by position limit $2`

func (r *raw) readAll(ctx context.Context, after int64) (int, int64, error) {
	return pages(ctx, r.db, r.dialect, after, rawAll)
}

func (r *raw) poll(ctx context.Context, done func(n int, last int64) error) error {
	return eachPage(ctx, r.db, r.dialect, 0, done, rawAll)
}

// prepared keeps one statement per size of append.
func prepared(ctx context.Context, kept *sync.Map, db *sql.DB, n int, query func() string) (*sql.Stmt, error) {
	if s, ok := kept.Load(n); ok {
		return s.(*sql.Stmt), nil
	}
	fresh, err := db.PrepareContext(ctx, query())
	if err != nil {
		return nil, err
	}
	s, loaded := kept.LoadOrStore(n, fresh)
	if loaded {
		return s.(*sql.Stmt), fresh.Close() //nolint:sqlclosecheck // another was kept
	}
	return fresh, nil
}
