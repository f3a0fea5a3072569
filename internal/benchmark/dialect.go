package benchmark

import (
	"context"
	"database/sql"
	"time"
)

// dialect is what the baselines need to know of a database.
type dialect struct {
	name                     string
	rawSchema, counterSchema string
	micros                   bool // times are numbers of microseconds
	// counterAppend, where set, appends for the counter shape; one at a time.
	counterAppend func(ctx context.Context, db *sql.DB, args []any) error
}

// time returns t as an argument.
func (d dialect) time(t time.Time) any {
	if d.micros {
		return t.UnixMicro()
	}
	return t
}

var postgresDialect = dialect{
	name: "postgres",
	rawSchema: `
create table raw_events (
  position bigserial primary key, stream text not null, version bigint not null, event_id uuid not null unique, event_type text not null,
  causation_id uuid, correlation_id uuid, data bytea not null, metadata bytea, created_at timestamptz not null,
  unique (stream, version)
);`,
	counterSchema: `
create table counter_streams (
  stream_id bigserial primary key, name text not null unique, stream_version bigint not null default 0,
  created_at timestamptz not null default now(), deleted_at timestamptz
);
create table counter_events (
  event_id uuid primary key, event_type text not null, causation_id uuid, correlation_id uuid, data bytea not null,
  metadata bytea, created_at timestamptz not null
);
create table counter_stream_events (
  event_id uuid not null references counter_events, stream_id bigint not null references counter_streams, stream_version bigint not null,
  original_stream_id bigint references counter_streams, original_stream_version bigint,
  primary key (event_id, stream_id), unique (stream_id, stream_version)
);
insert into counter_streams (stream_id, name) values (0, '$all');
create function counter_notify() returns trigger language plpgsql as $$
declare before bigint;
begin
  before := case when tg_op = 'UPDATE' then old.stream_version else 0 end;
  perform pg_notify('counter.events', new.name || ',' || new.stream_id || ',' || before + 1 || ',' || new.stream_version);
  return new;
end $$;
create trigger counter_notify after insert or update on counter_streams for each row execute function counter_notify();`,
}

var sqliteDialect = dialect{
	name:   "sqlite",
	micros: true,
	rawSchema: `
create table raw_events (
  position integer primary key autoincrement, stream text not null, version integer not null, event_id text not null unique, event_type text not null,
  causation_id text, correlation_id text, data blob not null, metadata blob, created_at integer not null,
  unique (stream, version)
);`,
	counterSchema: `
create table counter_streams (stream_id integer primary key, name text not null unique, stream_version integer not null default 0);
create table counter_events (
  event_id text primary key, event_type text not null, causation_id text, correlation_id text, data blob not null, metadata blob, created_at integer not null
);
create table counter_stream_events (
  event_id text not null references counter_events, stream_id integer not null references counter_streams, stream_version integer not null,
  original_stream_id integer references counter_streams, original_stream_version integer,
  primary key (event_id, stream_id), unique (stream_id, stream_version)
);
insert into counter_streams (stream_id, name) values (0, '$all');`,
	counterAppend: counterAppendSQLite,
}

// counterAppendSQLite does what counterInsert does in a transaction of several statements, since SQLite has no chained
// ones.
func counterAppendSQLite(ctx context.Context, db *sql.DB, args []any) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing
	var id, version, all int64
	err = tx.QueryRowContext(ctx, `insert into counter_streams (name, stream_version) values ($1, $2)
		on conflict (name) do update set stream_version = stream_version + $2 returning stream_id, stream_version`, args[0], args[1]).Scan(&id, &version)
	if err != nil {
		return err
	}
	err = tx.QueryRowContext(ctx, `update counter_streams set stream_version = stream_version + $1 where stream_id = 0 returning stream_version`, args[1]).Scan(&all)
	if err != nil {
		return err
	}
	n := int64(args[1].(int))
	for i := int64(0); i < n; i++ {
		e := args[2+7*i:]
		if _, err := tx.ExecContext(ctx, `insert into counter_events values ($1, $2, $3, $4, $5, $6, $7)`, e[0], e[1], e[2], e[3], e[4], e[5], args[len(args)-1]); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `insert into counter_stream_events values ($1, $2, $3, $2, $3), ($1, 0, $4, $2, $3)`, e[0], id, version-n+i+1, all-n+i+1); err != nil {
			return err
		}
	}
	return tx.Commit()
}
