package bench

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"
)

// raw is one table with an identity for its place in the order of all events, and nothing that checks anything.
type raw struct {
	db     *sql.DB
	insert *sql.Stmt
	all    *sql.Stmt
	stream *sql.Stmt
}

const rawSchema = `create table raw_events (
	position bigint generated always as identity primary key, stream text not null, version bigint not null, event_id uuid not null unique,
	event_type text not null, causation_id uuid, correlation_id uuid, data bytea not null, metadata bytea, created_at timestamptz not null,
	unique (stream, version))`

const rawInsert = `insert into raw_events (stream, version, event_id, event_type, data, metadata, created_at) values ($1, $2, $3, $4, $5, $6, $7)`

func openRaw(ctx context.Context, _ string, db *sql.DB) (log, error) {
	r := raw{db: db}
	if _, err := db.ExecContext(ctx, rawSchema); err != nil {
		return nil, err
	}
	const columns = `select position, stream, version, event_id, event_type, causation_id, correlation_id, data, metadata, created_at from raw_events `
	var err error
	for query, stmt := range map[string]**sql.Stmt{
		rawInsert: &r.insert,
		columns + `where position > $1 order by position limit 1000`:               &r.all,
		columns + `where stream = $1 and version > $2 order by version limit 1000`: &r.stream,
	} {
		if *stmt, err = db.PrepareContext(ctx, query); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r raw) append(ctx context.Context, stream string, has, n int) error {
	if n == 1 {
		return r.add(ctx, r.insert, stream, has+1)
	}
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing
	for i := range n {
		if err := r.add(ctx, tx.StmtContext(ctx, r.insert), stream, has+i+1); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (raw) add(ctx context.Context, insert *sql.Stmt, stream string, version int) error {
	_, err := insert.ExecContext(ctx, stream, version, uuid.NewString(), eventType, payload(stream, version), metadata, time.Now())
	return err
}

func (r raw) appendTx(ctx context.Context, stream string, has int, hold time.Duration) error {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing
	if err := r.add(ctx, tx.StmtContext(ctx, r.insert), stream, has+1); err != nil {
		return err
	}
	time.Sleep(hold)
	return tx.Commit()
}

func (r raw) readStream(ctx context.Context, stream string) (n int, err error) {
	_, err = pages(0, func(after int64) (*sql.Rows, error) { return r.stream.QueryContext(ctx, stream, after) }, func(row) { n++ }, func(w row) int64 { return w.version })
	return n, err
}

func (r raw) readAll(ctx context.Context, after int64, each func(data []byte)) (int64, error) {
	return pages(after, func(after int64) (*sql.Rows, error) { return r.all.QueryContext(ctx, after) }, func(w row) { each(w.data) }, func(w row) int64 { return w.position })
}

// row is an event as raw and counter read it.
type row struct {
	position, version      int64
	stream, id, typ        string
	causation, correlation sql.NullString
	data, metadata         []byte
	created                time.Time
}

// pages reads page after page, and returns the place of the last event.
func pages(after int64, query func(after int64) (*sql.Rows, error), each func(row), place func(row) int64) (int64, error) {
	for {
		n, last, err := onePage(after, query, each, place)
		if after = last; err != nil || n < 1000 {
			return after, err
		}
	}
}

func onePage(after int64, query func(after int64) (*sql.Rows, error), each func(row), place func(row) int64) (n int, last int64, err error) {
	rows, err := query(after)
	if err != nil {
		return 0, after, err
	}
	defer rows.Close() //nolint:errcheck // Err is looked at
	for rows.Next() {
		var w row
		if err := rows.Scan(&w.position, &w.stream, &w.version, &w.id, &w.typ, &w.causation, &w.correlation, &w.data, &w.metadata, &w.created); err != nil {
			return n, after, err
		}
		each(w)
		n++
		after = place(w)
	}
	return n, after, rows.Err()
}
