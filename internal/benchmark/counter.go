package benchmark

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// counter is three tables and a row for all streams, which every append updates: positions are right, and appends run
// one at a time.
type counter struct {
	db      *sql.DB
	dialect dialect
	inserts sync.Map // size of an append to *sql.Stmt
	mu      sync.Mutex
}

func newCounter(ctx context.Context, db *sql.DB, d dialect) (*counter, error) {
	_, err := db.ExecContext(ctx, d.counterSchema)
	return &counter{db: db, dialect: d}, err
}

func (c *counter) append(ctx context.Context, stream string, n int) error {
	args := make([]any, 0, 2+7*n)
	args = append(args, stream, n)
	now := time.Now().UTC()
	for i := range n {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		args = append(args, id.String(), "order.placed", nil, nil, data, metadata, i+1)
	}
	args = append(args, c.dialect.time(now))
	if c.dialect.counterAppend != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.dialect.counterAppend(ctx, c.db, args)
	}
	// The look before the write, as the store of this shape does.
	var id, version int64
	err := c.db.QueryRowContext(ctx, `select stream_id, stream_version from counter_streams where name = $1`, stream).Scan(&id, &version)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	stmt, err := prepared(ctx, &c.inserts, c.db, n, func() string { return counterInsert(n) }) //nolint:sqlclosecheck // kept
	if err != nil {
		return err
	}
	_, err = stmt.ExecContext(ctx, args...)
	return err
}

// counterInsert is one statement of chained parts for n events of one stream, at any version.
func counterInsert(n int) string {
	tuples := ""
	for i := range n {
		if i > 0 {
			tuples += ","
		}
		p := 3 + 7*i
		tuples += fmt.Sprintf("($%d::uuid, $%d::text, $%d::uuid, $%d::uuid, $%d::bytea, $%d::bytea, $%d::bigint)", p, p+1, p+2, p+3, p+4, p+5, p+6)
	}
	return fmt.Sprintf(`
with input (event_id, event_type, causation_id, correlation_id, data, metadata, idx) as (values %s),
inserted as (
  insert into counter_events (event_id, event_type, causation_id, correlation_id, data, metadata, created_at)
  select event_id, event_type, causation_id, correlation_id, data, metadata, $%d::timestamptz from input
), stream as (
  insert into counter_streams (name, stream_version) values ($1::text, $2::bigint)
  on conflict (name) do update set stream_version = counter_streams.stream_version + $2::bigint
  returning stream_id, stream_version - $2::bigint as before
), own as (
  insert into counter_stream_events (event_id, stream_id, stream_version, original_stream_id, original_stream_version)
  select i.event_id, s.stream_id, s.before + i.idx, s.stream_id, s.before + i.idx from input i, stream s
), everything as (
  update counter_streams set stream_version = stream_version + $2::bigint where stream_id = 0
  returning stream_version - $2::bigint as before
)
insert into counter_stream_events (event_id, stream_id, stream_version, original_stream_id, original_stream_version)
select i.event_id, 0, e.before + i.idx, s.stream_id, s.before + i.idx from input i, stream s, everything e`, tuples, 3+7*n)
}

func (c *counter) readStream(ctx context.Context, stream string) (int, error) {
	n, _, err := pages(ctx, c.db, c.dialect, 0, counterSelect+` where se.stream_id = (select stream_id from counter_streams where name = $1) and se.stream_version > $2 order by se.stream_version limit $3`, stream)
	return n, err
}

func (c *counter) readAll(ctx context.Context, after int64) (int, int64, error) {
	return pages(ctx, c.db, c.dialect, after, counterAll)
}

func (c *counter) poll(ctx context.Context, done func(n int, last int64) error) error {
	return eachPage(ctx, c.db, c.dialect, 0, done, counterAll)
}

const counterAll = counterSelect + ` where se.stream_id = 0 and se.stream_version > $1 order by se.stream_version limit $2`

const counterSelect = `select se.stream_version, s.name, se.original_stream_version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.data, e.metadata, e.created_at
from counter_stream_events se join counter_streams s on s.stream_id = se.original_stream_id join counter_events e on e.event_id = se.event_id`
