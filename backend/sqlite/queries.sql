-- The statements of the backend. Every write runs in a transaction that took the write lock first, so that what it
-- reads stays true until it ends.

-- Transactions

-- name: lock
-- Takes the write lock without changing a row. As the first statement of a transaction it waits for the lock and sees
-- what was committed before; after a read, it fails at once if another writer came in between.
update /*prefix*/head set position = position where false;

-- name: begin_again
-- Fails in a transaction, and does nothing to it.
begin;

-- name: end_again
rollback;

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
-- Returns the id of the new stream, one that no stream had before.
insert into /*prefix*/streams (stream_id, name, version, created_at)
select max(h.last_stream, ifnull((select max(s.stream_id) from /*prefix*/streams s), 0)) + 1, ?1, ?2, ?3 from /*prefix*/head h
returning stream_id;

-- name: set_version
update /*prefix*/streams set version = ?2 where stream_id = ?1;

-- Append

-- name: advance_head
-- Gives the last ?1 positions up to the one that comes back, together with the time of the last event that is there. Index: the table.
update /*prefix*/head set position = position + ?1
returning position, (select ifnull(e.recorded_at, e.created_at) from /*prefix*/events e order by e.position desc limit 1);

-- name: append_event
insert into /*prefix*/events (
  position, idx, stream_id, version, created_at, event_id, causation_id, correlation_id, event_type, content_type,
  data, metadata, recorded_at
) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13);

-- name: append_retry
-- Returns where the first event is, if the ids in ?2 (16 bytes each), ?3 in number, are exactly those of one earlier append:
-- at adjacent positions, in the order of the append, and with nothing of it behind them.
with recursive ids (nr, id) as (
  select 0, substr(?2, 1, 16) union all select nr + 1, substr(?2, 16 * nr + 17, 16) from ids where length(?2) > 16 * nr + 16
)
select f.stream_id, f.version from /*prefix*/events f
where f.event_id = ?1 and f.idx = 0
  and ?3 = (
    select count(*) from ids i cross join /*prefix*/events e
    where e.event_id = i.id and e.position = f.position + i.nr and e.idx = i.nr
  )
  and not exists (select 1 from /*prefix*/events n where n.position = f.position + ?3 and n.idx > 0);

-- name: append_present
-- Returns the place in ?1 (16 bytes each) of the first id that is there already. Index: events_event_id_key.
with recursive ids (nr, id) as (
  select 0, substr(?1, 1, 16) union all select nr + 1, substr(?1, 16 * nr + 17, 16) from ids where length(?1) > 16 * nr + 16
)
select i.nr from ids i
where exists (select 1 from /*prefix*/events e where e.event_id = i.id)
order by i.nr limit 1;

-- Link

-- name: link_unknown
-- Returns the place in ?1 (16 bytes each) of the first id that no event has. Index: events_event_id_key.
with recursive ids (nr, id) as (
  select 0, substr(?1, 1, 16) union all select nr + 1, substr(?1, 16 * nr + 17, 16) from ids where length(?1) > 16 * nr + 16
)
select i.nr from ids i
where not exists (select 1 from /*prefix*/events e where e.event_id = i.id)
order by i.nr limit 1;

-- name: link_present
-- Returns the place in ?1 (16 bytes each) of the first event that is in stream ?2 already, as its own or linked.
with recursive ids (nr, id) as (
  select 0, substr(?1, 1, 16) union all select nr + 1, substr(?1, 16 * nr + 17, 16) from ids where length(?1) > 16 * nr + 16
)
select i.nr from ids i cross join /*prefix*/events e
where e.event_id = i.id
  and (e.stream_id = ?2 or exists (select 1 from /*prefix*/links l where l.position = e.position and l.stream_id = ?2))
order by i.nr limit 1;

-- name: link_events
-- Links the events with the ids in ?1 (16 bytes each) to stream ?2, from version ?3 on, at the time ?4.
insert into /*prefix*/links (stream_id, version, position, linked_at)
with recursive ids (nr, id) as (
  select 0, substr(?1, 1, 16) union all select nr + 1, substr(?1, 16 * nr + 17, 16) from ids where length(?1) > 16 * nr + 16
)
select ?2, ?3 + i.nr, e.position, ?4 from ids i cross join /*prefix*/events e
where e.event_id = i.id;

-- Delete

-- name: soft_delete
update /*prefix*/streams set deleted_at = ?2 where stream_id = ?1;

-- name: undelete
update /*prefix*/streams set deleted_at = null where stream_id = ?1;

-- Hard delete, in this order

-- name: delete_begin
-- Opens the guards for one stream, and notes that its id was used.
update /*prefix*/head set deleting = ?1, last_stream = max(last_stream, ?1);

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

-- name: delete_its_snapshot
-- The snapshot of the source of the stream's name.
delete from /*prefix*/snapshots where source_id = (select name from /*prefix*/streams where stream_id = ?1);

-- name: delete_its_parked
-- What projections and subscriptions have parked of the stream, or on it. Indexes: parked_stream_idx, parked_pkey.
delete from /*prefix*/parked
where stream = (select name from /*prefix*/streams where stream_id = ?1)
  or reader_stream = (select name from /*prefix*/streams where stream_id = ?1)
  or reader_stream = '' and reader in (select p.name from /*prefix*/projections p join /*prefix*/streams s on s.name = p.stream where s.stream_id = ?1);

-- name: delete_notes_parked
-- Makes those look who run projections that have parked something of the stream, or on it. Comes before delete_its_parked.
update /*prefix*/projections set changes = changes + 1
where name in (select k.reader from /*prefix*/parked k join /*prefix*/streams s on s.name = k.stream where s.stream_id = ?1 and k.reader_stream = '')
  or stream = (select name from /*prefix*/streams where stream_id = ?1)
    and exists (select 1 from /*prefix*/parked k where k.reader_stream = '' and k.reader = /*prefix*/projections.name);

-- name: delete_notes_changes
-- The same for subscriptions. Indexes: parked_stream_idx, parked_pkey.
insert into /*prefix*/parked_changes (reader_stream, reader, changes)
select k.reader_stream, k.reader, 1 from /*prefix*/parked k
where k.reader_stream <> '' and k.stream = (select name from /*prefix*/streams where stream_id = ?1)
  or k.reader_stream = (select name from /*prefix*/streams where stream_id = ?1)
group by 1, 2
on conflict (reader_stream, reader) do update set changes = changes + 1;

-- name: delete_stream
delete from /*prefix*/streams where stream_id = ?1;

-- name: delete_end
update /*prefix*/head set deleting = null;

-- Read

-- name: read_stream
-- The stream's own events, by events_version_key, merged with its links, by the key of links: both come in order, so
-- that nothing is sorted and a page costs the same wherever it is. The first row is the stream itself, with its id in
-- the last column, so that its version is that of the same moment as the page. No rows: the stream is absent, deleted, or has
-- another id than ?4 (0: any id). Own events come without the name and the version, which the caller has: each value costs.
select 0 as number, null as name, s.version as version, null, null, null, null, null, null, null, s.stream_id
from /*prefix*/streams s
where s.name = ?1 and s.deleted_at is null and ?4 in (0, s.stream_id)
union all
select e.version, null, 0, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.content_type, e.data,
  e.metadata, e.created_at
from /*prefix*/events e
where e.stream_id = (select stream_id from /*prefix*/streams where name = ?1 and deleted_at is null and ?4 in (0, stream_id)) and e.version >= ?2
union all
select l.version, s.name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.content_type, e.data,
  e.metadata, e.created_at
from /*prefix*/links l cross join /*prefix*/events e cross join /*prefix*/streams s
where l.stream_id = (select stream_id from /*prefix*/streams where name = ?1 and deleted_at is null and ?4 in (0, stream_id)) and l.version >= ?2
  and e.position = l.position and s.stream_id = e.stream_id
order by number limit 1 + ?3;

-- name: read_stream_backward
select 9223372036854775807 as number, null as name, s.version as version, null, null, null, null, null, null, null, s.stream_id
from /*prefix*/streams s
where s.name = ?1 and s.deleted_at is null and ?4 in (0, s.stream_id)
union all
select e.version, null, 0, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.content_type, e.data,
  e.metadata, e.created_at
from /*prefix*/events e
where e.stream_id = (select stream_id from /*prefix*/streams where name = ?1 and deleted_at is null and ?4 in (0, stream_id)) and e.version <= ?2
union all
select l.version, s.name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.content_type, e.data,
  e.metadata, e.created_at
from /*prefix*/links l cross join /*prefix*/events e cross join /*prefix*/streams s
where l.stream_id = (select stream_id from /*prefix*/streams where name = ?1 and deleted_at is null and ?4 in (0, stream_id)) and l.version <= ?2
  and e.position = l.position and s.stream_id = e.stream_id
order by number desc limit 1 + ?3;

-- name: read_all
-- The order of the join is fixed: events by their primary key, each with its stream by its own.
select e.position, s.name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.content_type, e.data, e.metadata,
  e.created_at
from /*prefix*/events e cross join /*prefix*/streams s
where e.position >= ?1 and s.stream_id = e.stream_id
order by e.position limit ?2;

-- name: read_all_backward
select e.position, s.name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.content_type, e.data, e.metadata,
  e.created_at
from /*prefix*/events e cross join /*prefix*/streams s
where e.position <= ?1 and s.stream_id = e.stream_id
order by e.position desc limit ?2;

-- name: read_event
-- Index: events_event_id_key.
select e.version, s.name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.content_type, e.data, e.metadata,
  e.created_at
from /*prefix*/events e cross join /*prefix*/streams s
where e.event_id = ?1 and s.stream_id = e.stream_id;

-- name: read_correlation
-- The events of a correlation from position ?2 on, by events_correlation_idx: its entries of one id are in the order of positions.
select e.position, s.name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.content_type, e.data, e.metadata,
  e.created_at
from /*prefix*/events e indexed by /*prefix*/events_correlation_idx cross join /*prefix*/streams s
where e.correlation_id = ?1 and e.position >= ?2 and s.stream_id = e.stream_id
order by e.position limit ?3;

-- name: read_places
-- The events at the positions ?1, a list in JSON; of streams whose names begin with the bytes ?2, if not null. They come in the order of
-- the list, since the joins are loops in the order written; sorting would fetch the data of all.
select e.position, s.name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.content_type, e.data, e.metadata,
  e.created_at
from json_each(?1) i cross join /*prefix*/events e cross join /*prefix*/streams s
where e.position = i.value and s.stream_id = e.stream_id and (?2 is null or substr(cast(s.name as blob), 1, length(?2)) = ?2)
limit ?3;

-- name: correlations_indexed
select 1 from sqlite_master where type = 'index' and name = '/*prefix*/events_correlation_idx';

-- name: index_correlations
create index if not exists /*prefix*/events_correlation_idx on /*prefix*/events (correlation_id) where correlation_id is not null;

-- name: find_typed
-- The positions ?2 to ?3 of the events with the types ?1, a list in JSON, at most ?4 of them: a range of events_type_idx for each type.
select e.position from json_each(?1) i cross join /*prefix*/events e indexed by /*prefix*/events_type_idx
where e.event_type = i.value and e.position >= ?2 and e.position <= ?3
limit ?4;

-- name: types_indexed
select 1 from sqlite_master where type = 'index' and name = '/*prefix*/events_type_idx';

-- name: index_types
create index if not exists /*prefix*/events_type_idx on /*prefix*/events (event_type);

-- name: head
select position from /*prefix*/head;

-- name: position_at
-- The last position that was given before ?1, of the events that are there, or 0. A binary search: the times never go down as positions go
-- up. Each step is one look-up in the table; a hard delete leaves gaps, so that a step may find an event below the last one. Everything
-- up to lo was given before ?1, everything from hi on was not.
with recursive search (lo, hi, found) as (
  select 0, (select h.position + 1 from /*prefix*/head h), 0
  union all
  select iif(ifnull(e.recorded_at, e.created_at) >= ?1, s.lo, (s.lo + s.hi) / 2), iif(ifnull(e.recorded_at, e.created_at) >= ?1, e.position, s.hi),
    iif(ifnull(e.recorded_at, e.created_at) < ?1, e.position, s.found)
  from search s left join /*prefix*/events e
    on e.position = (select m.position from /*prefix*/events m where m.position <= (s.lo + s.hi) / 2 order by m.position desc limit 1)
  where s.hi - s.lo > 1
)
select s.found from search s where s.hi - s.lo <= 1;

-- name: version_at
-- The version of the last own event of stream ?1 at or below the position ?2, or 0; no row if there is no such stream. A binary search as
-- position_at: positions go up with versions. Versions of links leave gaps. Indexes: streams_name_key, events_version_key.
with recursive own (stream_id, version) as (
  select s.stream_id, s.version from /*prefix*/streams s where s.name = ?1
), search (lo, hi, found) as (
  select 0, o.version + 1, 0 from own o
  union all
  select iif(e.position > ?2, s.lo, (s.lo + s.hi) / 2), iif(e.position > ?2, e.version, s.hi), iif(e.position <= ?2, e.version, s.found)
  from search s cross join own o left join /*prefix*/events e on e.stream_id = o.stream_id and e.version = (
    select m.version from /*prefix*/events m where m.stream_id = o.stream_id and m.version <= (s.lo + s.hi) / 2 order by m.version desc limit 1
  )
  where s.hi - s.lo > 1
)
select s.found from search s where s.hi - s.lo <= 1;

-- name: stream_versions
-- The streams whose names are in ?1 (JSON). Index: streams_name_key.
select s.name, s.stream_id, s.version, s.created_at, s.deleted_at
from json_each(?1) j cross join /*prefix*/streams s
where s.name = j.value;

-- Read filtered: those with a type in the list (JSON), and a stream whose name begins with the bytes, if not null. The
-- list is made an index once for each statement. The two numbers before the limit are those of events that are read whatever the
-- filter says; 0 for none.

-- name: read_all_filtered
-- Positions ?1 to ?2. The plan is that of read_all: only what has the type has its stream looked up.
select e.position, s.name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.content_type, e.data, e.metadata,
  e.created_at
from /*prefix*/events e cross join /*prefix*/streams s
where e.position >= ?1 and e.position <= ?2 and s.stream_id = e.stream_id
  and (e.position in (?5, ?6)
    or (?3 is null or e.event_type in (select value from json_each(?3)))
      and (?4 is null or substr(cast(s.name as blob), 1, length(?4)) = ?4))
order by e.position limit ?7;

-- name: read_all_filtered_backward
-- The same, downwards, without those events.
select e.position, s.name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.content_type, e.data, e.metadata,
  e.created_at
from /*prefix*/events e cross join /*prefix*/streams s
where e.position >= ?1 and e.position <= ?2 and s.stream_id = e.stream_id
  and (?3 is null or e.event_type in (select value from json_each(?3)))
  and (?4 is null or substr(cast(s.name as blob), 1, length(?4)) = ?4)
order by e.position desc limit ?5;

-- name: read_stream_filtered
-- Versions ?2 to ?3 of the stream with the id ?1, its own events merged with its links, as in read_stream.
select e.version as number, s.name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.content_type, e.data,
  e.metadata, e.created_at
from /*prefix*/events e cross join /*prefix*/streams s
where e.stream_id = ?1 and e.version >= ?2 and e.version <= ?3 and s.stream_id = e.stream_id
  and (e.version in (?6, ?7)
    or (?4 is null or e.event_type in (select value from json_each(?4)))
      and (?5 is null or substr(cast(s.name as blob), 1, length(?5)) = ?5))
union all
select l.version, s.name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.content_type, e.data,
  e.metadata, e.created_at
from /*prefix*/links l cross join /*prefix*/events e cross join /*prefix*/streams s
where l.stream_id = ?1 and l.version >= ?2 and l.version <= ?3 and e.position = l.position and s.stream_id = e.stream_id
  and (l.version in (?6, ?7)
    or (?4 is null or e.event_type in (select value from json_each(?4)))
      and (?5 is null or substr(cast(s.name as blob), 1, length(?5)) = ?5))
order by number limit ?8;

-- name: read_stream_filtered_backward
-- The same, downwards, without those events.
select e.version as number, s.name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.content_type, e.data,
  e.metadata, e.created_at
from /*prefix*/events e cross join /*prefix*/streams s
where e.stream_id = ?1 and e.version >= ?2 and e.version <= ?3 and s.stream_id = e.stream_id
  and (?4 is null or e.event_type in (select value from json_each(?4)))
  and (?5 is null or substr(cast(s.name as blob), 1, length(?5)) = ?5)
union all
select l.version, s.name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id, e.content_type, e.data,
  e.metadata, e.created_at
from /*prefix*/links l cross join /*prefix*/events e cross join /*prefix*/streams s
where l.stream_id = ?1 and l.version >= ?2 and l.version <= ?3 and e.position = l.position and s.stream_id = e.stream_id
  and (?4 is null or e.event_type in (select value from json_each(?4)))
  and (?5 is null or substr(cast(s.name as blob), 1, length(?5)) = ?5)
order by number desc limit ?6;

-- Subscriptions. The table is small, and found by its key; other looks at it read all of it.

-- name: find_lease
select owner, lease_until from /*prefix*/subscriptions where stream = ?1 and name = ?2;

-- name: next_epoch
update /*prefix*/epochs set epoch = epoch + 1 returning epoch;

-- name: acquire_lease
-- Comes after find_lease. Checkpoint and stream_id count only for a subscription that is new.
insert into /*prefix*/subscriptions (
  stream, name, checkpoint, stream_id, owner, epoch, lease_until, created_at, updated_at
) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
on conflict (stream, name) do update set owner = excluded.owner, epoch = excluded.epoch, lease_until = excluded.lease_until
returning checkpoint, stream_id, seen, seen_id;

-- name: renew_leases
update /*prefix*/subscriptions set lease_until = ?2
where owner = ?1 and lease_until is not null
returning stream, name, epoch, checkpoint, stream_id, seen, seen_id;

-- name: free_leases
select stream, name from /*prefix*/subscriptions where lease_until is null or lease_until <= ?1;

-- name: judge_checkpoint
-- What a checkpoint in the stream ?3 is judged by: the row; where that stream ends, -1 if it is not there any more; the
-- event at the number ?4 in it. Each is one look-up.
select s.epoch, s.checkpoint, s.stream_id,
  iif(s.stream = '$all', (select h.position from /*prefix*/head h),
    ifnull((select t.version from /*prefix*/streams t where t.stream_id = ?3), -1)),
  iif(s.stream = '$all', (select e.event_id from /*prefix*/events e where e.position = ?4),
    ifnull((select e.event_id from /*prefix*/events e where e.stream_id = ?3 and e.version = ?4),
      (select e.event_id from /*prefix*/links l cross join /*prefix*/events e where l.stream_id = ?3 and l.version = ?4 and e.position = l.position)))
from /*prefix*/subscriptions s where s.stream = ?1 and s.name = ?2;

-- name: save_checkpoint
-- Comes after judge_checkpoint. The right sides are the values of before. A checkpoint that moves on and passes the event that the
-- last error is about clears that error.
update /*prefix*/subscriptions set
  checkpoint = iif(stream_id = ?4, max(checkpoint, ?3), ?3),
  stream_id = ?4,
  seen = ?5, seen_id = ?6,
  last_error = iif(stream_id = ?4 and (checkpoint >= ?3 or last_error_number > ?3), last_error, ''),
  updated_at = iif(stream_id = ?4 and checkpoint >= ?3, updated_at, ?7)
where stream = ?1 and name = ?2;

-- name: release_lease
update /*prefix*/subscriptions set lease_until = null where stream = ?1 and name = ?2 and epoch = ?3;

-- name: save_error
update /*prefix*/subscriptions set last_error = ?4, last_error_number = ?5, last_error_at = ?6
where stream = ?1 and name = ?2 and epoch = ?3 returning 1;

-- name: reset_subscription
update /*prefix*/subscriptions
set checkpoint = ?3, stream_id = ?4, seen = 0, seen_id = null, epoch = ?5, lease_until = null, last_error = '', updated_at = ?6
where stream = ?1 and name = ?2
returning 1;

-- name: delete_subscription
delete from /*prefix*/subscriptions where stream = ?1 and name = ?2 returning 1;

-- name: list_subscriptions
-- In the order of the table itself.
select stream, name, checkpoint, stream_id, seen, seen_id, owner, epoch, lease_until, ifnull(lease_until > ?1, false), last_error,
  last_error_number, last_error_at, created_at, updated_at, handled, rate, handled_at
from /*prefix*/subscriptions
order by stream, name;

-- name: arrivals
-- When the first event behind the number ?2 came into the stream ?1, own or linked. A look-up or two. Indexes: events_pkey,
-- streams_name_key, events_version_key, links_pkey.
select iif(?1 = '$all',
  (select ifnull(e.recorded_at, e.created_at) from /*prefix*/events e where e.position > ?2 order by e.position limit 1),
  (select f.at from (
    select e.version as number, ifnull(e.recorded_at, e.created_at) as at from /*prefix*/events e
    where e.stream_id = (select s.stream_id from /*prefix*/streams s where s.name = ?1) and e.version > ?2
    union all
    select l.version, l.linked_at from /*prefix*/links l
    where l.stream_id = (select s.stream_id from /*prefix*/streams s where s.name = ?1) and l.version > ?2
    order by number limit 1
  ) f));

-- Projections

-- name: advance
-- What a projection notes beside save_checkpoint, in its own transaction. It has passed the event that the last error is about,
-- unless that one is behind the checkpoint.
update /*prefix*/subscriptions set
  handled = handled + ?3, rate = ?4, handled_at = ?5, last_error = iif(last_error_number > checkpoint, last_error, '')
where stream = ?1 and name = ?2;

-- name: add_subscription
insert into /*prefix*/subscriptions (stream, name, checkpoint, stream_id, owner, epoch, created_at, updated_at)
values (?1, ?2, ?3, ?4, '', ?5, ?6, ?6);

-- name: remove_subscription
delete from /*prefix*/subscriptions where stream = ?1 and name = ?2 returning epoch, checkpoint, stream_id;

-- name: add_projection
-- Nothing comes back if there is one of that name.
insert into /*prefix*/projections (
  name, stream, partitions, generation, by_stream, applied, replay_until, changes, replaced_by, created_at, updated_at
) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)
on conflict (name) do nothing
returning 1;

-- name: save_projection
update /*prefix*/projections set
  partitions = ?2, generation = ?3, applied = ?4, replay_until = ?5, changes = ?6, replaced_by = ?7, updated_at = ?8
where name = ?1;

-- name: read_projections
-- That called ?1, or with an empty name all.
select name, stream, partitions, generation, by_stream, applied, replay_until, changes, replaced_by, created_at, updated_at
from /*prefix*/projections where ?1 = '' or name = ?1 order by name;

-- name: remove_parked
delete from /*prefix*/parked where reader_stream = '' and reader = ?1;

-- name: remove_members
delete from /*prefix*/projection_members where projection = ?1;

-- name: remove_projection
delete from /*prefix*/projections where name = ?1;

-- name: forget_members
delete from /*prefix*/projection_members where projection = ?1 and until < ?2;

-- name: join_projection
insert into /*prefix*/projection_members (projection, owner, until) values (?1, ?2, ?3)
on conflict (projection, owner) do update set until = excluded.until;

-- name: projection_members
select owner from /*prefix*/projection_members where projection = ?1 and until > ?2;

-- name: leave_projection
delete from /*prefix*/projection_members where projection = ?1 and owner = ?2;

-- name: park
-- For the reader ?1 on ?13 ('' for a projection). One that was parked under an id that is used again has been hard deleted.
-- Index: parked_pkey.
insert into /*prefix*/parked (
  reader, number, event_id, hash, key, stream, version, event_type, failed, error, attempts, parked_at, reader_stream
) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
on conflict (reader_stream, reader, event_id) do update set number = excluded.number, hash = excluded.hash, key = excluded.key,
  stream = excluded.stream, version = excluded.version, event_type = excluded.event_type, failed = excluded.failed,
  error = excluded.error, attempts = excluded.attempts, parked_at = excluded.parked_at;

-- name: find_parked
-- Index: parked_pkey.
select 1 from /*prefix*/parked where reader = ?1 and event_id = ?2 and reader_stream = ?3 and number = ?4;

-- name: parkable
-- Whether the event ?1 is there, and the stream ?2 that a subscription got it from, if that is not $all, has the id ?3. Indexes:
-- events_event_id_key, streams_name_key.
select 1 from /*prefix*/events e
where e.event_id = ?1 and (?2 = '$all' or exists (select 1 from /*prefix*/streams s where s.name = ?2 and s.stream_id = ?3));

-- name: unpark
-- Index: parked_pkey.
delete from /*prefix*/parked where reader = ?1 and event_id = ?2 and reader_stream = ?3 returning 1;

-- name: release_parked
-- Index: parked_pkey.
update /*prefix*/parked set failed = 0 where reader = ?1 and event_id = ?2 and reader_stream = ?3 returning 1;

-- name: discard_all_parked
-- Index: parked_pkey.
delete from /*prefix*/parked where reader_stream = ?1 and reader = ?2;

-- name: note_parked_changes
insert into /*prefix*/parked_changes (reader_stream, reader, changes) values (?1, ?2, 1)
on conflict (reader_stream, reader) do update set changes = changes + 1;

-- name: forget_parked_changes
delete from /*prefix*/parked_changes where reader_stream = ?1 and reader = ?2;

-- name: parked_changes
-- Nothing comes back if nobody has changed what the subscription has parked.
select changes from /*prefix*/parked_changes where reader_stream = ?1 and reader = ?2;

-- name: parked_counts
-- How many events each subscription has parked. Reads all that subscriptions have parked. Index: parked_pkey.
select reader_stream, reader, count(*) from /*prefix*/parked where reader_stream > '' group by 1, 2;

-- name: in_epoch
-- Whether the subscription ?2 on ?1 is in the epoch ?3.
select 1 from /*prefix*/subscriptions where stream = ?1 and name = ?2 and epoch = ?3;

-- name: read_parked
-- Those of reader ?1 on ?8 behind (?2, ?3) up to ?7 with a key in ?4 and a number in ?5 (JSON), if these are not null.
-- Index: parked_number_idx.
select key, hash, number, event_id, stream, version, event_type, failed, error, attempts, parked_at
from /*prefix*/parked
where reader_stream = ?8 and reader = ?1 and (number, event_id) > (?2, ?3) and number <= ?7
  and (?4 is null or key in (select value from json_each(?4))) and (?5 is null or number in (select value from json_each(?5)))
order by number, event_id limit ?6;

-- name: read_parked_ready
-- Those of partition ?2 of ?3 of reader ?1 on ?5 behind (?6, ?7) that have not failed, are behind nothing of their key that has, and
-- have no key in ?8 (JSON). Read when somebody has changed what is parked, or a retry is due: it may look at all that is
-- parked. Indexes: parked_number_idx, parked_failed_idx.
select k.key, k.hash, k.number, k.event_id, k.stream, k.version, k.event_type, k.failed, k.error, k.attempts, k.parked_at
from /*prefix*/parked k
where k.reader_stream = ?5 and k.reader = ?1 and k.hash % ?3 = ?2 and not k.failed
  and (k.number, k.event_id) > (?6, ?7)
  and not exists (
    select 1 from /*prefix*/parked f
    where f.reader_stream = k.reader_stream and f.reader = k.reader and f.key = k.key and f.failed and f.number < k.number
  )
  and k.key not in (select value from json_each(?8))
order by k.number, k.event_id limit ?4;

-- name: parked_keys
-- Of reader ?1 on ?4. Reads all that it has parked: once for each lease, and after changes.
select distinct key from /*prefix*/parked where reader_stream = ?4 and reader = ?1 and hash % ?3 = ?2;

-- name: count_parked
select hash % ?2, count(*) from /*prefix*/parked where reader_stream = '' and reader = ?1 group by 1;

-- name: places
-- The positions of the events with versions ?2 to ?3 in stream ?1, own or linked, and their streams. Indexes:
-- streams_name_key, events_version_key, links_pkey.
select e.version as number, e.position, s.name from /*prefix*/streams s cross join /*prefix*/events e
where s.name = ?1 and e.stream_id = s.stream_id and e.version >= ?2 and e.version <= ?3
union all
select l.version, e.position, o.name
from /*prefix*/streams s cross join /*prefix*/links l cross join /*prefix*/events e cross join /*prefix*/streams o
where s.name = ?1 and l.stream_id = s.stream_id and l.version >= ?2 and l.version <= ?3
  and e.position = l.position and o.stream_id = e.stream_id
order by number;

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

-- name: list_types
-- Reads all events once. Then the times of the first and the last event of each type, by the table itself.
with spans as materialized (
  select event_type, count(*) as events, min(position) as first, max(position) as last from /*prefix*/events group by 1
)
select s.event_type, s.events, s.first, s.last, f.created_at, t.created_at
from spans s join /*prefix*/events f on f.position = s.first join /*prefix*/events t on t.position = s.last
order by 2 desc, 1;

-- name: busy_timeout
pragma busy_timeout;

-- name: version
select sqlite_version();

-- name: encoding
pragma encoding;

-- name: journal_mode
pragma journal_mode;

-- name: attached
-- How many databases the connection has attached to its own.
select count(*) from pragma_database_list where name not in ('main', 'temp');

-- name: other_case
-- The store's tables under names that differ from the ones here in the case of letters only: SQLite takes both for the same.
select name from sqlite_master
where type = 'table' and name = '/*prefix*/streams' collate nocase and name <> '/*prefix*/streams'
union all
select name from sqlite_master
where type = 'table' and name = '/*version_table*/eventstore_migrations' collate nocase and name <> '/*version_table*/eventstore_migrations'
limit 1;

-- Snapshots

-- name: read_snapshot
select s.version, s.created_at, s.source_type, s.content_type, s.data, s.metadata from /*prefix*/snapshots s where s.source_id = ?1;

-- name: record_snapshot
-- Nothing comes back if the one that is there is newer.
insert into /*prefix*/snapshots (source_id, version, created_at, source_type, content_type, data, metadata)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7)
on conflict (source_id) do update
set version = excluded.version, created_at = excluded.created_at, source_type = excluded.source_type,
  content_type = excluded.content_type, data = excluded.data, metadata = excluded.metadata
where ?8 or version <= excluded.version
returning version;

-- name: delete_snapshot
delete from /*prefix*/snapshots where source_id = ?1;


-- name: migrate_present
-- One row if the version table is there, and not another table of that name: a statement on a table that is missing would fail.
select 1 from pragma_table_info('/*version_table*/eventstore_migrations') where name = 'oldest';

-- name: migrate_taken
-- What is there already of the names in a JSON array. Triggers have names of their own, and upper case is no other name.
select m.type, m.name from json_each(?1) as n join sqlite_master as m on m.name = json_extract(n.value, '$.name') collate nocase
where (m.type = 'trigger') = (json_extract(n.value, '$.kind') = 'trigger') and json_extract(n.value, '$.kind') <> 'constraint'
order by 2, 1;

-- name: migrate_lock
-- Waits for every other writer, and keeps them waiting: all migrations run in one transaction.
begin immediate;

-- name: migrate_unlock
commit;

-- name: migrate_rollback
rollback;

-- name: migrate_prepare
create table if not exists /*version_table*/eventstore_migrations (
  only    integer not null default 1 primary key check (only = 1),
  version integer not null,
  oldest  integer not null -- what the latest migration of a program must be at least to work with these tables
) strict;

-- name: migrate_version
select version, oldest from /*version_table*/eventstore_migrations;

-- name: migrate_clear_version
delete from /*version_table*/eventstore_migrations;

-- name: migrate_set_version
-- Replaces the one row.
insert into /*version_table*/eventstore_migrations (only, version, oldest) values (1, ?1, ?2)
on conflict (only) do update set version = excluded.version, oldest = excluded.oldest;

-- name: migrate_script_guard
-- Begins a script of migrations: fails by the check that "only" is 1, unless the tables are at the version that the script is for.
insert into /*version_table*/eventstore_migrations (only, version, oldest)
select 0, 0, 0 where (select version from /*version_table*/eventstore_migrations) is not /*from*/0;

-- name: migrate_script_note
-- Ends a script of migrations.
insert into /*version_table*/eventstore_migrations (only, version, oldest) values (1, /*version*/0, /*oldest*/0)
on conflict (only) do update set version = excluded.version, oldest = excluded.oldest;
