-- The statements of the backend. Every write runs in a transaction that took the write lock first, so that what it
-- reads stays true until it ends.

-- Transactions

-- name: lock
-- Takes the write lock without changing a row. As the first statement of a transaction it waits for the lock and sees
-- what was committed before; after a read, it fails at once if another writer came in between.
update /*prefix*/head set position = position where false;

-- name: savepoint
savepoint eventstore;

-- name: release
release eventstore;

-- name: rollback_to
rollback to eventstore;

-- Streams

-- name: stream
-- Index: streams_name_key.
select stream_id, version, created_at, deleted_at from /*prefix*/streams where name = ?1;

-- name: create_stream
-- Returns the number of the new stream, one that no stream had before.
insert into /*prefix*/streams (name, version, created_at) values (?1, ?2, ?3) returning stream_id;

-- name: set_version
update /*prefix*/streams set version = ?2 where stream_id = ?1;

-- name: soft_delete
update /*prefix*/streams set deleted_at = ?2 where stream_id = ?1;

-- Append

-- name: advance_head
-- Gives the last ?1 positions up to the one that comes back.
update /*prefix*/head set position = position + ?1 returning position;

-- name: append_event
insert into /*prefix*/events (
  position, idx, stream_id, version, created_at, event_id, causation_id, correlation_id, event_type, data, metadata
) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11);

-- name: append_retry
-- Returns where the first event is, if the ids in ?2 (JSON, hex), ?3 in number, are exactly those of one earlier append:
-- at adjacent positions, in the order of the append, and with nothing of it behind them.
select f.stream_id, f.version from /*prefix*/events f
where f.event_id = ?1 and f.idx = 0
  and ?3 = (
    select count(*) from json_each(?2) j cross join /*prefix*/events e
    where e.event_id = unhex(j.value) and e.position = f.position + j.key and e.idx = j.key
  )
  and not exists (select 1 from /*prefix*/events n where n.position = f.position + ?3 and n.idx > 0);

-- name: append_present
-- Returns the place in ?1 (JSON, hex) of the first id that is there already. Index: events_event_id_key.
select j.key from json_each(?1) j
where exists (select 1 from /*prefix*/events e where e.event_id = unhex(j.value))
order by j.key limit 1;

-- Link

-- name: link_unknown
-- Returns the place in ?1 (JSON, hex) of the first id that no event has. Index: events_event_id_key.
select j.key from json_each(?1) j
where not exists (select 1 from /*prefix*/events e where e.event_id = unhex(j.value))
order by j.key limit 1;

-- name: link_present
-- Returns the place in ?1 (JSON, hex) of the first event that is in stream ?2 already, as its own or linked.
select j.key from json_each(?1) j cross join /*prefix*/events e
where e.event_id = unhex(j.value)
  and (e.stream_id = ?2 or exists (select 1 from /*prefix*/links l where l.position = e.position and l.stream_id = ?2))
order by j.key limit 1;

-- name: link_events
-- Links the events with the ids in ?1 (JSON, hex) to stream ?2, from version ?3 on.
insert into /*prefix*/links (stream_id, version, position)
select ?2, ?3 + j.key, e.position from json_each(?1) j cross join /*prefix*/events e
where e.event_id = unhex(j.value);

-- Hard delete, in this order

-- name: delete_begin
-- Opens the guards for one stream.
update /*prefix*/head set deleting = ?1;

-- name: delete_own_links
delete from /*prefix*/links where stream_id = ?1;

-- name: delete_links
-- Links of the stream's events in other streams. Indexes: events_version_key, links_event_key.
delete from /*prefix*/links
where (stream_id, version) in (
  select l.stream_id, l.version from /*prefix*/events e cross join /*prefix*/links l
  where e.stream_id = ?1 and l.position = e.position
);

-- name: delete_events
delete from /*prefix*/events where stream_id = ?1;

-- name: delete_stream
delete from /*prefix*/streams where stream_id = ?1;

-- name: delete_end
update /*prefix*/head set deleting = null;

-- Read

-- name: read_stream
-- The stream's own events, by events_version_key, merged with its links, by the key of links: both come in order, so
-- that nothing is sorted and a page costs the same wherever it is. No rows: absent, deleted, or the end.
select e.version as number, ?1 as name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.data,
  e.metadata, e.created_at
from /*prefix*/events e
where e.stream_id = (select stream_id from /*prefix*/streams where name = ?1 and deleted_at is null) and e.version >= ?2
union all
select l.version, s.name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.data,
  e.metadata, e.created_at
from /*prefix*/links l cross join /*prefix*/events e cross join /*prefix*/streams s
where l.stream_id = (select stream_id from /*prefix*/streams where name = ?1 and deleted_at is null) and l.version >= ?2
  and e.position = l.position and s.stream_id = e.stream_id
order by number limit ?3;

-- name: read_stream_backward
select e.version as number, ?1 as name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.data,
  e.metadata, e.created_at
from /*prefix*/events e
where e.stream_id = (select stream_id from /*prefix*/streams where name = ?1 and deleted_at is null) and e.version <= ?2
union all
select l.version, s.name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.data,
  e.metadata, e.created_at
from /*prefix*/links l cross join /*prefix*/events e cross join /*prefix*/streams s
where l.stream_id = (select stream_id from /*prefix*/streams where name = ?1 and deleted_at is null) and l.version <= ?2
  and e.position = l.position and s.stream_id = e.stream_id
order by number desc limit ?3;

-- name: read_all
-- The order of the join is fixed: events by their primary key, each with its stream by its own.
select e.position, s.name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.data, e.metadata,
  e.created_at
from /*prefix*/events e cross join /*prefix*/streams s
where e.position >= ?1 and s.stream_id = e.stream_id
order by e.position limit ?2;

-- name: read_all_backward
select e.position, s.name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.data, e.metadata,
  e.created_at
from /*prefix*/events e cross join /*prefix*/streams s
where e.position <= ?1 and s.stream_id = e.stream_id
order by e.position desc limit ?2;

-- name: read_event
-- Index: events_event_id_key.
select e.version, s.name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.data, e.metadata,
  e.created_at
from /*prefix*/events e cross join /*prefix*/streams s
where e.event_id = ?1 and s.stream_id = e.stream_id;

-- name: head
select position from /*prefix*/head;

-- List streams: those with ?1 in their name and the status ?2, if not empty, behind the stream with key ?3 and id ?4

-- name: list_by_id
select name, stream_id, version, created_at, deleted_at from /*prefix*/streams
where (?1 = '' or instr(name, ?1) > 0) and (?2 = '' or ?2 = iif(deleted_at is null, 'active', 'deleted'))
  and stream_id > ?4 and ?3 is null
order by stream_id limit ?5 offset ?6;

-- name: list_by_id_descending
select name, stream_id, version, created_at, deleted_at from /*prefix*/streams
where (?1 = '' or instr(name, ?1) > 0) and (?2 = '' or ?2 = iif(deleted_at is null, 'active', 'deleted'))
  and stream_id < ?4 and ?3 is null
order by stream_id desc limit ?5 offset ?6;

-- name: list_by_name
-- Index: streams_name_key.
select name, stream_id, version, created_at, deleted_at from /*prefix*/streams
where (?1 = '' or instr(name, ?1) > 0) and (?2 = '' or ?2 = iif(deleted_at is null, 'active', 'deleted'))
  and (name, stream_id) > (?3, ?4)
order by name limit ?5 offset ?6;

-- name: list_by_name_descending
-- Index: streams_name_key.
select name, stream_id, version, created_at, deleted_at from /*prefix*/streams
where (?1 = '' or instr(name, ?1) > 0) and (?2 = '' or ?2 = iif(deleted_at is null, 'active', 'deleted'))
  and (name, stream_id) < (?3, ?4)
order by name desc limit ?5 offset ?6;

-- name: list_by_key
-- By version, created or deleted, as ?7 says: no index, so each page reads all streams. A stream that was never deleted
-- counts as deleted at the end of time.
select name, stream_id, version, created_at, deleted_at from (
  select name, stream_id, version, created_at, deleted_at,
    case ?7 when 'version' then version when 'created' then created_at else ifnull(deleted_at, 9223372036854775807) end as key
  from /*prefix*/streams
)
where (?1 = '' or instr(name, ?1) > 0) and (?2 = '' or ?2 = iif(deleted_at is null, 'active', 'deleted'))
  and (key, stream_id) > (?3, ?4)
order by key, stream_id limit ?5 offset ?6;

-- name: list_by_key_descending
select name, stream_id, version, created_at, deleted_at from (
  select name, stream_id, version, created_at, deleted_at,
    case ?7 when 'version' then version when 'created' then created_at else ifnull(deleted_at, 9223372036854775807) end as key
  from /*prefix*/streams
)
where (?1 = '' or instr(name, ?1) > 0) and (?2 = '' or ?2 = iif(deleted_at is null, 'active', 'deleted'))
  and (key, stream_id) < (?3, ?4)
order by key desc, stream_id desc limit ?5 offset ?6;

-- name: count_streams
select count(*) from /*prefix*/streams
where (?1 = '' or instr(name, ?1) > 0) and (?2 = '' or ?2 = iif(deleted_at is null, 'active', 'deleted'));

-- Schema and settings

-- name: busy_timeout
pragma busy_timeout;

-- name: migrate_present
-- One row if the version table is there: a statement on a table that is missing would fail.
select 1 from sqlite_master where type = 'table' and name = '/*version_table*/eventstore_migrations';

-- name: migrate_prepare
create table if not exists /*version_table*/eventstore_migrations (
  only    integer not null default 1 primary key check (only = 1),
  version integer not null
) strict;

-- name: migrate_version
select version from /*version_table*/eventstore_migrations;

-- name: migrate_set_version
-- Replaces the one row.
insert into /*version_table*/eventstore_migrations (only, version) values (1, ?1)
on conflict (only) do update set version = excluded.version;

-- name: migrate_clear_version
delete from /*version_table*/eventstore_migrations;

-- name: migrate_lock
-- Waits for every other writer, and keeps them waiting: all migrations run in one transaction, each in a savepoint.
begin immediate;

-- name: migrate_unlock
commit;

-- name: migrate_begin
savepoint migration;

-- name: migrate_commit
release migration;

-- name: migrate_rollback
rollback to migration; release migration;
