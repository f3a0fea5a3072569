package benchmark

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// copied is the store's own table of events, filled by COPY: what PostgreSQL can do with such rows and such indexes, by
// the way that is for bulk. Nobody checks anything, nothing else is written. It is for pgx and appends only.
type copied struct {
	db       *sql.DB
	seq      atomic.Int64
	streams  sync.Map // stream to *copiedStream
	streamID atomic.Int64
}

type copiedStream struct{ id, version atomic.Int64 }

func newCopied(ctx context.Context, db *sql.DB) (*copied, error) {
	_, err := db.ExecContext(ctx, `create table copied_events (
		append_seq bigint not null, stream_id bigint not null, version bigint not null, created_at timestamptz not null, idx int not null,
		event_id uuid not null, causation_id uuid, correlation_id uuid, event_type text collate "C" not null, content_type text collate "C",
		data bytea not null, metadata bytea, primary key (append_seq, idx), unique (stream_id, version), unique (event_id))`)
	return &copied{db: db}, err
}

func (c *copied) append(ctx context.Context, stream string, n int) error {
	v, loaded := c.streams.LoadOrStore(stream, new(copiedStream))
	s := v.(*copiedStream)
	if !loaded {
		s.id.Store(c.streamID.Add(1))
	}
	version, seq, now := s.version.Add(int64(n))-int64(n), c.seq.Add(1), time.Now()
	conn, err := c.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // the pool's
	columns := []string{
		"append_seq", "stream_id", "version", "created_at", "idx", "event_id", "causation_id", "correlation_id", "event_type",
		"content_type", "data", "metadata",
	}
	return conn.Raw(func(driver any) error {
		_, err := driver.(*stdlib.Conn).Conn().CopyFrom(ctx, pgx.Identifier{"copied_events"}, columns, pgx.CopyFromSlice(n, func(i int) ([]any, error) {
			id, err := uuid.NewV7()
			return []any{seq, s.id.Load(), version + int64(i) + 1, now, int32(i), [16]byte(id), nil, nil, "order.placed", nil, data, metadata}, err
		}))
		return err
	})
}

var errAppendsOnly = errors.New("for appends only")

func (c *copied) readStream(context.Context, string) (int, error) { return 0, errAppendsOnly }
func (c *copied) readAll(context.Context, int64) (n int, last int64, _ error) {
	return 0, 0, errAppendsOnly
}
