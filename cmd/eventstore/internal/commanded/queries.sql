-- All statements on a store of commanded/eventstore. /*schema.*/ becomes its schema, and /*data*/ behind a column what
-- makes jsonb text. They only select: the locks are ACCESS SHARE on the tables, which no insert, update or delete waits for.
-- Times are microseconds of Unix time: of a column without time zone, too, as it holds UTC. Seconds and microseconds are taken apart:
-- before version 14 extract is a floating-point number, which is too coarse for both.

-- name: columns
-- The columns of the tables of a schema, from the catalog, which every user may read, with who the user is and whether he may use
-- the schema and select the column.
select c.relname::text, a.attname::text, t.typname::text, current_user::text,
  has_schema_privilege(n.oid, 'usage'), has_column_privilege(c.oid, a.attnum, 'select')
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_catalog.pg_type t on t.oid = a.atttypid
where n.nspname = $1::text and c.relkind in ('r', 'p')
  and c.relname in ('streams', 'events', 'stream_events', 'subscriptions', 'snapshots', 'schema_migrations');

-- name: version
-- The last migration: no row in a store whose list of them was lost.
select major_version, minor_version, patch_version from /*schema.*/schema_migrations
order by major_version desc, minor_version desc, patch_version desc limit 1;

-- name: known
-- Those of a JSON list of names that a stream, the stream of a subscription, or a snapshot has, by the indexes on them.
select t.name from jsonb_array_elements_text($1::jsonb) as t (name)
where exists (select from /*schema.*/streams s where s.stream_uuid = t.name)
  or exists (select from /*schema.*/subscriptions b where b.stream_uuid = t.name)
  or exists (select from /*schema.*/snapshots n where n.source_uuid = t.name);

-- name: unfit
-- Names that are refused. $1, $2 and $3 are the bytes that names of streams, types and subscriptions may have, $4 how many
-- are wanted; each row has the number of all. $5 is a JSON list of names of streams that get another name, or are left out, and $6 of
-- the latter. Unless $7 is set it reads the table of events once; it has no index on types.
with unfit as (
  select 1 as place, 'stream' as kind, stream_uuid as name from /*schema.*/streams
  where stream_id <> 0 and (stream_uuid = '' or octet_length(stream_uuid) > $1::int or stream_uuid like '$%')
    and stream_uuid not in (select jsonb_array_elements_text($5::jsonb))
  union
  select 2, 'event type', event_type from /*schema.*/events e
  where not $7::boolean and (event_type = '' or octet_length(event_type) > $2::int)
    and exists (
      select from /*schema.*/stream_events a
      join /*schema.*/streams s on s.stream_id = a.original_stream_id
      where a.event_id = e.event_id and a.stream_id = 0 and s.stream_uuid not in (select jsonb_array_elements_text($6::jsonb))
    )
  union
  select 3, 'subscription', subscription_name from /*schema.*/subscriptions
  where (subscription_name = '' or octet_length(subscription_name) > $3::int or subscription_name like '$%')
    and stream_uuid not in (select jsonb_array_elements_text($6::jsonb))
  union
  select 4, 'subscribed stream', stream_uuid from /*schema.*/subscriptions
  where stream_uuid <> '$all' and (stream_uuid = '' or octet_length(stream_uuid) > $1::int or stream_uuid like '$%')
    and stream_uuid not in (select jsonb_array_elements_text($5::jsonb))
  union
  select 5, 'snapshot', source_uuid from /*schema.*/snapshots
  where (source_uuid = '' or octet_length(source_uuid) > $1::int)
    and source_uuid not in (select jsonb_array_elements_text($5::jsonb))
  union
  select 6, 'snapshot type', source_type from /*schema.*/snapshots
  where (source_type = '' or octet_length(source_type) > $2::int)
    and source_uuid not in (select jsonb_array_elements_text($6::jsonb))
)
select kind, name, count(*) over () from unfit order by place, name limit $4::int;

-- name: head
-- The version of $all: row 0, by its primary key.
select stream_version from /*schema.*/streams where stream_id = 0;

-- name: identity
-- Which database of its server this is, and how it is called.
select d.oid::bigint, d.datname::text from pg_catalog.pg_database d where d.datname = current_database();

-- name: system
-- The identifier that initdb gave the server, which its standbys share, and whether the user may read it.
select s.system_identifier::text from pg_catalog.pg_control_system() s;

-- name: may_system
select has_function_privilege('pg_catalog.pg_control_system()', 'execute');

-- name: event_at
-- The event at a place in $all, by the unique index (stream_id, stream_version).
select event_id from /*schema.*/stream_events where stream_id = 0 and stream_version = $1::bigint;

-- name: streams
-- The number of events that a stream has of its own, and that $all has too, is its version unless links or holes are
-- between them. Reads stream_events twice, in one hash join: there is no index on original_stream_id.
select s.stream_id, s.stream_uuid, s.stream_version,
  (extract(epoch from date_trunc('second', s.created_at))::bigint * 1000000 + extract(microseconds from s.created_at)::bigint % 1000000),
  (extract(epoch from date_trunc('second', s.deleted_at))::bigint * 1000000 + extract(microseconds from s.deleted_at)::bigint % 1000000),
  coalesce(o.events, 0) <> s.stream_version
from /*schema.*/streams s
left join (
  select own.stream_id, count(*) as events
  from /*schema.*/stream_events own
  join /*schema.*/stream_events a on a.event_id = own.event_id and a.stream_id = 0
  where own.stream_id <> 0 and own.original_stream_id = own.stream_id
  group by own.stream_id
) o on o.stream_id = s.stream_id
where s.stream_id <> 0
order by s.stream_id;

-- name: links
-- Places of events in streams that are not theirs, with the names of both streams; that of the event's is null if the event is not in
-- $all any more, in a stream that is still there. Each is looked up by primary key.
select l.stream_id, t.stream_uuid, l.stream_version, l.event_id, s.stream_uuid
from /*schema.*/stream_events l
join /*schema.*/streams t on t.stream_id = l.stream_id
left join /*schema.*/stream_events a on a.event_id = l.event_id and a.stream_id = 0
left join /*schema.*/events e on e.event_id = a.event_id
left join /*schema.*/streams s on s.stream_id = a.original_stream_id and e.event_id is not null
where l.stream_id <> 0 and l.original_stream_id <> l.stream_id
order by l.stream_id, l.stream_version;

-- name: orphans
-- Events that have no place in $all: an append that lost a race with a hard delete leaves them. A hash anti join.
select count(*) from /*schema.*/events e
where not exists (select from /*schema.*/stream_events a where a.event_id = e.event_id and a.stream_id = 0);

-- name: snapshots
-- All snapshots, by primary key.
select source_uuid, source_version, source_type, data/*data*/, metadata/*data*/,
  (extract(epoch from date_trunc('second', created_at))::bigint * 1000000 + extract(microseconds from created_at)::bigint % 1000000)
from /*schema.*/snapshots
order by source_uuid;

-- name: subscriptions
-- All subscriptions, with the id of the stream, which is found by the unique index on its name. That of $all is 0, and so is that of a
-- stream that is not there. The last column says whether the checkpoint may count in a stream of that name that was hard deleted: the
-- stream is not there, or is shorter, or was created after the subscription in a store with hard deletes before it. Those leave places
-- of $all without an event: the first one below the stream's first event tells. It is looked for only if a subscription is older than its
-- stream; that reads the places of $all in the order of the unique index (stream_id, stream_version).
with hole as materialized (
  select min(g.place) as place from (
    select a.stream_version, row_number() over (order by a.stream_version) as place from /*schema.*/stream_events a where a.stream_id = 0
  ) g where g.stream_version <> g.place
)
select b.stream_uuid, b.subscription_name, coalesce(b.last_seen, 0), coalesce(s.stream_id, 0), s.stream_version,
  (extract(epoch from date_trunc('second', b.created_at))::bigint * 1000000 + extract(microseconds from b.created_at)::bigint % 1000000),
  case
    when b.stream_uuid = '$all' or coalesce(b.last_seen, 0) = 0 then false
    when s.stream_id is null or b.last_seen > s.stream_version then true
    when b.created_at >= s.created_at then false
    else exists (
      select from hole h
      where h.place < (
        select a.stream_version from /*schema.*/stream_events f
        join /*schema.*/stream_events a on a.event_id = f.event_id and a.stream_id = 0
        where f.stream_id = s.stream_id order by f.stream_version limit 1
      )
    )
  end
from /*schema.*/subscriptions b
left join /*schema.*/streams s on s.stream_uuid = b.stream_uuid
order by b.stream_uuid, b.subscription_name;

-- name: events
-- A page of at most $3 events of $all after $1, up to $2: by the unique index (stream_id, stream_version), and each event
-- and stream by primary key. offset 0 keeps the planner from reading all of events for a page of it.
select a.stream_version, a.original_stream_version, s.stream_id, s.stream_uuid,
  e.event_id, e.event_type, e.causation_id, e.correlation_id, e.created_at, e.data, e.metadata, s.created_at
from (
  select event_id, stream_version, original_stream_id, original_stream_version
  from /*schema.*/stream_events
  where stream_id = 0 and stream_version > $1::bigint and stream_version <= $2::bigint
  order by stream_version
  limit $3::int
) a
left join lateral (
  select event_id, event_type, causation_id, correlation_id, data/*data*/ as data, metadata/*data*/ as metadata,
    (extract(epoch from date_trunc('second', created_at))::bigint * 1000000 + extract(microseconds from created_at)::bigint % 1000000) as created_at
  from /*schema.*/events where event_id = a.event_id
  offset 0
) e on true
left join lateral (
  select stream_id, stream_uuid,
    (extract(epoch from date_trunc('second', created_at))::bigint * 1000000 + extract(microseconds from created_at)::bigint % 1000000) as created_at
  from /*schema.*/streams
  where stream_id = a.original_stream_id and stream_id <> 0
  offset 0
) s on true
order by a.stream_version;

-- name: moment
-- The head, and which transactions may not have ended: of all that the transaction of this statement does not see, none is older.
-- The functions are there in all versions of the server.
select stream_version, txid_snapshot_xmin(txid_current_snapshot()), txid_snapshot_xmax(txid_current_snapshot()),
  (select count(*) from /*schema.*/streams), (select max(stream_id) from /*schema.*/streams)
from /*schema.*/streams where stream_id = 0;

-- name: may_sequence
-- Whether the user may read the sequence of ids of streams.
select coalesce(has_sequence_privilege(to_regclass('/*schema.*/streams_stream_id_seq')::oid, 'select'), false);

-- name: sequence
select case when is_called then last_value else last_value - 1 end from /*schema.*/streams_stream_id_seq;

-- name: stream_rows
-- The table itself, by primary key.
select stream_id, stream_uuid, stream_version,
  (extract(epoch from date_trunc('second', created_at))::bigint * 1000000 + extract(microseconds from created_at)::bigint % 1000000),
  (extract(epoch from date_trunc('second', deleted_at))::bigint * 1000000 + extract(microseconds from deleted_at)::bigint % 1000000)
from /*schema.*/streams where stream_id <> 0 order by stream_id;

-- name: links_since
-- Links of the streams in $1, a JSON list of ids and versions, behind these: by the unique index (stream_id, stream_version), stream by
-- stream, and each event's stream by primary key.
select l.stream_id, l.stream_version, l.event_id, o.stream_uuid
from jsonb_to_recordset($1::jsonb) as c (id bigint, after bigint)
cross join lateral (
  select stream_id, stream_version, event_id, original_stream_id from /*schema.*/stream_events
  where stream_id = c.id and stream_version > c.after and original_stream_id <> stream_id
  offset 0
) l
join /*schema.*/streams o on o.stream_id = l.original_stream_id
order by l.stream_id, l.stream_version;

-- name: snapshots_since
-- Snapshots whose rows were written by transaction $1 or later ones; all, if it is 0. Reads the table, but not the data of the others:
-- created_at is that of a source's first snapshot. Rows that are so old that their transaction's number was used again may come, too.
select source_uuid, source_version, source_type, data/*data*/, metadata/*data*/,
  (extract(epoch from date_trunc('second', created_at))::bigint * 1000000 + extract(microseconds from created_at)::bigint % 1000000)
from /*schema.*/snapshots
where $1::bigint = 0 or age(xmin) <= age(($1::bigint & 4294967295)::text::xid)
order by source_uuid;

-- name: snapshots_of
-- By primary key.
select source_uuid, source_version, source_type, data/*data*/, metadata/*data*/,
  (extract(epoch from date_trunc('second', created_at))::bigint * 1000000 + extract(microseconds from created_at)::bigint % 1000000)
from /*schema.*/snapshots
where source_uuid in (select jsonb_array_elements_text($1::jsonb))
order by source_uuid;

-- name: snapshot_sources
select source_uuid from /*schema.*/snapshots;

-- name: places
-- How many places of $all are in each range of $2, up to $1: by the unique index (stream_id, stream_version) alone, unless there are
-- streams that are left out, $3, a JSON list.
select (stream_version - 1) / $2::bigint, count(*) from /*schema.*/stream_events
where stream_id = 0 and stream_version <= $1::bigint
  and ($3::jsonb is null or original_stream_id not in (
    select stream_id from /*schema.*/streams where stream_uuid in (select jsonb_array_elements_text($3::jsonb))
  ))
group by 1 order by 1;

-- name: positions
-- By the unique index (stream_id, stream_version), and each event and stream by primary key.
select a.stream_version, s.stream_uuid
from /*schema.*/stream_events a
join /*schema.*/events e on e.event_id = a.event_id
join /*schema.*/streams s on s.stream_id = a.original_stream_id
where a.stream_id = 0 and a.stream_version between $1::bigint and $2::bigint
order by a.stream_version;

-- name: stream_ids
-- The streams that are there, by primary key.
select stream_id from /*schema.*/streams where stream_id <> 0 order by stream_id;
