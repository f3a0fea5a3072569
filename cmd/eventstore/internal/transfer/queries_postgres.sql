-- Statements that export and import a store in PostgreSQL. $1 of those for an export is a JSON list of streams, or null for
-- all.

-- name: now
select clock_timestamp();

-- name: identity
select h.store_id, current_database() from /*schema.*/store as h;

-- name: event_at
-- The event at a position, if it is there. Indexes: log_pkey, events_pkey.
select e.event_id
from (select l.position, l.append_seq, l.n, l.appends from /*schema.*/log as l where l.position <= $1::bigint order by l.position desc limit 1) as g
join /*schema.*/events as e on e.append_seq = g.append_seq + ($1::bigint - g.position) / nullif(g.n, 0) and e.idx = ($1::bigint - g.position) % nullif(g.n, 0)
where $1::bigint < g.position + g.n::bigint * g.appends;

-- name: front_head
-- With the highest id that a stream had. Indexes: log_pkey, streams_pkey, retired_pkey.
select coalesce((select l.position + l.n::bigint * l.appends - 1 from /*schema.*/log as l order by l.position desc limit 1), 0),
  greatest((select max(s.stream_id) from /*schema.*/streams as s), (select max(r.id) from /*schema.*/retired as r where r.kind = 'stream'), 0);

-- name: front_cuts
-- Streams that have got events which have no position yet, or links to such: from which version on. There are few: a tick ran
-- just before. Indexes: log_append_seq_key, events_pkey, links_event_key.
with late as (
  select e.append_seq, e.idx, e.stream_id, e.version from /*schema.*/events as e
  where e.append_seq > coalesce((select l.append_seq + l.appends - 1 from /*schema.*/log as l order by l.append_seq desc limit 1), 0)
  union all
  select e.append_seq, e.idx, e.stream_id, e.version from /*schema.*/holes as h
  join /*schema.*/events as e on e.append_seq between h.first_seq and h.last_seq
), cut as (
  select l.stream_id, l.version from late as l
  union all
  select k.stream_id, k.version from late as l join /*schema.*/links as k on k.append_seq = l.append_seq and k.idx = l.idx
)
select c.stream_id, s.name, min(c.version) from cut as c join /*schema.*/streams as s on s.stream_id = c.stream_id group by 1, 2;

-- name: front_outside
-- Streams that are not chosen, but whose events are linked to by those that are. Reads all links of chosen streams.
select distinct o.name
from /*schema.*/streams as s
join /*schema.*/links as l on l.stream_id = s.stream_id
join /*schema.*/events as e on e.append_seq = l.append_seq and e.idx = l.idx
join /*schema.*/streams as o on o.stream_id = e.stream_id
where s.name in (select t.name from jsonb_array_elements_text($1::jsonb) as t (name))
  and o.name not in (select t.name from jsonb_array_elements_text($1::jsonb) as t (name))
order by 1 limit 11;

-- name: front_missing
-- Chosen streams that are not there. Index: streams_name_key.
select t.name from jsonb_array_elements_text($1::jsonb) as t (name)
where not exists (select from /*schema.*/streams as s where s.name = t.name) order by 1 limit 11;

-- name: front_streams
-- Index: streams_pkey.
select s.stream_id, s.name, s.version, s.created_at, s.deleted_at, s.linked from /*schema.*/streams as s
where $1::jsonb is null or s.name in (select t.name from jsonb_array_elements_text($1::jsonb) as t (name))
order by s.stream_id;

-- name: front_links
-- Index: links_pkey for the order, events_pkey.
select l.stream_id, l.version, e.event_id
from /*schema.*/links as l
join /*schema.*/events as e on e.append_seq = l.append_seq and e.idx = l.idx
where $1::jsonb is null or l.stream_id in (
  select s.stream_id from /*schema.*/streams as s join jsonb_array_elements_text($1::jsonb) as t (name) on s.name = t.name
)
order by l.stream_id, l.version;

-- name: front_snapshots
-- Index: snapshots_pkey.
select n.source_id, n.version, n.source_type, coalesce(n.content_type, ''), n.data, n.metadata, n.created_at
from /*schema.*/snapshots as n
where $1::jsonb is null or n.source_id in (select t.name from jsonb_array_elements_text($1::jsonb) as t (name))
order by n.source_id;

-- name: front_subscriptions
-- Not those that are partitions of projections: a projection's tables are not in the archive, so it begins anew.
-- What a subscription has parked comes with it, as JSON. Index: parked_number_idx.
select s.stream, s.name, s.checkpoint, s.stream_id, s.seen, s.seen_id, s.created_at, s.updated_at, coalesce((
    select json_agg(json_build_object('number', k.number, 'key', k.key, 'id', k.event_id, 'stream', k.stream, 'version', k.version,
      'type', k.event_type, 'failed', k.failed, 'error', k.error, 'attempts', k.attempts, 'parked_at', k.parked_at) order by k.number, k.event_id)
    from /*schema.*/parked as k where k.reader_stream = s.stream and k.reader = s.name)::text, '[]')
from /*schema.*/subscriptions as s
where left(s.name, 1) <> '$'
  and ($1::jsonb is null or s.stream in (select t.name from jsonb_array_elements_text($1::jsonb) as t (name)))
order by s.stream, s.name;

-- name: page_settings
-- For the transaction: without statistics a page seems to cost so much that its statement would be compiled each time, for longer than
-- it runs.
select set_config('jit', 'off', true);

-- name: events
-- A page of appends, by position: what is left behind $2 of the run that holds it, and the runs behind that. With chosen streams it
-- looks at the others, too. One look-up per append and event,
-- whatever the planner thinks of tables that were filled a moment ago. Indexes: log_pkey, events_pkey, streams_pkey.
select l.position + e.idx, e.idx, e.stream_id, s.name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id,
  e.created_at, coalesce(e.content_type, ''), e.data, e.metadata
from (
  select p.position + i.nth * p.n as position, p.append_seq + i.nth as append_seq
  from (
    select r.*, sum(r.appends - r.first) over (order by r.position) - (r.appends - r.first) as before
    from (
      select g.*, case when g.position > $2::bigint then 0 else ($2::bigint - g.position) / g.n + 1 end as first
      from (
        (select l.position, l.append_seq, l.n, l.appends from /*schema.*/log as l where l.position <= $2::bigint order by l.position desc limit 1)
        union all
        (select l.position, l.append_seq, l.n, l.appends from /*schema.*/log as l where l.position > $2::bigint and l.position <= $3::bigint order by l.position limit $4::int)
      ) as g
    ) as r where r.first < r.appends
  ) as p cross join lateral generate_series(p.first, p.appends - 1) as i (nth)
  where p.before < $4::int and p.position + i.nth * p.n <= $3::bigint
  order by 1 limit $4::int
) as l
cross join lateral (
  select v.idx, v.stream_id, v.version, v.event_id, v.event_type, v.causation_id, v.correlation_id, v.created_at, v.content_type, v.data, v.metadata
  from /*schema.*/events as v where v.append_seq = l.append_seq offset 0
) as e
cross join lateral (select t.name from /*schema.*/streams as t where t.stream_id = e.stream_id offset 0) as s
where $1::jsonb is null or s.name in (select t.name from jsonb_array_elements_text($1::jsonb) as t (name))
order by 1;

-- name: events_end
-- Where the page of events with these arguments ends: its last append; null if there is none. Index: log_pkey.
select max(l.position) from (
  select p.position + i.nth * p.n as position, p.append_seq + i.nth as append_seq
  from (
    select r.*, sum(r.appends - r.first) over (order by r.position) - (r.appends - r.first) as before
    from (
      select g.*, case when g.position > $1::bigint then 0 else ($1::bigint - g.position) / g.n + 1 end as first
      from (
        (select l.position, l.append_seq, l.n, l.appends from /*schema.*/log as l where l.position <= $1::bigint order by l.position desc limit 1)
        union all
        (select l.position, l.append_seq, l.n, l.appends from /*schema.*/log as l where l.position > $1::bigint and l.position <= $2::bigint order by l.position limit $3::int)
      ) as g
    ) as r where r.first < r.appends
  ) as p cross join lateral generate_series(p.first, p.appends - 1) as i (nth)
  where p.before < $3::int and p.position + i.nth * p.n <= $2::bigint
  order by 1 limit $3::int
) as l;

-- name: stream_ids
-- Index: streams_pkey.
select s.stream_id from /*schema.*/streams as s order by s.stream_id;

-- name: data_type
-- The type of the columns for data and metadata.
select t.typname::text from pg_attribute as a join pg_type as t on t.oid = a.atttypid where a.attrelid = to_regclass('/*schema.*/events') and a.attname = 'data';

-- name: progress_present
select 1 where to_regclass('/*schema.*/import_progress') is not null;

-- name: progress_create
-- How far an import has come: see state. The tables are there while one is under way.
create table /*schema.*/import_progress (
  one_row  boolean not null default true,
  header   text not null, -- of the archive, as JSON
  merge    boolean not null, -- into a store that was not empty
  base     bigint not null, -- what ids of streams are raised by
  highest  bigint not null, -- id of a stream in the archive
  phase    text not null,
  done     bigint not null, -- records of the phase
  position bigint not null, -- of the last event, in the archive
  begun_at timestamptz not null,
  constraint import_progress_pkey primary key (one_row),
  constraint import_progress_one check (one_row)
);
grant select on /*schema.*/import_progress to public; -- who looks for what is wrong may read it
create table /*schema.*/import_snapshots (
  source_id text collate "C" not null, -- that the import has written a snapshot of
  constraint import_snapshots_pkey primary key (source_id)
);

-- name: progress_read
select p.header, p.merge, p.base, p.highest, p.phase, p.done, p.position, p.begun_at from /*schema.*/import_progress as p;

-- name: progress_begin
insert into /*schema.*/import_progress (header, merge, base, highest, phase, done, position, begun_at)
values ($1::text, $2::boolean, $3::bigint, $4::bigint, $5::text, 0, 0, $6::timestamptz);

-- name: importing
-- The transaction is the import's own: its writes pass the guards.
select set_config('eventstore.importing', 'on', true);

-- name: guard_function
-- Refuses a write while an import is unfinished: of a merge only writes to the streams that it brings, and their snapshots and
-- subscriptions. Reads import_progress, and streams by streams_name_key, as the importing user: who writes may not see the first.
create function /*schema.*/import_guard() returns trigger language plpgsql security definer set search_path = pg_catalog as $body$
declare
  begun timestamptz;
  all_ boolean;
  low bigint;
  high bigint;
  mine boolean;
begin
  select p.begun_at, not p.merge, p.base + 1, p.base + p.highest into begun, all_, low, high from /*schema.*/import_progress as p;
  if all_ then
    mine := true;
  elsif tg_table_name = 'streams' then
    mine := coalesce(new.stream_id, old.stream_id) between low and high;
  elsif tg_table_name = 'snapshots' then
    mine := exists (select from /*schema.*/streams as s where s.name = coalesce(new.source_id, old.source_id) and s.stream_id between low and high);
  else
    mine := exists (select from /*schema.*/streams as s where s.name = coalesce(new.stream, old.stream) and s.stream_id between low and high);
  end if;
  if mine then
    raise exception 'eventstore: an import into this store, begun at %, is unfinished', begun
      using errcode = 'ESTIM', hint = 'Run the import again to finish it, or clear it away with: eventstore import --abandon';
  end if;
  if tg_op = 'DELETE' then
    return old;
  end if;
  return new;
end
$body$;

-- name: guard_all
-- Nobody else writes. Subscriptions row by row, since who runs none may look for his.
create trigger import_guard before insert or update or delete on /*schema.*/streams for each statement
  when (current_setting('eventstore.importing', true) is distinct from 'on') execute function /*schema.*/import_guard();
create trigger import_guard before insert or update or delete on /*schema.*/log for each statement
  when (current_setting('eventstore.importing', true) is distinct from 'on') execute function /*schema.*/import_guard();
create trigger import_guard before insert or update or delete on /*schema.*/snapshots for each statement
  when (current_setting('eventstore.importing', true) is distinct from 'on') execute function /*schema.*/import_guard();
create trigger import_guard before insert or update or delete on /*schema.*/subscriptions for each row
  when (current_setting('eventstore.importing', true) is distinct from 'on') execute function /*schema.*/import_guard();

-- name: guard_streams
-- Nobody else writes to the streams of a merge.
create trigger import_guard before insert or update or delete on /*schema.*/streams for each row
  when (current_setting('eventstore.importing', true) is distinct from 'on') execute function /*schema.*/import_guard();
create trigger import_guard before insert or update or delete on /*schema.*/snapshots for each row
  when (current_setting('eventstore.importing', true) is distinct from 'on') execute function /*schema.*/import_guard();
create trigger import_guard before insert or update or delete on /*schema.*/subscriptions for each row
  when (current_setting('eventstore.importing', true) is distinct from 'on') execute function /*schema.*/import_guard();

-- name: guard_drop
-- With its triggers.
drop function /*schema.*/import_guard() cascade;

-- name: progress_write
update /*schema.*/import_progress set phase = $1::text, done = $2::bigint, position = $3::bigint
where phase = $4::text and done = $5::bigint; -- what it was: nobody else is importing

-- name: analyze
-- So that the store's plans fit what is there now.
analyze /*schema.*/streams, /*schema.*/events, /*schema.*/links, /*schema.*/log;

-- name: progress_drop
drop table /*schema.*/import_progress, /*schema.*/import_snapshots;

-- name: rights
-- Rights that an import needs, or clearing it away, and the user lacks.
select format('%s on %s', r.privilege, r.name) from (values
  ('/*schema.*/streams', 'SELECT'),
  ('/*schema.*/streams', 'INSERT'),
  ('/*schema.*/streams', 'UPDATE'),
  ('/*schema.*/streams', 'DELETE'),
  ('/*schema.*/streams', 'TRIGGER'),
  ('/*schema.*/events', 'SELECT'),
  ('/*schema.*/events', 'INSERT'),
  ('/*schema.*/events', 'DELETE'),
  ('/*schema.*/links', 'SELECT'),
  ('/*schema.*/links', 'INSERT'),
  ('/*schema.*/links', 'DELETE'),
  ('/*schema.*/log', 'SELECT'),
  ('/*schema.*/log', 'INSERT'),
  ('/*schema.*/log', 'UPDATE'), -- to lock rows, see hard_delete
  ('/*schema.*/log', 'DELETE'),
  ('/*schema.*/log', 'TRIGGER'),
  ('/*schema.*/snapshots', 'SELECT'),
  ('/*schema.*/snapshots', 'INSERT'),
  ('/*schema.*/snapshots', 'UPDATE'),
  ('/*schema.*/snapshots', 'DELETE'),
  ('/*schema.*/snapshots', 'TRIGGER'),
  ('/*schema.*/subscriptions', 'SELECT'),
  ('/*schema.*/subscriptions', 'INSERT'),
  ('/*schema.*/subscriptions', 'UPDATE'),
  ('/*schema.*/subscriptions', 'TRIGGER'),
  ('/*schema.*/projections', 'SELECT'),
  ('/*schema.*/projections', 'UPDATE'),
  ('/*schema.*/parked', 'SELECT'),
  ('/*schema.*/parked', 'INSERT'),
  ('/*schema.*/parked', 'DELETE'),
  ('/*schema.*/parked_changes', 'SELECT'),
  ('/*schema.*/parked_changes', 'INSERT'),
  ('/*schema.*/parked_changes', 'UPDATE'),
  ('/*schema.*/retired', 'SELECT'),
  ('/*schema.*/retired', 'INSERT'),
  ('/*schema.*/store', 'SELECT'),
  ('/*schema.*/store', 'UPDATE')
) as r (name, privilege) where not has_table_privilege(r.name, r.privilege)
union all
select format('%s on sequence %s', p.privilege, r.name)
from (values ('/*schema.*/stream_seq'), ('/*schema.*/append_seq'), ('/*schema.*/epoch_seq')) as r (name), (values ('SELECT'), ('UPDATE')) as p (privilege)
where not has_sequence_privilege(r.name, p.privilege)
union all
select format('CREATE on schema %s', n.nspname) from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where c.oid = to_regclass('/*schema.*/streams') and not has_schema_privilege(n.oid, 'CREATE')
union all
select format('TEMPORARY on database %s', current_database()) where not has_database_privilege(current_database(), 'TEMPORARY');

-- name: exclusive
-- Nobody appends until the transaction ends, so nobody draws a number of a stream. Nor does anybody acquire a subscription, or
-- write what else gets a trigger here.
lock table /*schema.*/streams, /*schema.*/log, /*schema.*/snapshots, /*schema.*/subscriptions in share row exclusive mode;

-- name: held
-- Subscriptions that a program runs now. Reads the whole table, which is small.
select format('%s on %s, run by %s until %s', s.name, s.stream, s.owner, s.lease_until)
from /*schema.*/subscriptions as s where s.lease_until > clock_timestamp() order by s.stream, s.name limit 11;

-- name: begun
-- Subscriptions that have come to a number in a stream that is there. Reads the whole table, which is small; streams_pkey.
select format('%s on %s, at %s', s.name, s.stream, s.checkpoint)
from /*schema.*/subscriptions as s
where s.checkpoint > 0 and (s.stream = '$all' or exists (select from /*schema.*/streams as t where t.stream_id = s.stream_id)) order by s.stream, s.name limit 11;

-- name: recorded
-- Index: snapshots_pkey.
select s.source_id from /*schema.*/snapshots as s order by s.source_id limit 11;

-- name: taken_snapshots
-- Sources of $1, a JSON list, that have snapshots already. Index: snapshots_pkey.
select s.source_id from /*schema.*/snapshots as s where s.source_id in (select t.name from jsonb_array_elements_text($1::jsonb) as t (name)) order by 1 limit 11;

-- name: taken_ids
-- Events of $1, a JSON list of ids, that are there already, with their streams. Index: events_event_id_key, one look-up for each.
select format('%s in %s', e.event_id, s.name)
from jsonb_array_elements_text($1::jsonb) as t (id)
cross join lateral (select v.event_id, v.stream_id from /*schema.*/events as v where v.event_id = t.id::uuid offset 0) as e
left join /*schema.*/streams as s on s.stream_id = e.stream_id limit 11;

-- name: taken_held
-- held, of those in $1, a JSON list of lists of stream and name.
select format('%s on %s, run by %s until %s', s.name, s.stream, s.owner, s.lease_until)
from jsonb_array_elements($1::jsonb) as t (pair)
join /*schema.*/subscriptions as s on s.stream = t.pair ->> 0 and s.name = t.pair ->> 1
where s.stream <> '$all' and s.lease_until > clock_timestamp() order by s.stream, s.name limit 11;

-- name: taken_begun
-- begun likewise.
select format('%s on %s, at %s', s.name, s.stream, s.checkpoint)
from jsonb_array_elements($1::jsonb) as t (pair)
join /*schema.*/subscriptions as s on s.stream = t.pair ->> 0 and s.name = t.pair ->> 1
where s.checkpoint > 0 and exists (select from /*schema.*/streams as k where k.stream_id = s.stream_id) order by s.stream, s.name limit 11;

-- name: empty
select not exists (select from /*schema.*/streams) and not exists (select from /*schema.*/log) and not exists (select from /*schema.*/events);

-- name: reserve
-- So many numbers of streams, for this import alone; comes back with the one before the first. Everybody else is locked out.
select setval('/*schema.*/stream_seq', s.last_value + 1 + $1::bigint) - $1::bigint from /*schema.*/stream_seq as s;

-- name: taken
-- Names of $1, a JSON list, that streams have already. Index: streams_name_key.
select s.name from /*schema.*/streams as s where s.name in (select t.name from jsonb_array_elements_text($1::jsonb) as t (name)) order by 1 limit 11;

-- name: lock_tick
-- The lock of a tick: the order of all events is written by one session at a time.
select pg_advisory_xact_lock(hashtextextended('eventstore tick /*schema_text*/', 0));

-- name: head
-- Where the order ends, and which number an append was given last. Indexes: log_pkey, log_append_seq_key.
select coalesce((select l.position + l.n::bigint * l.appends - 1 from /*schema.*/log as l order by l.position desc limit 1), 0),
  greatest((select l.append_seq + l.appends - 1 from /*schema.*/log as l order by l.append_seq desc limit 1),
    (select e.append_seq from /*schema.*/events as e order by e.append_seq desc limit 1), 0);

-- name: draw
-- Numbers for so many appends. The transaction must have an id before, as any that draws: see tick in the migrations.
select d.seq from (select pg_current_xact_id()) as id, lateral (select nextval('/*schema.*/append_seq') as seq from generate_series(1, $1::int) where id is not null) as d order by 1;

-- name: filler
-- The last position, whose event was hard deleted: positions go on behind it.
insert into /*schema.*/log (position, append_seq, n) values ($1::bigint, $1::bigint, 1);

-- name: sequences
-- Behind the numbers that are written without drawing them. Everybody else is locked out.
select setval('/*schema.*/append_seq', greatest((select s.last_value from /*schema.*/append_seq as s), $1::bigint)),
  setval('/*schema.*/stream_seq', greatest((select s.last_value from /*schema.*/stream_seq as s), $2::bigint));

-- name: highest_stream
-- The highest id that a stream had. Everybody else is locked out. Indexes: streams_pkey, retired_pkey.
select greatest((select max(s.stream_id) from /*schema.*/streams as s), (select max(r.id) from /*schema.*/retired as r where r.kind = 'stream'), 0);

-- name: retire_streams
-- Ids up to this one are not given to new streams. See retired in the migrations.
insert into /*schema.*/retired (kind, id) select 'stream', $1::bigint where $1::bigint > 0 on conflict on constraint retired_pkey do nothing;

-- name: staged_links
create temporary table staged_links (stream_id bigint, version bigint, event_id uuid) on commit drop;

-- name: insert_links
-- Indexes: events_event_id_key, streams_pkey.
insert into /*schema.*/links (stream_id, version, append_seq, idx)
select g.stream_id, g.version, e.append_seq, e.idx
from staged_links as g
join /*schema.*/events as e on e.event_id = g.event_id
join /*schema.*/streams as s on s.stream_id = g.stream_id;

-- name: epochs
-- Makes the sequence go on behind all epochs that were used, if it was set back. Others may draw meanwhile. Index: retired_pkey.
select /*schema.*/advance('/*schema.*/epoch_seq', q.last_value - case when q.is_called then 0 else 1 end,
  greatest((select max(s.epoch) from /*schema.*/subscriptions as s), (select max(r.id) from /*schema.*/retired as r where r.kind = 'epoch')))
from /*schema.*/epoch_seq as q;

-- name: insert_subscription
-- One that is there already, held by nobody and not begun in a stream that is there, is moved; nothing comes back of another. Indexes:
-- subscriptions_pkey, streams_pkey.
insert into /*schema.*/subscriptions as s (stream, name, checkpoint, stream_id, epoch, owner, created_at, updated_at, seen, seen_id)
values ($1::text, $2::text, $3::bigint, $4::bigint, nextval('/*schema.*/epoch_seq'), '', $5::timestamptz, $6::timestamptz, $7::bigint, $8::uuid)
on conflict on constraint subscriptions_pkey do update
set checkpoint = excluded.checkpoint, stream_id = excluded.stream_id, seen = excluded.seen, seen_id = excluded.seen_id, epoch = greatest(s.epoch + 1, excluded.epoch), owner = '',
  lease_until = null, last_error = '', updated_at = excluded.updated_at
where (s.checkpoint = 0 or not exists (select from /*schema.*/streams as t where t.stream_id = s.stream_id)) and (s.lease_until > clock_timestamp()) is not true
returning 1;

-- name: insert_parked
-- Index: parked_pkey.
insert into /*schema.*/parked (reader_stream, reader, number, hash, version, attempts, failed, parked_at, event_id, key, stream, event_type, error)
values ($1::text, $2::text, $3::bigint, $4::bigint, $5::bigint, $6::int, $7::boolean, $8::timestamptz, $9::uuid, $10::text, $11::text, $12::text, $13::text)
on conflict on constraint parked_pkey do nothing;

-- name: insert_snapshot
-- Nothing comes back if there is one already. Index: snapshots_pkey.
with written as (
  insert into /*schema.*/snapshots (source_id, version, source_type, content_type, data, metadata, created_at)
  values ($1::text, $2::bigint, $3::text, nullif($4::text, ''), /*schema.*/to_data($5::bytea), /*schema.*/to_data($6::bytea), $7::timestamptz)
  on conflict on constraint snapshots_pkey do nothing
  returning source_id
)
insert into /*schema.*/import_snapshots (source_id) select w.source_id from written as w returning 1;

-- name: try_data
-- Fails if the columns refuse the data.
select /*schema.*/to_data($1::bytea) is null, /*schema.*/to_data($2::bytea) is null;

-- name: abandoned_streams
-- The next streams that an import has written. Index: streams_pkey.
select s.name from /*schema.*/streams as s where s.stream_id > $1::bigint and s.stream_id <= $2::bigint order by s.stream_id limit 100;

-- name: abandoned_snapshots
-- Index: snapshots_pkey.
delete from /*schema.*/snapshots as s using /*schema.*/import_snapshots as i where s.source_id = i.source_id;

-- name: abandoned_order
-- Of a store that was empty: the rest of the order, which the last hard delete has left. The store is another one than that
-- which readers may have seen: the same positions may get other events.
select set_config('eventstore.hard_delete', 'on', true);
delete from /*schema.*/log;
select set_config('eventstore.hard_delete', 'off', true);
update /*schema.*/store set store_id = gen_random_uuid();

-- name: stream_name
select s.name from /*schema.*/streams as s where s.stream_id = $1::bigint;

-- name: follow_mark
-- How far a store that follows its source is: in the header.
update /*schema.*/import_progress set header = $1::text, highest = greatest(highest, $2::bigint);

-- name: follow_streams
-- All streams, by streams_pkey.
select s.stream_id, s.name, s.version, s.deleted_at from /*schema.*/streams as s order by s.stream_id;

-- name: follow_known
-- Streams of these ids or names, which are JSON lists. Indexes: streams_pkey, streams_name_key.
select s.stream_id, s.name from /*schema.*/streams as s
where s.stream_id in (select t.id::bigint from jsonb_array_elements_text($1::jsonb) as t (id))
union
select s.stream_id, s.name from /*schema.*/streams as s
where s.name in (select t.name from jsonb_array_elements_text($2::jsonb) as t (name));

-- name: follow_set
-- Streams as they are in the source: $1 is a JSON list. One has links, or holes, unless every version behind seen, the last one that was
-- looked at, has an event of its own. Indexes: streams_pkey, events_version_key.
insert into /*schema.*/streams as t (stream_id, name, version, created_at, deleted_at, linked)
select s.id, s.name, s.version, /*schema.*/from_micros(s.created), /*schema.*/from_micros(s.deleted), s.linked or s.version - s.seen <> (
    select count(*) from /*schema.*/events as e where e.stream_id = s.id and e.version > s.seen and e.version <= s.version
  )
from jsonb_to_recordset($1::jsonb) as s (id bigint, name text, version bigint, created bigint, deleted bigint, linked boolean, seen bigint)
on conflict on constraint streams_pkey do update set version = excluded.version, deleted_at = excluded.deleted_at,
  linked = t.linked or excluded.linked;

-- name: follow_last
-- The last event: of a store that was empty, the number of an append is its position. Index: events_pkey.
select e.append_seq, e.event_id from /*schema.*/events as e order by e.append_seq desc limit 1;

-- name: follow_places
-- How many events are in each range of $2 positions, up to $1. Index: events_pkey, alone.
select (e.append_seq - 1) / $2::bigint, count(*) from /*schema.*/events as e where e.append_seq <= $1::bigint group by 1 order by 1;

-- name: follow_positions
-- Index: events_pkey.
select e.append_seq from /*schema.*/events as e where e.append_seq between $1::bigint and $2::bigint order by 1;

-- name: follow_removing
-- From here on the transaction may remove events.
select set_config('eventstore.hard_delete', 'on', true);

-- name: follow_remove
-- An event that the source has lost alone, without its stream: with its links and, unless it is the last, its place in the order. The
-- versions of the streams have holes from here on. Indexes: events_pkey, streams_pkey, links_event_key, log_append_seq_key.
with event as (
  delete from /*schema.*/events as e where e.append_seq = $1::bigint returning e.append_seq, e.stream_id
), gone_links as (
  delete from /*schema.*/links as l using event as e where l.append_seq = e.append_seq returning l.stream_id
), gone_log as (
  delete from /*schema.*/log as l using event as e where l.append_seq = e.append_seq and l.position < (select max(m.position) from /*schema.*/log as m)
)
update /*schema.*/streams as s set linked = true
where s.stream_id in (select e.stream_id from event as e union select l.stream_id from gone_links as l);

-- name: follow_removed
-- Nothing more is removed in this transaction.
select set_config('eventstore.hard_delete', 'off', true);

-- name: follow_snapshot
-- One row if the snapshot is new or differs from what is there: the source may read unchanged ones again. Index: snapshots_pkey.
insert into /*schema.*/snapshots as s (source_id, version, source_type, content_type, data, metadata, created_at)
values ($1::text, $2::bigint, $3::text, nullif($4::text, ''), /*schema.*/to_data($5::bytea), /*schema.*/to_data($6::bytea), $7::timestamptz)
on conflict on constraint snapshots_pkey do update set version = excluded.version, source_type = excluded.source_type,
  content_type = excluded.content_type, data = excluded.data, metadata = excluded.metadata, created_at = excluded.created_at
where (s.version, s.source_type, s.content_type, s.data, s.metadata, s.created_at)
  is distinct from (excluded.version, excluded.source_type, excluded.content_type, excluded.data, excluded.metadata, excluded.created_at)
returning 1;

-- name: follow_snapshot_noted
insert into /*schema.*/import_snapshots (source_id) values ($1::text) on conflict do nothing;

-- name: follow_snapshots
-- Index: snapshots_pkey.
select s.source_id from /*schema.*/snapshots as s order by s.source_id;

-- name: follow_snapshot_gone
-- Index: snapshots_pkey.
delete from /*schema.*/snapshots as s where s.source_id = $1::text;
