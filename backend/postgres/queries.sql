-- All statements of this backend. The schema comment before a name is replaced by the store's schema. The comment "out" before bytes is
-- replaced by the function hex, for drivers that can't read them otherwise.

-- name: append_events
-- Where an append goes: the function append, in the migrations, tells what happens, and which locks and indexes it takes.
-- Returns (stream_id,version,append_seq) as text, of nulls if nothing was written: a row to select from costs more.
select /*schema.*/append/*of*/(
  $1::text, $2::bigint, $3::boolean, $4::int, $5::boolean, $6::bytea, $7::bytea, $8::bytea, $9::text::text[],
  $10::bytea, $11::bytea, $12::text::int[], $13::text::bigint[], $14::bigint, $15::bigint, $16::bigint, $17::int
)::text;

-- name: append_one
-- The same for a single event: the function append_one.
select /*schema.*/append_one/*of*/(
  $1::text, $2::bigint, $3::boolean, $4::boolean, $5::uuid, $6::uuid, $7::uuid, $8::text, $9::text, $10::bytea, $11::bytea, $12::bigint
);

-- name: append_events_brief
-- append_events for the second in line at the gate: when it has waited so long for the stream's row, the server gives it up
-- (55P03). Columns are evaluated in their order. The setting ends with the statement, which is a transaction by itself.
select set_config('lock_timeout', '100ms', true), /*schema.*/append/*of*/(
  $1::text, $2::bigint, $3::boolean, $4::int, $5::boolean, $6::bytea, $7::bytea, $8::bytea, $9::text::text[],
  $10::bytea, $11::bytea, $12::text::int[], $13::text::bigint[], $14::bigint, $15::bigint, $16::bigint, $17::int
)::text;

-- name: append_one_brief
-- The same for a single event.
select set_config('lock_timeout', '100ms', true), /*schema.*/append_one/*of*/(
  $1::text, $2::bigint, $3::boolean, $4::boolean, $5::uuid, $6::uuid, $7::uuid, $8::text, $9::text, $10::bytea, $11::bytea, $12::bigint
);

-- name: append_group
-- Many appends to different streams in one commit: the function append_group. Returns per append the stream's new
-- version, or null.
select /*schema.*/append_group/*of*/(
  $1::text::text[], $2::text::bigint[], $3::text::boolean[], $4::text::bigint[], $5::text::boolean[], $6::text::int[],
  $7::bytea, $8::bytea, $9::bytea, $10::text::text[], $11::bytea, $12::bytea, $13::text::int[], $14::text::bigint[]
)::text;

-- name: append_all
-- Appends to several streams, all or none: the function append_all. Returns {ids},{versions},{numbers}, or null if nothing was written.
-- The server gives up after a short wait for one of the streams (55P03), as in append_events_brief: the others must not wait for long.
select set_config('lock_timeout', '100ms', true), /*schema.*/append_all/*of*/(
  $1::text::text[], $2::text::bigint[], $3::text::boolean[], $4::text::bigint[], $5::bytea, $6::text::int[],
  $7::bytea, $8::bytea, $9::bytea, $10::text::text[], $11::bytea, $12::bytea, $13::text::int[], $14::text::bigint[]
)::text;

-- name: append_all_in_tx
-- The same in a transaction: the function append_all_in_tx.
select /*schema.*/append_all_in_tx/*of*/(
  $1::text::text[], $2::text::bigint[], $3::text::boolean[], $4::text::bigint[], $5::bytea, $6::text::int[],
  $7::bytea, $8::bytea, $9::bytea, $10::text::text[], $11::bytea, $12::bytea, $13::text::int[], $14::text::bigint[]
)::text;

-- name: lock_briefly
-- Has the server give up the statements of this transaction that wait for a lock for longer.
select set_config('lock_timeout', '100ms', true);

-- name: await_stream
-- Waits until no other session holds the stream: the function await_stream.
select /*schema.*/await_stream/*of*/($1::text)::text;

-- name: append_events_in_tx
-- The same for a caller's transaction and ids that the caller gave.
select /*schema.*/append_in_tx/*of*/(
  $1::text, $2::bigint, $3::boolean, $4::int, $5::boolean, $6::bytea, $7::bytea, $8::bytea, $9::text::text[],
  $10::bytea, $11::bytea, $12::text::int[], $13::text::bigint[], $14::bigint, $15::bigint, $16::bigint, $17::int
)::text;

-- name: append_begin
-- Around an append that takes several statements in a caller's transaction: one that is refused half-way is undone.
savepoint eventstore_append;

-- name: append_undo
rollback to savepoint eventstore_append;

-- name: append_end
release savepoint eventstore_append;

-- name: find_stream
-- What a lost compare-and-set is judged by, and what a page that came back empty means. Index: streams_name_key.
select s.stream_id, s.version, s.created_at, s.deleted_at, s.linked from /*schema.*/streams as s where s.name = $1::text;

-- name: lock_stream
-- Takes the target's row lock before a link looks for what is in it, so that the look comes after whatever another
-- session was doing to the stream. Index: streams_name_key.
select s.version from /*schema.*/streams as s where s.name = $1::text for no key update;

-- name: judge_append
-- What an append with ids of the caller's ($2 the first, $3 all, 16 bytes each, $4 of them) is judged by that was refused: the
-- stream; the first version of the earlier append to it that it repeats; and the first of the ids that is in the store. One
-- statement and so one moment: a stream that is written or deleted between two looks would make an error that was never true.
-- Indexes: streams_name_key, events_event_id_key, events_pkey.
select s.version, s.deleted_at is not null, r.first, k.n
from (values (true)) as one (row)
left join /*schema.*/streams as s on s.name = $1::text
left join lateral (
  select min(a.version) as first from (
    select e.event_id, e.version, e.idx from /*schema.*/events as e
    where e.append_seq = (select f.append_seq from /*schema.*/events as f where f.event_id = $2::uuid and f.stream_id = s.stream_id)
    order by e.idx limit $4::int + 1
  ) as a
  having string_agg(uuid_send(a.event_id), ''::bytea order by a.idx) = $3::bytea
) as r on true
left join lateral (
  select i.n from generate_series(0, $4::int - 1) as i (n) cross join lateral (
    select from /*schema.*/events as e
    where e.event_id = encode(substring($3::bytea from 16 * i.n + 1 for 16), 'hex')::uuid
    offset 0
  ) as known
  order by i.n limit 1
) as k on true;

-- name: judge_all
-- judge_append for several appends: $1 their streams, $2 how many events they have, $3 where their ids begin in $4, which has the ids of
-- all, 16 bytes each. Indexes: as judge_append.
select s.version, s.deleted_at is not null, r.first, k.n
from unnest($1::text::text[], $2::text::int[], $3::text::int[]) with ordinality as a (stream, total, start, nr)
left join lateral (
  select t.stream_id, t.version, t.deleted_at from /*schema.*/streams as t where t.name = a.stream offset 0
) as s on true
left join lateral (
  select min(o.version) as first from (
    select e.event_id, e.version, e.idx from /*schema.*/events as e
    where e.append_seq = (
      select f.append_seq from /*schema.*/events as f
      where f.event_id = encode(substring($4::bytea from 16 * a.start + 1 for 16), 'hex')::uuid and f.stream_id = s.stream_id
    )
    order by e.idx limit a.total + 1
  ) as o
  having string_agg(uuid_send(o.event_id), ''::bytea order by o.idx) = substring($4::bytea from 16 * a.start + 1 for 16 * a.total)
) as r on true
left join lateral (
  select i.n from generate_series(0, a.total - 1) as i (n) cross join lateral (
    select from /*schema.*/events as e
    where e.event_id = encode(substring($4::bytea from 16 * (a.start + i.n) + 1 for 16), 'hex')::uuid
    offset 0
  ) as known
  order by i.n limit 1
) as k on true
order by a.nr;

-- name: wait_for_standby
-- Writes a record that means nothing, so that the commit waits for synchronous standbys until they have all that was committed before.
select pg_logical_emit_message(true, 'eventstore', '')::text;

-- name: find_linkable
-- Resolves the ids (16 bytes each in $1, $2 of them) for a link, and locks their streams against a hard delete, which
-- waits, or is waited for and then seen. Appends to those streams go on. Indexes: events_event_id_key, streams_pkey.
select i.n, e.append_seq, e.idx, s.stream_id
from generate_series(0, $2::int - 1) as i (n) cross join lateral (
  select f.append_seq, f.idx, f.stream_id from /*schema.*/events as f
  where f.event_id = encode(substring($1::bytea from 16 * i.n + 1 for 16), 'hex')::uuid
  offset 0
) as e
join /*schema.*/streams as s on s.stream_id = e.stream_id
for key share of s;

-- name: find_linkable_now
-- The same, but it passes over streams that are locked against it: those that another session is deleting.
select i.n, e.append_seq, e.idx, s.stream_id
from generate_series(0, $2::int - 1) as i (n) cross join lateral (
  select f.append_seq, f.idx, f.stream_id from /*schema.*/events as f
  where f.event_id = encode(substring($1::bytea from 16 * i.n + 1 for 16), 'hex')::uuid
  offset 0
) as e
join /*schema.*/streams as s on s.stream_id = e.stream_id
for key share of s skip locked;

-- name: stream_of
-- The stream that an event was appended to. Indexes: events_event_id_key, streams_pkey.
select s.name from /*schema.*/events as e join /*schema.*/streams as s on s.stream_id = e.stream_id where e.event_id = $1::uuid;

-- name: wait_for_stream
-- Returns when no session is deleting the stream, and holds nothing then. Index: streams_name_key.
select from /*schema.*/streams as s where s.name = $1::text for key share;

-- name: link_events
-- Where a link goes: see the function link, in the migrations. The row is null if nothing was written.
select /*schema.*/link/*of*/($1::text, $2::bigint, $3::boolean, $4::text::bigint[], $5::text::int[]);

-- name: find_linked
-- The first of the events that is linked to the stream already. Index: links_event_key.
select i.nr - 1 from unnest($2::text::bigint[], $3::text::int[]) with ordinality as i (append_seq, idx, nr) cross join lateral (
  select from /*schema.*/links as l where l.append_seq = i.append_seq and l.idx = i.idx and l.stream_id = $1::bigint offset 0
) as k
order by i.nr limit 1;

-- name: lock_for_delete
-- Locks the stream's row against every writer, so that what is judged stays so and what a hard delete looks for is all
-- there is. Index: streams_name_key.
select s.stream_id, s.version, s.created_at, s.deleted_at, s.linked from /*schema.*/streams as s where s.name = $1::text for update;

-- name: soft_delete
update /*schema.*/streams as s set deleted_at = clock_timestamp() where s.stream_id = $1::bigint;

-- name: undelete
-- The row is locked by lock_for_delete.
update /*schema.*/streams as s set deleted_at = null where s.stream_id = $1::bigint;

-- name: hard_delete
-- See the function hard_delete, in the migrations.
select /*schema.*/hard_delete/*of*/($1::bigint);

-- name: read_stream_forward
-- A page of a stream's own events, with the stream's id before each header. Data is null of an event that weighs more than $5, here and
-- in all statements that read pages: read_large fetches it. No rows if the stream has links, is deleted or
-- absent, or has another id than $4 (0: any id); find_stream shows which. Indexes: events_version_key, streams_name_key.
select /*out*/(int8send(e.stream_id) || /*schema.*/header(e.version, e.created_at, e.event_id, e.causation_id, e.correlation_id, e.event_type)), e.content_type,
  /*out*/(case when /*schema.*/weight(e.data) + coalesce(/*schema.*/weight(e.metadata), 0) <= $5::bigint then e.data end),
  /*out*/(case when /*schema.*/weight(e.data) + coalesce(/*schema.*/weight(e.metadata), 0) <= $5::bigint then e.metadata end)
from /*schema.*/events as e
where e.stream_id = (select s.stream_id from /*schema.*/streams as s where s.name = $1::text and s.deleted_at is null and not s.linked and $4::bigint in (0, s.stream_id))
  and e.version >= $2::bigint
order by e.version limit $3::int;

-- name: read_stream_backward
select /*out*/(int8send(e.stream_id) || /*schema.*/header(e.version, e.created_at, e.event_id, e.causation_id, e.correlation_id, e.event_type)), e.content_type,
  /*out*/(case when /*schema.*/weight(e.data) + coalesce(/*schema.*/weight(e.metadata), 0) <= $5::bigint then e.data end),
  /*out*/(case when /*schema.*/weight(e.data) + coalesce(/*schema.*/weight(e.metadata), 0) <= $5::bigint then e.metadata end)
from /*schema.*/events as e
where e.stream_id = (select s.stream_id from /*schema.*/streams as s where s.name = $1::text and s.deleted_at is null and not s.linked and $4::bigint in (0, s.stream_id))
  and e.version <= $2::bigint
order by e.version desc limit $3::int;

-- name: read_linked_forward
-- A page of a stream that has links. Each branch stops at the page's size. Indexes: events_version_key, links_pkey, events_pkey.
select r.number, /*out*/(/*schema.*/header(r.version, r.created_at, r.event_id, r.causation_id, r.correlation_id, r.event_type)), r.content_type,
  /*out*/(case when /*schema.*/weight(r.data) + coalesce(/*schema.*/weight(r.metadata), 0) <= $4::bigint then r.data end),
  /*out*/(case when /*schema.*/weight(r.data) + coalesce(/*schema.*/weight(r.metadata), 0) <= $4::bigint then r.metadata end), s.name
from (
  (select e.version as number, e.append_seq, e.idx, e.stream_id, e.version, e.created_at, e.event_id, e.causation_id, e.correlation_id, e.event_type, e.content_type, e.data, e.metadata
   from /*schema.*/events as e where e.stream_id = $1::bigint and e.version >= $2::bigint order by e.version limit $3::int)
  union all
  (select l.version, e.append_seq, e.idx, e.stream_id, e.version, e.created_at, e.event_id, e.causation_id, e.correlation_id, e.event_type, e.content_type, e.data, e.metadata
   from /*schema.*/links as l
     cross join lateral (select f.* from /*schema.*/events as f where f.append_seq = l.append_seq and f.idx = l.idx offset 0) as e
   where l.stream_id = $1::bigint and l.version >= $2::bigint order by l.version limit $3::int)
) as r cross join lateral (select t.name from /*schema.*/streams as t where t.stream_id = r.stream_id offset 0) as s
order by r.number limit $3::int;

-- name: read_linked_backward
select r.number, /*out*/(/*schema.*/header(r.version, r.created_at, r.event_id, r.causation_id, r.correlation_id, r.event_type)), r.content_type,
  /*out*/(case when /*schema.*/weight(r.data) + coalesce(/*schema.*/weight(r.metadata), 0) <= $4::bigint then r.data end),
  /*out*/(case when /*schema.*/weight(r.data) + coalesce(/*schema.*/weight(r.metadata), 0) <= $4::bigint then r.metadata end), s.name
from (
  (select e.version as number, e.append_seq, e.idx, e.stream_id, e.version, e.created_at, e.event_id, e.causation_id, e.correlation_id, e.event_type, e.content_type, e.data, e.metadata
   from /*schema.*/events as e where e.stream_id = $1::bigint and e.version <= $2::bigint order by e.version desc limit $3::int)
  union all
  (select l.version, e.append_seq, e.idx, e.stream_id, e.version, e.created_at, e.event_id, e.causation_id, e.correlation_id, e.event_type, e.content_type, e.data, e.metadata
   from /*schema.*/links as l
     cross join lateral (select f.* from /*schema.*/events as f where f.append_seq = l.append_seq and f.idx = l.idx offset 0) as e
   where l.stream_id = $1::bigint and l.version <= $2::bigint order by l.version desc limit $3::int)
) as r cross join lateral (select t.name from /*schema.*/streams as t where t.stream_id = r.stream_id offset 0) as s
order by r.number desc limit $3::int;

-- name: read_log_forward
-- The runs of appends that hold the $2 positions from $1 on, and the one behind those, so that a reader gets over positions
-- that a hard delete left unused. They come in one value, 24 bytes each: a row for each could cost
-- the reader as much as the event itself. The store, and the server since its start with the database, tell what the ids of streams
-- belong to: a standby that takes over, a server that was restored, and a copy of a database are others. Not the timeline of the
-- WAL, which not every server shows (Amazon Aurora). Index: log_pkey, pg_database_datname_index.
select /*out*/(string_agg(int8send(p.position) || int8send(p.append_seq) || int4send(p.n) || int4send(p.appends), ''::bytea)),
  (select h.store_id::text from /*schema.*/store as h),
  (select extract(epoch from pg_postmaster_start_time()) || '/' || d.oid from pg_database as d where d.datname = current_database())
from (
  (select l.position, l.append_seq, l.n, l.appends from /*schema.*/log as l where l.position <= $1::bigint order by l.position desc limit 1)
  union all
  (select l.position, l.append_seq, l.n, l.appends from /*schema.*/log as l where l.position > $1::bigint and l.position < $1::bigint + $2::bigint order by l.position limit $2::bigint)
  union all
  (select l.position, l.append_seq, l.n, l.appends from /*schema.*/log as l where l.position >= $1::bigint + $2::bigint order by l.position limit 1)
) as p;

-- name: read_log_backward
-- The same, downwards. Index: log_pkey.
select /*out*/(string_agg(int8send(p.position) || int8send(p.append_seq) || int4send(p.n) || int4send(p.appends), ''::bytea)),
  (select h.store_id::text from /*schema.*/store as h),
  (select extract(epoch from pg_postmaster_start_time()) || '/' || d.oid from pg_database as d where d.datname = current_database())
from (
  (select l.position, l.append_seq, l.n, l.appends from /*schema.*/log as l where l.position <= $1::bigint and l.position > $1::bigint - $2::bigint order by l.position desc limit $2::bigint)
  union all
  (select l.position, l.append_seq, l.n, l.appends from /*schema.*/log as l where l.position <= $1::bigint - $2::bigint order by l.position desc limit 1)
) as p;

-- name: read_events_range
-- Events in the order of their numbers, both ends inclusive: a plain range of events_pkey.
select /*out*/(/*schema.*/place(e.append_seq, e.idx, e.stream_id) || /*schema.*/header(e.version, e.created_at, e.event_id, e.causation_id, e.correlation_id, e.event_type)), e.content_type,
  /*out*/(case when /*schema.*/weight(e.data) + coalesce(/*schema.*/weight(e.metadata), 0) <= $6::bigint then e.data end),
  /*out*/(case when /*schema.*/weight(e.data) + coalesce(/*schema.*/weight(e.metadata), 0) <= $6::bigint then e.metadata end)
from /*schema.*/events as e
where (e.append_seq, e.idx) >= ($1::bigint, $2::int) and (e.append_seq, e.idx) <= ($3::bigint, $4::int)
order by e.append_seq, e.idx limit $5::int;

-- name: read_event
-- Index: events_event_id_key, streams_pkey.
select e.version, /*out*/(/*schema.*/header(e.version, e.created_at, e.event_id, e.causation_id, e.correlation_id, e.event_type)), e.content_type, /*out*/(e.data), /*out*/(e.metadata), s.name
from /*schema.*/events as e join /*schema.*/streams as s on s.stream_id = e.stream_id
where e.event_id = $1::uuid;

-- name: read_large
-- Data and metadata of the events with the ids $1, until one does not fit into a page of $3 bytes, and until one is not there any
-- more. $2 is what the page has before each of them, beside those of this list; the first fits if $4. An event that does not fit is
-- the last one looked at: the recursion takes one event after the other. The arrays are made once. Index: events_event_id_key.
with recursive r (nr, bytes, data, metadata) as (
  select 0, 0::bigint, null::bytea/*data_type*/, null::bytea/*data_type*/
  union all
  select r.nr + 1, r.bytes + l.bytes, l.data, l.metadata
  from r cross join lateral (
    select e.data, e.metadata, /*schema.*/size(e.data) + coalesce(/*schema.*/size(e.metadata), 0) as bytes
    from /*schema.*/events as e where e.event_id = ((select $1::text::uuid[]))[r.nr + 1] offset 0
  ) as l
  where r.nr = 0 and $4::boolean or ((select $2::text::bigint[]))[r.nr + 1] + r.bytes + l.bytes <= $3::bigint
)
select r.nr, /*out*/(r.data), /*out*/(r.metadata) from r where r.nr > 0;

-- name: find_correlation
-- Where the events of a correlation are from position $2 on, in one value, 20 bytes each, in no order. All pages of the correlation
-- are read by it. Indexes: events_correlation_idx, log_append_seq_key.
select /*out*/(string_agg(int8send(l.position + e.idx) || int8send(e.append_seq) || int4send(e.idx), ''::bytea))
from /*schema.*/events as e
  cross join lateral (
    select k.position + (e.append_seq - k.append_seq) * k.n as position, k.append_seq + k.appends as behind
    from /*schema.*/log as k where k.append_seq <= e.append_seq order by k.append_seq desc limit 1
  ) as l
where e.append_seq < l.behind and e.correlation_id = $1::uuid and l.position + e.idx >= $2::bigint;

-- name: read_places
-- The events at the places ($2, $3), each with its position in $1, in their order, with their streams' names, which begin with $5
-- unless that is null; those that were hard deleted are missing. Indexes: events_pkey, streams_pkey.
select i.position, /*out*/(/*schema.*/header(e.version, e.created_at, e.event_id, e.causation_id, e.correlation_id, e.event_type)), e.content_type,
  /*out*/(case when /*schema.*/weight(e.data) + coalesce(/*schema.*/weight(e.metadata), 0) <= $4::bigint then e.data end),
  /*out*/(case when /*schema.*/weight(e.data) + coalesce(/*schema.*/weight(e.metadata), 0) <= $4::bigint then e.metadata end), s.name
from unnest($1::text::bigint[], $2::text::bigint[], $3::text::int[]) with ordinality as i (position, append_seq, idx, nr)
  cross join lateral (select f.* from /*schema.*/events as f where f.append_seq = i.append_seq and f.idx = i.idx offset 0) as e
  cross join lateral (select t.name from /*schema.*/streams as t where t.stream_id = e.stream_id offset 0) as s
where $5::text is null or starts_with(s.name, $5::text)
order by i.nr;

-- name: correlations_indexed
-- Whether there is a usable index of correlations; nothing if there is none at all.
select i.indisvalid from pg_index as i where i.indexrelid = to_regclass('/*schema_quoted_text*/.events_correlation_idx');

-- name: index_correlations
-- Without keeping anybody from appending.
create index concurrently if not exists events_correlation_idx on /*schema.*/events (correlation_id) where correlation_id is not null;

-- name: drop_correlations_index
-- What an attempt that was interrupted has left.
drop index concurrently if exists /*schema.*/events_correlation_idx;

-- name: find_typed
-- Where the events with the types $1, each once, are at the positions $2 to $3, in one value, 20 bytes each, in no order, unless $4 events or
-- more have the types; how many have, $4 at most; and where the log ends. One statement and so one moment: what has a position up to the
-- log's end is found. The type is compared twice, so that the order asked for begins with it: with "=" the planner takes events_pkey, which
-- is in the rest of that order, and looks at all events where the type is rare. Indexes: events_type_idx, log_append_seq_key, log_pkey.
with typed as materialized (
  select e.append_seq, e.idx
  from unnest($1::text::text[]) as i (event_type) cross join lateral (
    select f.append_seq, f.idx from /*schema.*/events as f where f.event_type >= i.event_type and f.event_type <= i.event_type
    order by f.event_type, f.append_seq, f.idx limit $4::int
  ) as e
  limit $4::int
), counted as materialized (
  select count(*) as events from typed
)
select (select c.events from counted as c),
  coalesce((select l.position + l.n::bigint * l.appends - 1 from /*schema.*/log as l order by l.position desc limit 1), 0),
  /*out*/((select string_agg(int8send(l.position + t.idx) || int8send(t.append_seq) || int4send(t.idx), ''::bytea)
   from typed as t cross join lateral (
     select k.position + (t.append_seq - k.append_seq) * k.n as position, k.append_seq + k.appends as behind
     from /*schema.*/log as k where k.append_seq <= t.append_seq order by k.append_seq desc limit 1
   ) as l
   where (select c.events from counted as c) < $4::int and t.append_seq < l.behind and l.position + t.idx between $2::bigint and $3::bigint));

-- name: types_indexed
-- Whether there is a usable index of types; nothing if there is none at all.
select i.indisvalid from pg_index as i where i.indexrelid = to_regclass('/*schema_quoted_text*/.events_type_idx');

-- name: index_types
-- Without keeping anybody from appending.
create index concurrently if not exists events_type_idx on /*schema.*/events (event_type, append_seq, idx);

-- name: drop_types_index
-- What an attempt that was interrupted has left.
drop index concurrently if exists /*schema.*/events_type_idx;

-- name: read_names
-- Names of streams that are not in the cache. Index: streams_pkey.
select s.stream_id, s.name from unnest($1::text::bigint[]) as i (stream_id)
  cross join lateral (select t.stream_id, t.name from /*schema.*/streams as t where t.stream_id = i.stream_id offset 0) as s;

-- name: read_head
-- The end of the log. Index: log_pkey.
select coalesce((select l.position + l.n::bigint * l.appends - 1 from /*schema.*/log as l order by l.position desc limit 1), 0);

-- name: position_at
-- The last position that was given before $1, in microseconds since 1970, or 0. A binary search: the times never go down as positions
-- go up. Each step is one look-up; a hard delete leaves gaps between rows, so that a step may find a row below the last one. Everything
-- up to lo was given before, everything from hi on was not. Index: log_pkey.
with recursive search (lo, hi, found) as (
  select 0::bigint, 1 + coalesce((select l.position + l.n::bigint * l.appends - 1 from /*schema.*/log as l order by l.position desc limit 1), 0), 0::bigint
  union all
  select case when r.later then s.lo else greatest(r.last, (s.lo + s.hi) / 2) end, case when r.later then r.position else s.hi end,
    case when r.later or r.last is null then s.found else r.last end
  from search as s left join lateral (
    select l.position, l.position + l.n::bigint * l.appends - 1 as last, l.placed_at >= /*schema.*/from_micros($1::bigint) as later
    from /*schema.*/log as l where l.position <= (s.lo + s.hi) / 2 order by l.position desc limit 1
  ) as r on true
  where s.hi - s.lo > 1
)
select s.found from search as s where s.hi - s.lo <= 1;

-- name: version_at
-- The version of the last own event of stream $1 at or below the position $2, or 0; no row if there is no such stream. A binary search as
-- position_at: positions go up with versions, and events without one are at the end. Versions of links leave gaps.
-- Indexes: streams_name_key, events_version_key, log_append_seq_key.
with recursive own (stream_id, version) as (
  select s.stream_id, s.version from /*schema.*/streams as s where s.name = $1::text
), search (lo, hi, found) as (
  select 0::bigint, o.version + 1, 0::bigint from own as o
  union all
  select case when r.later then s.lo else (s.lo + s.hi) / 2 end, case when r.later then r.version else s.hi end,
    case when r.later or r.version is null then s.found else r.version end
  from search as s cross join own as o left join lateral (
    select e.version, (case when e.append_seq < l.behind then l.position + e.idx end > $2::bigint) is not false as later
    from (
      select f.version, f.append_seq, f.idx from /*schema.*/events as f
      where f.stream_id = o.stream_id and f.version <= (s.lo + s.hi) / 2 order by f.version desc limit 1
    ) as e left join lateral (
      select k.position + (e.append_seq - k.append_seq) * k.n as position, k.append_seq + k.appends as behind
      from /*schema.*/log as k where k.append_seq <= e.append_seq order by k.append_seq desc limit 1
    ) as l on true
  ) as r on true
  where s.hi - s.lo > 1
)
select s.found from search as s where s.hi - s.lo <= 1;

-- name: tick_pending
-- The head, whether a tick would find something to do, and the id of the event at position $2, 0 for none. A standby, or a session or role that only reads, can't tick:
-- its readers see what others placed. $1 is what the function tick takes as since. Indexes: log_pkey,
-- log_append_seq_key, events_pkey, holes_fence_idx, holes_pkey, streams_pkey.
select coalesce((select l.position + l.n::bigint * l.appends - 1 from /*schema.*/log as l order by l.position desc limit 1), 0),
  current_setting('transaction_read_only') = 'off' and (
    coalesce((select max(e.append_seq) from /*schema.*/events as e), 0) > h.append_seq
    or (select q.last_value from /*schema.*/append_seq as q) < h.append_seq -- set back: a tick sets it right
    or (select q.last_value from /*schema.*/stream_seq as q) < greatest((select max(s.stream_id) from /*schema.*/streams as s), (select max(r.id) from /*schema.*/retired as r where r.kind = 'stream'), 0)
    or exists (select from /*schema.*/holes as o where o.fence < pg_snapshot_xmin(pg_current_snapshot()))
    or exists (select from /*schema.*/holes as o where o.fence >= (select /*schema.*/ended($1::text::pg_snapshot, pg_current_snapshot()))
      and exists (select from /*schema.*/events as e where e.append_seq between o.first_seq and o.last_seq offset 0))
    or exists (select from /*schema.*/holes as o where o.fence is null)
  ) and has_table_privilege('/*schema.*/log', 'insert'),
  case when $2::bigint > 0 then /*schema.*/event_at/*of*/('$all', 0, $2::bigint)::text end
from (select coalesce((select l.append_seq + l.appends - 1 from /*schema.*/log as l order by l.append_seq desc limit 1), 0)) as h (append_seq);

-- name: tick
select t.placed, t.seen::text from /*schema.*/tick/*of*/($1::bigint, $2::boolean, $3::text::pg_snapshot) as t;

-- name: stream_versions
-- Index: streams_name_key.
select s.name, s.stream_id, s.version, s.created_at, s.deleted_at from unnest($1::text::text[]) as i (name)
  cross join lateral (
    select t.name, t.stream_id, t.version, t.created_at, t.deleted_at from /*schema.*/streams as t where t.name = i.name offset 0
  ) as s;

-- name: read_events_filtered
-- read_events_range of the events with the types $6, unless null, and of streams whose names begin with $7, unless null; and of
-- the two at ($8, $9) and ($10, $11), whatever the filter says; there are none at 0.
-- Behind an "or" neither look can become a join: the types are a hash table made once, and the name is looked up for
-- each event that has the type. The inner limit is one that the planner does not know, so that it takes the events in
-- the order of the index, however few it thinks will match. Indexes: events_pkey, streams_pkey.
select /*out*/(/*schema.*/place(e.append_seq, e.idx, e.stream_id) || /*schema.*/header(e.version, e.created_at, e.event_id, e.causation_id, e.correlation_id, e.event_type)), e.content_type,
  /*out*/(case when /*schema.*/weight(e.data) + coalesce(/*schema.*/weight(e.metadata), 0) <= $12::bigint then e.data end),
  /*out*/(case when /*schema.*/weight(e.data) + coalesce(/*schema.*/weight(e.metadata), 0) <= $12::bigint then e.metadata end)
from (
  select f.append_seq, f.idx, f.stream_id, f.version, f.created_at, f.event_id, f.causation_id, f.correlation_id, f.event_type, f.content_type, f.data, f.metadata
  from /*schema.*/events as f
  where (f.append_seq, f.idx) >= ($1::bigint, $2::int) and (f.append_seq, f.idx) <= ($3::bigint, $4::int)
  order by f.append_seq, f.idx limit (select 9223372036854775807)
) as e
where ($6::text is null or e.event_type in (select unnest($6::text::text[])))
  and ($7::text is null or starts_with((select s.name from /*schema.*/streams as s where s.stream_id = e.stream_id), $7::text))
  or e.append_seq = $8::bigint and e.idx = $9::int or e.append_seq = $10::bigint and e.idx = $11::int
order by e.append_seq, e.idx limit $5::int;

-- name: read_stream_filtered
-- At most $3 events of the versions $2 to $4 of a stream, its own and linked ones, with the filter, and the inner limits,
-- of read_events_filtered. Those at $8 and $9 are among them, whatever the filter says; there are none at 0. Indexes: events_version_key,
-- links_pkey, events_pkey, streams_pkey.
select r.number, /*out*/(/*schema.*/header(r.version, r.created_at, r.event_id, r.causation_id, r.correlation_id, r.event_type)), r.content_type,
  /*out*/(case when /*schema.*/weight(r.data) + coalesce(/*schema.*/weight(r.metadata), 0) <= $7::bigint then r.data end),
  /*out*/(case when /*schema.*/weight(r.data) + coalesce(/*schema.*/weight(r.metadata), 0) <= $7::bigint then r.metadata end), s.name
from (
  (select e.version as number, e.append_seq, e.idx, e.stream_id, e.version, e.created_at, e.event_id, e.causation_id, e.correlation_id, e.event_type, e.content_type, e.data, e.metadata
   from (
     select f.append_seq, f.idx, f.stream_id, f.version, f.created_at, f.event_id, f.causation_id, f.correlation_id, f.event_type, f.content_type, f.data, f.metadata
     from /*schema.*/events as f where f.stream_id = $1::bigint and f.version >= $2::bigint and f.version <= $4::bigint
     order by f.version limit (select 9223372036854775807)
   ) as e
   where ($5::text is null or e.event_type in (select unnest($5::text::text[])))
     and ($6::text is null or starts_with((select t.name from /*schema.*/streams as t where t.stream_id = e.stream_id), $6::text))
     or e.version in ($8::bigint, $9::bigint)
   order by e.version limit $3::int)
  union all
  (select l.version, e.append_seq, e.idx, e.stream_id, e.version, e.created_at, e.event_id, e.causation_id, e.correlation_id, e.event_type, e.content_type, e.data, e.metadata
   from (
     select k.version, k.append_seq, k.idx
     from /*schema.*/links as k where k.stream_id = $1::bigint and k.version >= $2::bigint and k.version <= $4::bigint
     order by k.version limit (select 9223372036854775807)
   ) as l
     cross join lateral (select f.* from /*schema.*/events as f where f.append_seq = l.append_seq and f.idx = l.idx offset 0) as e
   where ($5::text is null or e.event_type in (select unnest($5::text::text[])))
     and ($6::text is null or starts_with((select t.name from /*schema.*/streams as t where t.stream_id = e.stream_id), $6::text))
     or l.version in ($8::bigint, $9::bigint)
   order by l.version limit $3::int)
) as r cross join lateral (select t.name from /*schema.*/streams as t where t.stream_id = r.stream_id offset 0) as s
order by r.number limit $3::int;

-- name: read_stream_filtered_backward
-- The same, downwards from $4 to $2. Indexes as there.
select r.number, /*out*/(/*schema.*/header(r.version, r.created_at, r.event_id, r.causation_id, r.correlation_id, r.event_type)), r.content_type,
  /*out*/(case when /*schema.*/weight(r.data) + coalesce(/*schema.*/weight(r.metadata), 0) <= $7::bigint then r.data end),
  /*out*/(case when /*schema.*/weight(r.data) + coalesce(/*schema.*/weight(r.metadata), 0) <= $7::bigint then r.metadata end), s.name
from (
  (select e.version as number, e.append_seq, e.idx, e.stream_id, e.version, e.created_at, e.event_id, e.causation_id, e.correlation_id, e.event_type, e.content_type, e.data, e.metadata
   from (
     select f.append_seq, f.idx, f.stream_id, f.version, f.created_at, f.event_id, f.causation_id, f.correlation_id, f.event_type, f.content_type, f.data, f.metadata
     from /*schema.*/events as f where f.stream_id = $1::bigint and f.version >= $2::bigint and f.version <= $4::bigint
     order by f.version desc limit (select 9223372036854775807)
   ) as e
   where ($5::text is null or e.event_type in (select unnest($5::text::text[])))
     and ($6::text is null or starts_with((select t.name from /*schema.*/streams as t where t.stream_id = e.stream_id), $6::text))
   order by e.version desc limit $3::int)
  union all
  (select l.version, e.append_seq, e.idx, e.stream_id, e.version, e.created_at, e.event_id, e.causation_id, e.correlation_id, e.event_type, e.content_type, e.data, e.metadata
   from (
     select k.version, k.append_seq, k.idx
     from /*schema.*/links as k where k.stream_id = $1::bigint and k.version >= $2::bigint and k.version <= $4::bigint
     order by k.version desc limit (select 9223372036854775807)
   ) as l
     cross join lateral (select f.* from /*schema.*/events as f where f.append_seq = l.append_seq and f.idx = l.idx offset 0) as e
   where ($5::text is null or e.event_type in (select unnest($5::text::text[])))
     and ($6::text is null or starts_with((select t.name from /*schema.*/streams as t where t.stream_id = e.stream_id), $6::text))
   order by l.version desc limit $3::int)
) as r cross join lateral (select t.name from /*schema.*/streams as t where t.stream_id = r.stream_id offset 0) as s
order by r.number desc limit $3::int;

-- name: create_lease
-- Takes the lease $1, $2 for the owner $3 and $4 microseconds, creating the subscription with the checkpoint $5 in the
-- stream $6 if need be. Nothing comes back if somebody else holds it. Locks the row: of two who ask at the same time the
-- second looks at what the first did, and at the clock, when the first has committed. Index: subscriptions_pkey.
insert into /*schema.*/subscriptions as s (stream, name, checkpoint, stream_id, owner, epoch, lease_until, created_at, updated_at)
values ($1::text, $2::text, $5::bigint, $6::bigint, $3::text, /*schema.*/new_epoch/*of*/(),
  clock_timestamp() + $4::bigint * interval '1 microsecond', clock_timestamp(), clock_timestamp())
on conflict on constraint subscriptions_pkey do update
set owner = excluded.owner, epoch = greatest(s.epoch + 1, /*schema.*/new_epoch/*of*/()),
  lease_until = clock_timestamp() + $4::bigint * interval '1 microsecond'
where s.owner = excluded.owner or s.lease_until is null or s.lease_until <= clock_timestamp()
returning s.epoch, s.checkpoint, s.stream_id, s.seen, s.seen_id, /*schema.*/era();

-- name: acquire_lease
-- The same for a subscription that must be there. Index: subscriptions_pkey.
update /*schema.*/subscriptions as s
set owner = $3::text, epoch = greatest(s.epoch + 1, /*schema.*/new_epoch/*of*/()),
  lease_until = clock_timestamp() + $4::bigint * interval '1 microsecond'
where s.stream = $1::text and s.name = $2::text
  and (s.owner = $3::text or s.lease_until is null or s.lease_until <= clock_timestamp())
returning s.epoch, s.checkpoint, s.stream_id, s.seen, s.seen_id, /*schema.*/era();

-- name: find_subscription
-- Index: subscriptions_pkey.
select 1 from /*schema.*/subscriptions as s where s.stream = $1::text and s.name = $2::text;

-- name: renew_leases
-- Reads the whole table, which is small, and locks the rows of the owner. They are locked in one order, so that two
-- statements of an owner do not wait for each other.
update /*schema.*/subscriptions as s set lease_until = clock_timestamp() + $2::bigint * interval '1 microsecond'
from (
  select t.stream, t.name from /*schema.*/subscriptions as t where t.owner = $1::text and t.lease_until is not null
  order by t.stream, t.name for no key update
) as mine
where s.stream = mine.stream and s.name = mine.name
returning s.stream, s.name, s.epoch, s.checkpoint, s.stream_id, s.seen, s.seen_id, /*schema.*/era();

-- name: free_leases
-- Reads the whole table, which is small.
select s.stream, s.name from /*schema.*/subscriptions as s where s.lease_until is null or s.lease_until <= clock_timestamp();

-- name: save_checkpoint
-- Saves the checkpoint $4 in the stream $5, with the event $7 that was seen at $6, if the epoch $3 is the current one, the
-- checkpoint in the same stream is not below $8, the era is $9 unless that is empty, and the store carries what was read: see the function lost. Within a stream the
-- checkpoint never goes back. A checkpoint that moves on and passes the event that the last error is about clears that error.
-- Returns whether it was saved, and what it is judged by; nothing if there is no such subscription. Locks the row if it saves. Indexes: subscriptions_pkey, those of event_at and stream_end.
with judged as (
  select t.stream, t.name, t.epoch, t.checkpoint, t.stream_id, p.stream_end, p.event_at,
    /*schema.*/lost(p.stream_end, p.event_at, $4::bigint, $6::bigint, $7::uuid) as lost
  from /*schema.*/subscriptions as t
    cross join lateral (select /*schema.*/stream_end/*of*/(t.stream, $5::bigint), /*schema.*/event_at/*of*/(t.stream, $5::bigint, $6::bigint) offset 0) as p (stream_end, event_at)
  where t.stream = $1::text and t.name = $2::text
), saved as (
  update /*schema.*/subscriptions as s
  set checkpoint = case when s.stream_id = $5::bigint then greatest(s.checkpoint, $4::bigint) else $4::bigint end,
    stream_id = $5::bigint, seen = $6::bigint, seen_id = $7::uuid,
    last_error = case when s.stream_id = $5::bigint and (s.checkpoint >= $4::bigint or s.last_error_number > $4::bigint) then s.last_error else '' end,
    updated_at = case when s.stream_id = $5::bigint and s.checkpoint >= $4::bigint then s.updated_at else clock_timestamp() end
  from judged as j
  where s.stream = j.stream and s.name = j.name and s.epoch = $3::bigint and not j.lost
    and (s.stream_id <> $5::bigint or s.checkpoint >= $8::bigint) and ($9::text = '' or $9::text = /*schema.*/era())
  returning 1
)
select exists (select from saved), j.epoch, j.checkpoint, j.stream_id, j.stream_end, j.event_at, j.lost, /*schema.*/era() from judged as j;

-- name: save_checkpoints
-- save_checkpoint for several subscriptions, by their places in the arrays. Locks the rows that it saves, in one order, so that two
-- such statements do not wait for each other. Indexes as there.
with judged as (
  select i.nr, i.stream, i.name, i.checkpoint as new_checkpoint, i.stream_id as new_stream_id, i.seen, p.seen_id, i.known, i.era, i.epoch as in_epoch,
    t.epoch, t.checkpoint, t.stream_id, p.stream_end, p.event_at,
    /*schema.*/lost(p.stream_end, p.event_at, i.checkpoint, i.seen, p.seen_id) as lost
  from unnest($1::text::text[], $2::text::text[], $3::text::bigint[], $4::text::bigint[], $5::text::bigint[], $6::text::bigint[], $7::text::uuid[], $8::text::bigint[], $9::text::text[])
      with ordinality as i (stream, name, epoch, checkpoint, stream_id, seen, id, known, era, nr)
    join /*schema.*/subscriptions as t on t.stream = i.stream and t.name = i.name
    cross join lateral (
      select nullif(i.id, '00000000-0000-0000-0000-000000000000'), /*schema.*/stream_end/*of*/(i.stream, i.stream_id), /*schema.*/event_at/*of*/(i.stream, i.stream_id, i.seen)
      offset 0
    ) as p (seen_id, stream_end, event_at)
), locked as (
  select j.nr, j.stream, j.name, j.new_checkpoint, j.new_stream_id, j.seen, j.seen_id
  from judged as j join /*schema.*/subscriptions as t on t.stream = j.stream and t.name = j.name
  where t.epoch = j.in_epoch and not j.lost and (t.stream_id <> j.new_stream_id or t.checkpoint >= j.known)
    and (j.era = '' or j.era = /*schema.*/era())
  order by t.stream, t.name for no key update of t
), saved as (
  update /*schema.*/subscriptions as s
  set checkpoint = case when s.stream_id = l.new_stream_id then greatest(s.checkpoint, l.new_checkpoint) else l.new_checkpoint end,
    stream_id = l.new_stream_id, seen = l.seen, seen_id = l.seen_id,
    last_error = case when s.stream_id = l.new_stream_id and (s.checkpoint >= l.new_checkpoint or s.last_error_number > l.new_checkpoint) then s.last_error else '' end,
    updated_at = case when s.stream_id = l.new_stream_id and s.checkpoint >= l.new_checkpoint then s.updated_at else clock_timestamp() end
  from locked as l
  where s.stream = l.stream and s.name = l.name
  returning l.nr
)
select j.nr, exists (select from saved as s where s.nr = j.nr), j.epoch, j.checkpoint, j.stream_id, j.stream_end, j.event_at, j.lost, /*schema.*/era() from judged as j;

-- name: release_lease
-- Gives the lease up, and lets other processes know at commit. Locks the row. Index: subscriptions_pkey.
with released as (
  update /*schema.*/subscriptions as s set lease_until = null
  where s.stream = $1::text and s.name = $2::text and s.epoch = $3::bigint
  returning s.epoch
)
select pg_notify('/*channel*/', 'lease')::text from released as r;

-- name: save_error
-- Notes the error $4 about the event $5. Nothing comes back if the epoch is over. Index: subscriptions_pkey.
update /*schema.*/subscriptions as s set last_error = $4::text, last_error_number = $5::bigint, last_error_at = clock_timestamp()
where s.stream = $1::text and s.name = $2::text and s.epoch = $3::bigint
returning ''::text;

-- name: reset_subscription
-- Ends the epoch, discards what is parked, and lets other processes know at commit. Indexes: subscriptions_pkey, parked_pkey.
with changed as (
  update /*schema.*/subscriptions as s
  set checkpoint = $3::bigint, stream_id = $4::bigint, seen = 0, seen_id = null, epoch = greatest(s.epoch + 1, /*schema.*/new_epoch/*of*/()),
    lease_until = null, last_error = '', updated_at = clock_timestamp()
  where s.stream = $1::text and s.name = $2::text
  returning s.epoch
), discarded as (
  delete from /*schema.*/parked as k using changed as c where k.reader_stream = $1::text and k.reader = $2::text
)
select pg_notify('/*channel*/', 'lease')::text from changed as c;

-- name: delete_subscription
-- Notes the epoch, unless a higher one is in use, so that it is not drawn again. Discards what is parked.
-- Lets other processes know at commit. Indexes: subscriptions_pkey, parked_pkey, parked_changes_pkey.
with deleted as (
  delete from /*schema.*/subscriptions as s where s.stream = $1::text and s.name = $2::text returning s.epoch
), discarded as (
  delete from /*schema.*/parked as k using deleted as d where k.reader_stream = $1::text and k.reader = $2::text
), forgotten as (
  delete from /*schema.*/parked_changes as c using deleted as d where c.reader_stream = $1::text and c.reader = $2::text
), retired as (
  insert into /*schema.*/retired (kind, id)
  select 'epoch', d.epoch from deleted as d
  where not exists (select from /*schema.*/subscriptions as s where s.epoch > d.epoch)
    and not exists (select from /*schema.*/retired as r where r.kind = 'epoch' and r.id >= d.epoch)
  on conflict on constraint retired_pkey do nothing
)
select pg_notify('/*channel*/', 'lease')::text from deleted as d;

-- name: list_subscriptions
select s.stream, s.name, s.checkpoint, s.stream_id, s.seen, s.seen_id, s.owner, s.epoch, s.lease_until,
  coalesce(s.lease_until > clock_timestamp(), false), s.last_error, s.last_error_number, s.last_error_at, s.created_at, s.updated_at,
  s.handled, s.rate, s.handled_at
from /*schema.*/subscriptions as s order by s.stream, s.name;

-- name: arrivals
-- When the first event behind each of the numbers $2 came into the stream $1 (arrays): for $all, and for a stream's own events,
-- when the tick gave the position, for links when they were made. Null if there is none, or it has no position yet. Takes no locks.
-- Each is a few look-ups. Indexes: streams_name_key, log_pkey, events_version_key, log_append_seq_key, links_pkey.
select i.nr, a.at, clock_timestamp()
from unnest($1::text::text[], $2::text::bigint[]) with ordinality as i (stream, number, nr)
  cross join lateral (select case when i.stream = '$all'
    then coalesce(
      (select case when l.position + l.n::bigint * l.appends - 1 > i.number then l.placed_at end from /*schema.*/log as l where l.position <= i.number + 1 order by l.position desc limit 1),
      (select l.placed_at from /*schema.*/log as l where l.position > i.number order by l.position limit 1))
    else (
      select f.at from /*schema.*/streams as s cross join lateral (
        (select e.version, (
            select case when e.append_seq < p.append_seq + p.appends then p.placed_at end
            from /*schema.*/log as p where p.append_seq <= e.append_seq order by p.append_seq desc limit 1
          ) as at
          from /*schema.*/events as e where e.stream_id = s.stream_id and e.version > i.number order by e.version limit 1)
        union all
        (select k.version, k.linked_at from /*schema.*/links as k where k.stream_id = s.stream_id and k.version > i.number order by k.version limit 1)
        order by 1 limit 1
      ) as f
      where s.name = i.stream)
    end as at offset 0) as a;

-- name: advance
-- save_checkpoint in the transaction of a projection, as its last statement: what it locks is locked until the commit. Nothing is
-- saved if the checkpoint is $10 or more already ($10 = 0: any; the checkpoint stays), or if another transaction is about to remove
-- the row. The statement does not wait for that transaction, which may wait for what this one has written. It waits for
-- transactions that renew the lease or save the checkpoint. Indexes as there.
with judged as (
  select t.stream, t.name, t.epoch, t.checkpoint, t.stream_id, p.stream_end, p.event_at,
    $10::bigint > 0 and /*schema.*/lost(p.stream_end, p.event_at, $4::bigint, $6::bigint, $7::uuid) as lost
  from /*schema.*/subscriptions as t
    cross join lateral (select /*schema.*/stream_end/*of*/(t.stream, $5::bigint), /*schema.*/event_at/*of*/(t.stream, $5::bigint, $6::bigint) offset 0) as p (stream_end, event_at)
  where t.stream = $1::text and t.name = $2::text
), mine as (
  select t.epoch from /*schema.*/subscriptions as t where t.stream = $1::text and t.name = $2::text for key share skip locked
), saved as (
  update /*schema.*/subscriptions as s
  set checkpoint = case when $10::bigint = 0 then s.checkpoint when s.stream_id = $5::bigint then greatest(s.checkpoint, $4::bigint) else $4::bigint end,
    stream_id = case when $10::bigint = 0 then s.stream_id else $5::bigint end,
    seen = case when $10::bigint = 0 then s.seen else $6::bigint end,
    seen_id = case when $10::bigint = 0 then s.seen_id else $7::uuid end,
    last_error = case when $10::bigint = 0 and s.last_error_number > s.checkpoint then s.last_error
      when $10::bigint > 0 and s.stream_id = $5::bigint and s.last_error_number > $4::bigint then s.last_error else '' end,
    updated_at = case when $10::bigint = 0 then s.updated_at else clock_timestamp() end,
    handled = s.handled + $11::bigint, rate = $12::double precision, handled_at = clock_timestamp()
  from mine as m, judged as j
  where s.stream = j.stream and s.name = j.name and s.epoch = $3::bigint and m.epoch = s.epoch and not j.lost
    and (s.stream_id <> $5::bigint or s.checkpoint >= $8::bigint and ($10::bigint = 0 or s.checkpoint < $10::bigint))
    and ($9::text = '' or $9::text = /*schema.*/era())
  returning 1
)
select exists (select from saved), j.epoch, j.checkpoint, j.stream_id, j.stream_end, j.event_at, j.lost, /*schema.*/era() from judged as j;

-- name: add_subscriptions
-- Adds the subscriptions $1, $2 (arrays) at the checkpoint $3 in the stream $4, held by nobody.
insert into /*schema.*/subscriptions (stream, name, checkpoint, stream_id, owner, epoch, created_at, updated_at)
select i.stream, i.name, $3::bigint, $4::bigint, '', /*schema.*/new_epoch/*of*/(), clock_timestamp(), clock_timestamp()
from unnest($1::text::text[], $2::text::text[]) as i (stream, name);

-- name: remove_subscriptions
-- Removes the subscriptions $1, $2 (arrays), after whoever is just moving a checkpoint of theirs. Locks the rows in one
-- order. Notes the highest epoch as delete_subscription does. Other processes are let know at commit. Index: subscriptions_pkey.
with locked as (
  select t.stream, t.name
  from unnest($1::text::text[], $2::text::text[]) as i (stream, name)
    join /*schema.*/subscriptions as t on t.stream = i.stream and t.name = i.name
  order by t.stream, t.name for update of t
), removed as (
  delete from /*schema.*/subscriptions as s using locked as l where s.stream = l.stream and s.name = l.name
  returning s.stream, s.name, s.epoch, s.checkpoint, s.stream_id
), retired as (
  insert into /*schema.*/retired (kind, id)
  select 'epoch', d.epoch from (select max(m.epoch) as epoch from removed as m) as d
  where not exists (select from /*schema.*/subscriptions as s where s.epoch > d.epoch)
    and not exists (select from /*schema.*/retired as t where t.kind = 'epoch' and t.id >= d.epoch) and d.epoch is not null
  on conflict on constraint retired_pkey do nothing
)
select r.stream, r.name, r.epoch, r.checkpoint, r.stream_id, pg_notify('/*channel*/', 'lease')::text from removed as r;

-- name: add_projection
-- Nothing comes back if there is one of that name. Index: projections_pkey.
insert into /*schema.*/projections (name, stream, partitions, generation, by_stream, applied, replay_until, changes, replaced_by, created_at, updated_at)
values ($1::text, $2::text, $3::int, $4::bigint, $5::boolean, $6::text, $7::bigint, $8::bigint, $9::text, clock_timestamp(), clock_timestamp())
on conflict on constraint projections_pkey do nothing
returning 1;

-- name: lock_projection
-- Locks the row until the transaction ends. Index: projections_pkey.
select p.name, p.stream, p.partitions, p.generation, p.by_stream, p.applied, p.replay_until, p.changes, p.replaced_by, p.created_at, p.updated_at
from /*schema.*/projections as p where p.name = $1::text for update;

-- name: save_projection
-- Index: projections_pkey.
update /*schema.*/projections as p
set partitions = $2::int, generation = $3::bigint, applied = $4::text, replay_until = $5::bigint, changes = $6::bigint,
  replaced_by = $7::text, updated_at = clock_timestamp()
where p.name = $1::text returning 1;

-- name: read_projection
-- Index: projections_pkey.
select p.name, p.stream, p.partitions, p.generation, p.by_stream, p.applied, p.replay_until, p.changes, p.replaced_by, p.created_at, p.updated_at
from /*schema.*/projections as p where p.name = $1::text;

-- name: read_projections
select p.name, p.stream, p.partitions, p.generation, p.by_stream, p.applied, p.replay_until, p.changes, p.replaced_by, p.created_at, p.updated_at
from /*schema.*/projections as p order by p.name;

-- name: remove_projection
-- With all that belongs to it.
with parked as (
  delete from /*schema.*/parked as k where k.reader_stream = '' and k.reader = $1::text
), members as (
  delete from /*schema.*/projection_members as m where m.projection = $1::text
)
delete from /*schema.*/projections as p where p.name = $1::text;

-- name: join_projection
-- Notes that $2 is there for $3 microseconds. Forgets who has not been for a day, unless somebody else is at that.
-- Index: projection_members_pkey.
with old as (
  select m.projection, m.owner from /*schema.*/projection_members as m
  where m.projection = $1::text and m.until < clock_timestamp() - interval '1 day' for update skip locked
), forgotten as (
  delete from /*schema.*/projection_members as m using old as o where m.projection = o.projection and m.owner = o.owner
)
insert into /*schema.*/projection_members (projection, owner, until)
values ($1::text, $2::text, clock_timestamp() + $3::bigint * interval '1 microsecond')
on conflict on constraint projection_members_pkey do update set until = excluded.until;

-- name: projection_members
-- Index: projection_members_pkey.
select m.owner from /*schema.*/projection_members as m where m.projection = $1::text and m.until > clock_timestamp();

-- name: leave_projection
-- Other processes are let know at commit. Index: projection_members_pkey.
with gone as (
  delete from /*schema.*/projection_members as m where m.projection = $1::text and m.owner = $2::text returning m.owner
)
select pg_notify('/*channel*/', 'lease')::text from gone as g;

-- name: park
-- Parks events of a projection, given as arrays. One that was parked under an id that is used again has been hard deleted. Index: parked_pkey.
insert into /*schema.*/parked (reader_stream, reader, number, hash, version, attempts, failed, parked_at, event_id, key, stream, event_type, error)
select '', $1::text, i.number, i.hash, i.version, i.attempts, i.failed,
  case when i.parked_at = 0 then clock_timestamp() else /*schema.*/from_micros(i.parked_at) end, i.event_id, i.key, i.stream, i.event_type, i.error
from unnest($2::text::bigint[], $3::text::bigint[], $4::text::bigint[], $5::text::int[], $6::text::boolean[], $7::text::bigint[],
    $8::text::uuid[], $9::text::text[], $10::text::text[], $11::text::text[], $12::text::text[])
  as i (number, hash, version, attempts, failed, parked_at, event_id, key, stream, event_type, error)
on conflict on constraint parked_pkey do update set number = excluded.number, hash = excluded.hash, version = excluded.version,
  attempts = excluded.attempts, failed = excluded.failed, parked_at = excluded.parked_at, key = excluded.key, stream = excluded.stream,
  event_type = excluded.event_type, error = excluded.error;

-- name: save_parked
-- Parks events of the subscription $1 on $13, given as arrays, and removes those with the ids $14, if its epoch is still $15: nothing comes
-- back if it is not. The row of subscriptions is locked, so that nobody takes the subscription over meanwhile. Returns how many of the
-- events are parked then.
--
-- An event is parked if it is there, and the stream $13, if that is not $all, has the id $16. A hard delete locks the row of its stream
-- first: so the rows of both streams are locked for key share, which appends do not wait for, and a delete that is under way is waited
-- for, before the row of subscriptions is locked: a lease is renewed meanwhile. If $17 is set, an event is parked if it still is, under
-- the same number; its row is locked, so that a transaction that discards it is waited for.
--
-- A parked event to be removed that an open transaction deletes, as a hard delete does, is passed over: its row can't be locked for key
-- share. One that is just marked to be replayed can be, and the delete waits for that. An event that has not failed and is parked already
-- came again after a crash, and what is there stays. Indexes: subscriptions_pkey, parked_pkey, events_event_id_key, streams_pkey,
-- streams_name_key.
with origin as (
  select s.stream_id from /*schema.*/streams as s where s.name = $13::text and s.stream_id = $16::bigint for key share
), there as (
  select e.event_id from unnest($8::text::uuid[]) as i (id)
    join /*schema.*/events as e on e.event_id = i.id
    join /*schema.*/streams as o on o.stream_id = e.stream_id
  where not $17::boolean and ($13::text = '$all' or exists (select from origin))
  for key share of o
), mine as (
  select s.epoch from /*schema.*/subscriptions as s
  where s.stream = $13::text and s.name = $1::text and s.epoch = $15::bigint and (select count(*) from there) >= 0
  for share
), still as (
  select k.event_id, k.number = i.number as same
  from mine as m cross join unnest($2::text::bigint[], $8::text::uuid[]) as i (number, id)
    join /*schema.*/parked as k on k.reader_stream = $13::text and k.reader = $1::text and k.event_id = i.id
  where $17::boolean
  for no key update of k
), may as (
  select t.event_id from there as t union all select t.event_id from still as t where t.same
), dealt as (
  select k.event_id from mine as m cross join unnest($14::text::uuid[]) as i (id)
    join /*schema.*/parked as k on k.reader_stream = $13::text and k.reader = $1::text and k.event_id = i.id
  for key share of k skip locked
), gone as (
  delete from /*schema.*/parked as k using dealt as d where k.reader_stream = $13::text and k.reader = $1::text and k.event_id = d.event_id
), added as (
  insert into /*schema.*/parked as p (reader_stream, reader, number, hash, version, attempts, failed, parked_at, event_id, key, stream, event_type, error)
  select $13::text, $1::text, i.number, i.hash, i.version, i.attempts, i.failed,
    case when i.parked_at = 0 then clock_timestamp() else /*schema.*/from_micros(i.parked_at) end, i.event_id, i.key, i.stream, i.event_type, i.error
  from mine as m cross join unnest($2::text::bigint[], $3::text::bigint[], $4::text::bigint[], $5::text::int[], $6::text::boolean[], $7::text::bigint[],
      $8::text::uuid[], $9::text::text[], $10::text::text[], $11::text::text[], $12::text::text[])
    as i (number, hash, version, attempts, failed, parked_at, event_id, key, stream, event_type, error)
  where i.event_id in (select y.event_id from may as y)
  on conflict on constraint parked_pkey do update set number = excluded.number, hash = excluded.hash, version = excluded.version,
    attempts = excluded.attempts, failed = excluded.failed, parked_at = excluded.parked_at, key = excluded.key, stream = excluded.stream,
    event_type = excluded.event_type, error = excluded.error
  where excluded.failed or p.number <> excluded.number
)
select (select count(*) from may) from mine as m;

-- name: unpark
-- Of a projection. A join, so that each id costs one look-up: for a list of ids, PostgreSQL 17 without statistics reads all that is
-- parked, through the other index that has the column. Index: parked_pkey.
with gone as (
  delete from /*schema.*/parked as k using unnest($2::text::uuid[]) as i (id)
  where k.reader_stream = '' and k.reader = $1::text and k.event_id = i.id returning 1
)
select count(*) from gone as g;

-- name: release_parked
-- Of a projection. A join, as in unpark. Index: parked_pkey.
with changed as (
  update /*schema.*/parked as k set failed = false from unnest($2::text::uuid[]) as i (id)
  where k.reader_stream = '' and k.reader = $1::text and k.event_id = i.id returning 1
)
select count(*) from changed as c;

-- name: discard_parked
-- unpark for the subscription $1 on $3. What runs it is made to look: parked_changes is locked before what is parked. Indexes:
-- subscriptions_pkey, parked_changes_pkey, parked_pkey.
with noted as (
  insert into /*schema.*/parked_changes as c (reader_stream, reader, changes)
  select s.stream, s.name, 1 from /*schema.*/subscriptions as s where s.stream = $3::text and s.name = $1::text
  on conflict on constraint parked_changes_pkey do update set changes = c.changes + 1
  returning c.changes
), gone as (
  delete from /*schema.*/parked as k using noted as n, unnest($2::text::uuid[]) as i (id)
  where k.reader_stream = $3::text and k.reader = $1::text and k.event_id = i.id returning 1
)
select count(*) from gone as g;

-- name: replay_parked
-- release_parked for the subscription $1 on $3, as discard_parked. Indexes as there.
with noted as (
  insert into /*schema.*/parked_changes as c (reader_stream, reader, changes)
  select s.stream, s.name, 1 from /*schema.*/subscriptions as s where s.stream = $3::text and s.name = $1::text
  on conflict on constraint parked_changes_pkey do update set changes = c.changes + 1
  returning c.changes
), changed as (
  update /*schema.*/parked as k set failed = false from noted as n, unnest($2::text::uuid[]) as i (id)
  where k.reader_stream = $3::text and k.reader = $1::text and k.event_id = i.id returning 1
)
select count(*) from changed as c;

-- name: parked_changes
-- Nothing comes back if nobody has changed what the subscription $1 on $2 has parked. Index: parked_changes_pkey.
select c.changes from /*schema.*/parked_changes as c where c.reader_stream = $2::text and c.reader = $1::text;

-- name: parked_counts
-- How many events each subscription has parked. Reads all that subscriptions have parked. Index: parked_pkey.
select k.reader_stream, k.reader, count(*) from /*schema.*/parked as k where k.reader_stream > '' group by k.reader_stream, k.reader;

-- name: read_parked
-- Those of reader $1 on $8 ('' for a projection) behind ($2, $3) up to $7 with a key in $4 and a number in $5, if these are not null.
-- Index: parked_number_idx.
select k.key, k.hash, k.number, k.event_id::text, k.stream, k.version, k.event_type, k.failed, k.error, k.attempts, k.parked_at
from /*schema.*/parked as k
where k.reader_stream = $8::text and k.reader = $1::text and (k.number, k.event_id) > ($2::bigint, $3::text::uuid) and k.number <= $7::bigint
  and ($4::text is null or k.key = any ($4::text::text[])) and ($5::text is null or k.number = any ($5::text::bigint[]))
order by k.number, k.event_id limit $6::int;

-- name: read_parked_ready
-- Those of partition $2 of $3 of reader $1 on $5 behind ($6, $7) that have not failed, are behind nothing of their key that has, and
-- have no key in $8 (an array, which becomes a hash table). Read when somebody has changed what is parked, or a retry is due: it may look at
-- all that is parked. offset 0: as a join, without statistics, each would be compared with all that have failed, of whatever key. Takes no
-- locks. Indexes: parked_number_idx, parked_failed_idx.
select k.key, k.hash, k.number, k.event_id::text, k.stream, k.version, k.event_type, k.failed, k.error, k.attempts, k.parked_at
from /*schema.*/parked as k
where k.reader_stream = $5::text and k.reader = $1::text and k.hash % $3::int = $2::int and not k.failed
  and (k.number, k.event_id) > ($6::bigint, $7::text::uuid)
  and not exists (
    select 1 from /*schema.*/parked as f
    where f.reader_stream = k.reader_stream and f.reader = k.reader and f.key = k.key and f.failed and f.number < k.number
    offset 0
  )
  and k.key not in (select i.key from unnest($8::text::text[]) as i (key))
order by k.number, k.event_id limit $4::int;

-- name: parked_keys
-- Of reader $1 on $4. Reads all that it has parked: once for each lease, and after changes. Index: parked_number_idx.
select distinct k.key from /*schema.*/parked as k
where k.reader_stream = $4::text and k.reader = $1::text and k.hash % $3::int = $2::int;

-- name: count_parked
select k.hash % $2::int, count(*) from /*schema.*/parked as k where k.reader_stream = '' and k.reader = $1::text group by 1;

-- name: answer
-- Asks a transaction whether it is still one.
select 1;

-- name: places
-- The positions of the events with versions $2 to $3 in stream $1, own or linked, and their streams. Takes no locks.
-- Indexes: streams_name_key, events_version_key, links_pkey, events_pkey, log_append_seq_key, streams_pkey.
select l.position + e.idx, o.name
from /*schema.*/streams as s
  cross join lateral (
    select t.version, t.append_seq, t.idx, t.stream_id from /*schema.*/events as t
    where t.stream_id = s.stream_id and t.version >= $2::bigint and t.version <= $3::bigint
    union all
    select k.version, f.append_seq, f.idx, f.stream_id
    from /*schema.*/links as k
      cross join lateral (select g.append_seq, g.idx, g.stream_id from /*schema.*/events as g where g.append_seq = k.append_seq and g.idx = k.idx offset 0) as f
    where k.stream_id = s.stream_id and k.version >= $2::bigint and k.version <= $3::bigint
  ) as e
  cross join lateral (
    select p.position + (e.append_seq - p.append_seq) * p.n as position, p.append_seq + p.appends as behind
    from /*schema.*/log as p where p.append_seq <= e.append_seq order by p.append_seq desc limit 1
  ) as l
  cross join lateral (select n.name from /*schema.*/streams as n where n.stream_id = e.stream_id offset 0) as o
where s.name = $1::text and e.append_seq < l.behind
order by e.version;

-- name: count_streams
select count(*) from /*schema.*/streams as s
where ($1::text = '' or position($1::text in s.name) > 0) and ($2::text = '' or ($2::text = 'deleted') = (s.deleted_at is not null));

-- name: list_streams_by_name
-- $1 search, $2 status, $3 limit, $4 offset, $5 whether to start behind $6. Index: streams_name_key.
select s.stream_id, s.name, s.version, s.created_at, s.deleted_at from /*schema.*/streams as s
where ($1::text = '' or position($1::text in s.name) > 0) and ($2::text = '' or ($2::text = 'deleted') = (s.deleted_at is not null))
  and (not $5::boolean or s.name > $6::text collate "C")
order by s.name limit $3::bigint offset $4::bigint;

-- name: list_streams_by_name_desc
select s.stream_id, s.name, s.version, s.created_at, s.deleted_at from /*schema.*/streams as s
where ($1::text = '' or position($1::text in s.name) > 0) and ($2::text = '' or ($2::text = 'deleted') = (s.deleted_at is not null))
  and (not $5::boolean or s.name < $6::text collate "C")
order by s.name desc limit $3::bigint offset $4::bigint;

-- name: list_streams_by_id
-- Index: streams_pkey.
select s.stream_id, s.name, s.version, s.created_at, s.deleted_at from /*schema.*/streams as s
where ($1::text = '' or position($1::text in s.name) > 0) and ($2::text = '' or ($2::text = 'deleted') = (s.deleted_at is not null))
  and (not $5::boolean or s.stream_id > $6::bigint)
order by s.stream_id limit $3::bigint offset $4::bigint;

-- name: list_streams_by_id_desc
select s.stream_id, s.name, s.version, s.created_at, s.deleted_at from /*schema.*/streams as s
where ($1::text = '' or position($1::text in s.name) > 0) and ($2::text = '' or ($2::text = 'deleted') = (s.deleted_at is not null))
  and (not $5::boolean or s.stream_id < $6::bigint)
order by s.stream_id desc limit $3::bigint offset $4::bigint;

-- name: list_streams_by_key
-- By version, creation or deletion ($8), as one number; never deleted is the highest. Sorts all matching streams: these
-- columns have no index, since an index on version would cost every append.
select k.stream_id, k.name, k.version, k.created_at, k.deleted_at from (
  select s.stream_id, s.name, s.version, s.created_at, s.deleted_at,
    case $8::text when 'version' then s.version
      when 'created' then (extract(epoch from s.created_at) * 1000000)::bigint
      else coalesce((extract(epoch from s.deleted_at) * 1000000)::bigint, 9223372036854775807) end as key
  from /*schema.*/streams as s
  where ($1::text = '' or position($1::text in s.name) > 0) and ($2::text = '' or ($2::text = 'deleted') = (s.deleted_at is not null))
) as k
where not $5::boolean or (k.key, k.stream_id) > ($6::bigint, $7::bigint)
order by k.key, k.stream_id limit $3::bigint offset $4::bigint;

-- name: list_streams_by_key_desc
select k.stream_id, k.name, k.version, k.created_at, k.deleted_at from (
  select s.stream_id, s.name, s.version, s.created_at, s.deleted_at,
    case $8::text when 'version' then s.version
      when 'created' then (extract(epoch from s.created_at) * 1000000)::bigint
      else coalesce((extract(epoch from s.deleted_at) * 1000000)::bigint, 9223372036854775807) end as key
  from /*schema.*/streams as s
  where ($1::text = '' or position($1::text in s.name) > 0) and ($2::text = '' or ($2::text = 'deleted') = (s.deleted_at is not null))
) as k
where not $5::boolean or (k.key, k.stream_id) < ($6::bigint, $7::bigint)
order by k.key desc, k.stream_id desc limit $3::bigint offset $4::bigint;

-- name: list_types
-- Reads all events once, by the log: for each of its rows, the events of its run. Then the times of the first and the last event of each
-- type. Indexes: events_pkey, log_pkey. No plan but these: a look for each row of the log, whatever the planner thinks of the tables.
with spans as materialized (
  select e.event_type, count(*) as events, min(e.position) as first, max(e.position) as last
  from /*schema.*/log as l cross join lateral (
    select e.event_type, l.position + (e.append_seq - l.append_seq) * l.n + e.idx as position
    from /*schema.*/events as e where e.append_seq >= l.append_seq and e.append_seq < l.append_seq + l.appends
    offset 0
  ) as e
  group by 1
)
select s.event_type, s.events, s.first, s.last, f.created, t.created
from spans as s
cross join lateral (
  select (extract(epoch from e.created_at) * 1000000)::bigint as created
  from (select l.position, l.append_seq, l.n from /*schema.*/log as l where l.position <= s.first order by l.position desc limit 1) as l
  join /*schema.*/events as e on e.append_seq = l.append_seq + (s.first - l.position) / l.n and e.idx = (s.first - l.position) % l.n
) as f
cross join lateral (
  select (extract(epoch from e.created_at) * 1000000)::bigint as created
  from (select l.position, l.append_seq, l.n from /*schema.*/log as l where l.position <= s.last order by l.position desc limit 1) as l
  join /*schema.*/events as e on e.append_seq = l.append_seq + (s.last - l.position) / l.n and e.idx = (s.last - l.position) % l.n
) as t
order by 2 desc, 1;

-- name: read_snapshot
-- Index: snapshots_pkey.
select s.version, s.created_at, s.source_type, s.content_type, /*out*/(s.data), /*out*/(s.metadata) from /*schema.*/snapshots as s where s.source_id = $1::text;

-- name: record_snapshot
-- Nothing comes back if the one that is there is newer. Locks the row. Index: snapshots_pkey.
insert into /*schema.*/snapshots as s (source_id, version, created_at, source_type, content_type, data, metadata)
values ($1::text, $2::bigint, clock_timestamp(), $3::text, $4::text, /*schema.*/to_data($5::bytea), /*schema.*/to_data($6::bytea))
on conflict on constraint snapshots_pkey do update
set version = excluded.version, created_at = excluded.created_at, source_type = excluded.source_type,
  content_type = excluded.content_type, data = excluded.data, metadata = excluded.metadata
where $7::boolean or s.version <= excluded.version
returning s.version;

-- name: delete_snapshot
delete from /*schema.*/snapshots as s where s.source_id = $1::text;

-- name: takes_writes
-- Whether this session may write, and whether the server is a standby.
select current_setting('transaction_read_only') = 'off', pg_is_in_recovery();

-- name: activities
-- For each schema of $1 that has a store: what identifies its sequence of appends, this run of the server and the database, the number
-- that was drawn last, whether the role may see it, and whether the server is a standby, which replays sequences in steps of 32. Reads
-- one page for each store. Its lock conflicts only with what drops or alters the sequence. Indexes: pg_namespace_nspname_index,
-- pg_class_relname_nsp_index, pg_database_datname_index.
select s.name, c.oid || '/' || c.relfilenode,
  (select extract(epoch from pg_postmaster_start_time()) || '/' || d.oid from pg_database as d where d.datname = current_database()),
  case when p.allowed then pg_sequence_last_value(c.oid) end, p.allowed, pg_is_in_recovery()
from unnest($1::text::text[]) as s (name)
  join pg_namespace as n on n.nspname = s.name
  join pg_class as c on c.relnamespace = n.oid and c.relname = 'append_seq' and c.relkind = 'S'
  cross join lateral (select has_sequence_privilege(c.oid, 'select, usage') offset 0) as p (allowed);

-- name: settle_fence
-- The id of this transaction. Each that has an id by now has a lower one. Reads no table.
select pg_current_xact_id()::text::bigint;

-- name: settle_oldest
-- The lowest id of a transaction that runs, on the whole server, or the next one. Reads no table.
select pg_snapshot_xmin(pg_current_snapshot())::text::bigint;

-- name: probe
-- What the first use of a *sql.DB looks at, see pooler.go: the session of the server, which two servers do not share; whether the
-- transaction that runs the statement parsed it, too; and the name under which the session keeps the statement, found by its mark.
-- The many arguments only have to be there. Reads no table and takes no lock.
select pg_backend_pid()::text || '@' || extract(epoch from pg_postmaster_start_time())::text, timestamptz 'now' = transaction_timestamp(),
  coalesce((select min(p.name) from pg_prepared_statements as p where strpos(p.statement, $1::text) > 0), '') /*mark*/
where concat($2::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::text, $9::text, $10::text, $11::text, $12::text, $13::text, $14::text, $15::text, $16::text, $17::text, $18::text, $19::text, $20::text, $21::text, $22::text, $23::text, $24::text) <> '';

-- name: probe_forget
-- Has the session forget the statement that the probe found.
deallocate statement;

-- name: server_version
-- The server's version, as a number and in words, and what the server calls itself.
select current_setting('server_version_num')::int, current_setting('server_version'), version();

-- name: strange_table
-- The first of the store's tables that is no plain table, and what it is. Where the version table is missing there is no store, and
-- migrate_taken looks at what is there. Fails in no case.
select c.relname::text, case c.relkind
  when 'f' then 'foreign table' when 'p' then 'partitioned table' when 'v' then 'view' when 'm' then 'materialized view' else 'relation of kind ' || c.relkind::text end
from pg_class as c
where c.relkind <> 'r'
  and exists (select from pg_attribute as a where a.attrelid = to_regclass('/*version_table_text*/') and a.attname = 'oldest' and not a.attisdropped)
  and (c.oid = to_regclass('/*version_table_text*/')
  or c.relnamespace = to_regnamespace('/*schema_quoted_text*/') and c.relname in (
    'streams', 'events', 'links', 'log', 'holes', 'retired', 'store', 'subscriptions', 'snapshots', 'projections', 'projection_members', 'parked', 'parked_changes'))
order by c.relname limit 1;

-- name: migrate_present
-- One row if the version table is there, and not another table of that name. Fails in no case, so that it can be asked in a caller's
-- transaction.
select 1 from pg_attribute as a where a.attrelid = to_regclass('/*version_table_text*/') and a.attname = 'oldest' and not a.attisdropped;

-- name: migrate_taken
-- What is there already of the names in a JSON array. A table or view makes a type of its name.
select t.kind, t.name from jsonb_to_recordset($1::text::jsonb) as n (kind text, name text) cross join lateral (
  select case c.relkind when 'r' then 'table' when 'p' then 'table' when 'f' then 'foreign table' when 'v' then 'view' when 'm' then 'materialized view'
    when 'S' then 'sequence' when 'c' then 'type' else 'index' end, c.relname::text
  from pg_class as c
  where n.kind not in ('function', 'trigger') and c.relnamespace = to_regnamespace('/*schema_quoted_text*/') and c.relname = n.name
  union all
  select 'type', y.typname::text from pg_type as y
  where n.kind in ('table', 'view') and y.typnamespace = to_regnamespace('/*schema_quoted_text*/') and y.typname = n.name and y.typrelid = 0
  union all
  select 'function', n.name where n.kind = 'function' and to_regprocedure('/*schema_quoted_text*/.' || n.name) is not null
) as t (kind, name)
order by 2, 1;

-- name: migrate_renamed
-- One row if the tables are there, but the functions that name the schema are those of another name. Fails in no case.
select 1 where to_regclass('/*schema.*/streams') is not null and to_regproc('/*schema.*/tick/*of*/') is null;

-- name: migrate_adopt
-- Runs when the functions that name the schema have been made under its new name, in the same transaction: puts them in the
-- place of the old ones, and drops those.
do $body$
declare
  old record;
begin
  alter table /*schema.*/streams alter column stream_id set default /*schema.*/new_stream_id/*of*/();
  for old in
    select p.oid::regprocedure as signature
    from pg_proc p
      join pg_proc o on o.pronamespace = p.pronamespace and o.proname like '%/*of*/' and left(o.proname, -10) = left(p.proname, -10)
    where p.pronamespace = to_regnamespace('/*schema_quoted_text*/') and p.proname ~ '_[0-9a-f]{10}$' and p.proname <> o.proname
  loop
    execute format('drop function %s', old.signature);
  end loop;
end
$body$;

-- name: settings
-- How the database and this session encode text, settings of the session, and whether it looks anywhere before pg_catalog.
select current_setting('server_encoding'), current_setting('client_encoding'), current_setting('bytea_output'), current_setting('datestyle'),
  current_setting('session_replication_role'), (array_remove(current_schemas(true), pg_my_temp_schema()::regnamespace::name))[1] <> 'pg_catalog';

-- name: shadowed
-- The first function, operator or type that the session finds in place of PostgreSQL's own. Reads the catalogs: run only if the search
-- path names another schema before pg_catalog. Indexes: pg_proc_proname_args_nsp_index, pg_operator_oprname_l_r_n_index,
-- pg_type_typname_nsp_index.
with before (schema) as (
  select n.oid from unnest(current_schemas(true)) with ordinality as i (name, nr) join pg_namespace as n on n.nspname = i.name
  where i.nr < array_position(current_schemas(true), 'pg_catalog') and n.oid <> pg_my_temp_schema()
)
select n.nspname::pg_catalog.text, o.kind, o.name::pg_catalog.text
from (
  select 'function' as kind, p.pronamespace as schema, p.proname as name from pg_proc as p
  where p.pronamespace in (select b.schema from before as b) and exists (
    select from pg_proc as q where q.proname = p.proname and q.proargtypes = p.proargtypes and q.pronamespace = 'pg_catalog'::regnamespace)
  union all
  select 'operator', p.oprnamespace, p.oprname from pg_operator as p
  where p.oprnamespace in (select b.schema from before as b) and exists (
    select from pg_operator as q
    where q.oprname = p.oprname and q.oprleft = p.oprleft and q.oprright = p.oprright and q.oprnamespace = 'pg_catalog'::regnamespace)
  union all
  select 'type', t.typnamespace, t.typname from pg_type as t
  where t.typnamespace in (select b.schema from before as b) and t.typelem = 0 and exists (
    select from pg_type as q where q.typname = t.typname and q.typnamespace = 'pg_catalog'::regnamespace)
) as o join pg_namespace as n on n.oid = o.schema
order by 1, 2, 3 limit 1;

-- name: time
-- A time, to find out whether the driver can read it.
select timestamptz 'epoch' - interval '123456 microseconds';

-- name: bytes
-- Bytes, likewise.
select decode('005c27ff', 'hex');

-- name: data_type
-- The type of the columns for data and metadata. Not as format_type has it, which goes by quote_all_identifiers.
select t.typname::text from pg_attribute as a join pg_type as t on t.oid = a.atttypid
where a.attrelid = to_regclass('/*schema_quoted_text*/.events') and a.attname = 'data';

-- name: convert_data
-- Makes data and metadata be of the type that this backend was opened with. Locks out everybody, and writes both tables
-- anew. The columns pass through text, and so must hold JSON: what else they hold is refused before, or by the cast. So are numbers
-- of jsonb with more digits than may be read back; they are counted by the weight and scale that numeric_send shows. What shows these
-- columns to people is made to look at nothing meanwhile, and then again as it was: replaced, it keeps its owner and grants.
do $body$
declare
  view_text constant text := pg_get_viewdef(to_regclass('/*schema_quoted_text*/.recorded'));
  from_text constant text := pg_get_functiondef(to_regprocedure('/*schema_quoted_text*/.recorded_from(bigint, bigint)'));
  wanted constant text := 'bytea/*data_type*/';
  present text;
  stranger record;
  col record;
  grown text;
begin
  lock table /*schema.*/events, /*schema.*/snapshots in access exclusive mode;
  select t.typname into present from pg_attribute a join pg_type t on t.oid = a.atttypid
  where a.attrelid = to_regclass('/*schema_quoted_text*/.events') and a.attname = 'data';
  if present = wanted then
    return;
  end if;
  select e.event_id, e.content_type into stranger from /*schema.*/events e
  where e.content_type is not null and e.content_type !~ '^(json(;[^+,]*)?)(,json(;[^+,]*)?)?$' limit 1;
  if not found then
    select s.source_id as event_id, s.content_type into stranger from /*schema.*/snapshots s
    where s.content_type is not null and s.content_type !~ '^(json(;[^+,]*)?)(,json(;[^+,]*)?)?$' limit 1;
  end if;
  if found and wanted <> 'bytea' then
    raise exception 'eventstore: % is encoded as %, which is not JSON', stranger.event_id, stranger.content_type using errcode = 'ESTNJ';
  end if;
  if view_text is not null then
    create or replace view /*schema.*/recorded as select null::bigint as position, null::text collate "C" as stream, null::bigint as version,
      null::text collate "C" as event_type, null::timestamptz as created_at, null::uuid as event_id, null::text collate "C" as content_type,
      null::text as data, null::text as metadata;
  end if;
  if from_text is not null then
    create or replace function /*schema.*/recorded_from(first bigint, n bigint default 100) returns setof /*schema.*/recorded
    language sql stable begin atomic; select * from /*schema.*/recorded; end;
  end if;
  for col in select t.name as tab, c.name from (values ('events'), ('snapshots')) as t (name), (values ('data'), ('metadata')) as c (name) loop
    execute format('alter table %s.%I alter column %I type %s using %s', '/*schema_quoted_text*/', col.tab, col.name, wanted,
      case when wanted = 'bytea' then format('convert_to(%I::text, ''UTF8'')', col.name)
        when present = 'bytea' then format('convert_from(%I, ''UTF8'')::%s', col.name, wanted)
        else format('%I::text::%s', col.name, wanted) end);
  end loop;
  for col in select t.name as tab, t.id, c.name, c.most from (values ('events', 'event_id'), ('snapshots', 'source_id')) as t (name, id),
      (values ('data', 67108864), ('metadata', 1048576)) as c (name, most) where wanted = 'jsonb' loop
    execute format($find$select r.%I::text from %s.%I as r where (
        select sum(case when n.weight < 32768 then 4 * n.weight + 4 else 1 end + n.scale) from (
          select get_byte(b.sent, 2) * 256 + get_byte(b.sent, 3) as weight, get_byte(b.sent, 6) * 256 + get_byte(b.sent, 7) as scale
          from jsonb_path_query(r.%I, '$.** ? (@.type() == "number")') as j (value) cross join lateral (select numeric_send(j.value::numeric)) as b (sent)
        ) as n
      ) > %s limit 1$find$, col.id, '/*schema_quoted_text*/', col.tab, col.name, col.most) into grown;
    if grown is not null then
      raise exception 'eventstore: the % of % has numbers with more digits than may be read back', col.name, grown using errcode = 'ESTNJ';
    end if;
  end loop;
  drop function /*schema.*/to_data(bytea);
  create function /*schema.*/to_data(bytes bytea) returns bytea/*data_type*/ language sql immutable as $convert$
    select /*decode_data*/bytes
  $convert$;
  if view_text is not null then
    execute format('create or replace view %s.recorded as %s', '/*schema_quoted_text*/', view_text);
  end if;
  if from_text is not null then
    execute from_text;
  end if;
end
$body$;

-- name: migrate_lock
-- Waits for other migrators of this schema, whatever timeouts the role has. All migrations run in one transaction: a lock of the
-- session would stay behind in a pooler in transaction mode. Once it has the lock, lock_timeout counts again: a migration that waits
-- for a table keeps everybody from it, so it gives up and is tried again.
begin isolation level read committed;
select set_config(s.name, '0', true) from pg_settings as s
where s.name in ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout');
select pg_advisory_xact_lock(hashtextextended('eventstore migrate /*schema_text*/', 0));
set local lock_timeout to default;

-- name: migrate_unlock
commit;

-- name: migrate_rollback
rollback;

-- name: migrate_prepare
-- Creating a schema takes a right on the database, even if it is there.
do $body$
begin
  if current_setting('server_version_num')::int < 140000 then
    raise exception 'eventstore: the server is PostgreSQL %, but the store needs version 14 or later', current_setting('server_version')
      using errcode = 'feature_not_supported';
  end if;
  if to_regnamespace('/*schema_quoted_text*/') is null then
    create schema /*schema*/;
  end if;
end
$body$;
create table if not exists /*version_table*/ (
  version bigint not null,
  oldest  bigint not null -- what the latest migration of a program must be at least to work with these tables
);

-- name: migrate_version
select v.version, v.oldest from /*version_table*/ as v;

-- name: migrate_clear_version
delete from /*version_table*/;

-- name: migrate_set_version
with old as (delete from /*version_table*/)
insert into /*version_table*/ (version, oldest) values ($1::bigint, $2::bigint);

-- name: migrate_script_guard
-- Begins a script of migrations: waits for migrators, and fails unless the tables are at the version that the script is for.
select pg_advisory_xact_lock(hashtextextended('eventstore migrate /*schema_text*/', 0));
do $body$
declare
  present constant bigint := (select v.version from /*version_table*/ as v);
begin
  if present is distinct from /*from*/0 then
    raise exception 'eventstore: the tables are at version %, but this script is for version %', present, /*from*/0;
  end if;
end
$body$;

-- name: migrate_script_note
-- Ends a script of migrations.
delete from /*version_table*/;
insert into /*version_table*/ (version, oldest) values (/*version*/0, /*oldest*/0);

-- name: without_timeouts
-- Lets a transaction wait for locks, and work, as long as its context allows.
select set_config(s.name, '0', true) from pg_settings as s
where s.name in ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout');
