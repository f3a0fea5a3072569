-- Statements that export and import a store in SQLite. ?1 of those for an export is a JSON list of streams, or null for all.

-- name: identity
select store_id from /*prefix*/store;

-- name: event_at
-- The event at a position, if it is there. By the key of the table.
select event_id from /*prefix*/events where position = ?1;

-- name: front_head
-- With the highest id that a stream had.
select h.position, max(h.last_stream, ifnull((select max(s.stream_id) from /*prefix*/streams s), 0)) from /*prefix*/head h;

-- name: front_outside
-- Streams that are not chosen, but whose events are linked to by those that are. Reads all links of chosen streams.
select distinct o.name
from /*prefix*/streams s
join /*prefix*/links l on l.stream_id = s.stream_id
join /*prefix*/events e on e.position = l.position
join /*prefix*/streams o on o.stream_id = e.stream_id
where s.name in (select value from json_each(?1)) and o.name not in (select value from json_each(?1))
order by 1 limit 11;

-- name: front_missing
-- Chosen streams that are not there. Index: streams_name_key.
select value from json_each(?1) where value not in (select name from /*prefix*/streams) order by 1 limit 11;

-- name: front_streams
-- In the order of the table itself. What are no events are links, or were. Index: events_version_key, which is read as a whole.
select s.stream_id, s.name, s.version, s.created_at, s.deleted_at,
  s.version > (select count(*) from /*prefix*/events e where e.stream_id = s.stream_id)
from /*prefix*/streams s
where ?1 is null or s.name in (select value from json_each(?1))
order by s.stream_id;

-- name: front_links
-- In the order of the table itself.
select l.stream_id, l.version, e.event_id
from /*prefix*/links l join /*prefix*/events e on e.position = l.position
where ?1 is null or l.stream_id in (select stream_id from /*prefix*/streams where name in (select value from json_each(?1)))
order by l.stream_id, l.version;

-- name: front_snapshots
select source_id, version, source_type, ifnull(content_type, ''), data, metadata, created_at from /*prefix*/snapshots
where ?1 is null or source_id in (select value from json_each(?1))
order by source_id;

-- name: front_subscriptions
-- Not those that are partitions of projections: a projection's tables are not in the archive, so it begins anew.
-- What a subscription has parked comes with it, as JSON. Index: parked_number_idx.
select s.stream, s.name, s.checkpoint, s.stream_id, s.seen, s.seen_id, s.created_at, s.updated_at, (
    select json_group_array(json_object('number', k.number, 'key', k.key, 'id', lower(hex(k.event_id)), 'stream', k.stream, 'version', k.version,
      'type', k.event_type, 'failed', json(iif(k.failed, 'true', 'false')), 'error', k.error, 'attempts', k.attempts,
      'parked_at', strftime('%Y-%m-%dT%H:%M:%S', k.parked_at / 1000000, 'unixepoch') || printf('.%06dZ', k.parked_at % 1000000)))
    from (select * from /*prefix*/parked where reader_stream = s.stream and reader = s.name order by number, event_id) k)
from /*prefix*/subscriptions s
where substr(s.name, 1, 1) <> '$' and (?1 is null or s.stream in (select value from json_each(?1)))
order by s.stream, s.name;

-- name: events
-- A page of events, in the order of the table itself. With chosen streams it looks at the others, too.
select e.position, e.idx, e.stream_id, s.name, e.version, e.event_id, e.event_type, e.causation_id, e.correlation_id,
  e.created_at, ifnull(e.content_type, ''), e.data, e.metadata
from /*prefix*/events e cross join /*prefix*/streams s on s.stream_id = e.stream_id
where e.position > ?2 and e.position <= ?3 and (?1 is null or s.name in (select value from json_each(?1)))
order by e.position limit ?4;

-- name: stream_ids
select stream_id from /*prefix*/streams order by stream_id;

-- name: progress_present
select 1 from sqlite_master where type = 'table' and name = '/*prefix*/import_progress';

-- name: progress_create
-- How far an import has come: see state. The tables are there while one is under way.
create table /*prefix*/import_progress (
  one_row    integer not null default 1,
  header     text not null, -- of the archive, as JSON
  merge      integer not null, -- into a store that was not empty
  base       integer not null, -- what ids of streams are raised by
  highest    integer not null, -- id of a stream in the archive
  phase      text not null,
  done       integer not null, -- records of the phase
  position   integer not null, -- of the last event, in the archive
  begun_at   integer not null,
  writing    integer not null default 0, -- in the import's own transactions only
  unfinished integer not null default 1, -- what the guards violate: the backend knows this constraint
  constraint import_progress_pkey primary key (one_row),
  constraint import_progress_one check (one_row = 1),
  constraint import_is_unfinished check (unfinished = 1)
) strict;
create table /*prefix*/import_snapshots (
  source_id text not null, -- that the import has written a snapshot of
  constraint import_snapshots_pkey primary key (source_id)
) strict, without rowid;

-- name: progress_read
select header, merge, base, highest, phase, done, position, begun_at from /*prefix*/import_progress;

-- name: progress_begin
insert into /*prefix*/import_progress (header, merge, base, highest, phase, done, position, begun_at, writing)
values (?1, ?2, ?3, ?4, ?5, 0, 0, ?6, 1);

-- name: importing
-- Whether the transaction is the import's own: its writes pass the guards. Nobody else sees it set, since there is one writer.
update /*prefix*/import_progress set writing = ?1;

-- name: guard
-- Nobody else writes; of a merge not to the streams that it brings, nor their snapshots and subscriptions.
create trigger /*prefix*/import_guard_streams_insert before insert on /*prefix*/streams
when (select not writing and (not merge or new.stream_id between base + 1 and base + highest) from /*prefix*/import_progress)
begin
  update /*prefix*/import_progress set unfinished = 0;
end;
create trigger /*prefix*/import_guard_streams_update before update on /*prefix*/streams
when (select not writing and (not merge or new.stream_id between base + 1 and base + highest) from /*prefix*/import_progress)
begin
  update /*prefix*/import_progress set unfinished = 0;
end;
create trigger /*prefix*/import_guard_streams_delete before delete on /*prefix*/streams
when (select not writing and (not merge or old.stream_id between base + 1 and base + highest) from /*prefix*/import_progress)
begin
  update /*prefix*/import_progress set unfinished = 0;
end;
create trigger /*prefix*/import_guard_snapshots_insert before insert on /*prefix*/snapshots
when (select not writing and (not merge or exists (
    select 1 from /*prefix*/streams s where s.name = new.source_id and s.stream_id between base + 1 and base + highest
  )) from /*prefix*/import_progress)
begin
  update /*prefix*/import_progress set unfinished = 0;
end;
create trigger /*prefix*/import_guard_snapshots_update before update on /*prefix*/snapshots
when (select not writing and (not merge or exists (
    select 1 from /*prefix*/streams s where s.name = new.source_id and s.stream_id between base + 1 and base + highest
  )) from /*prefix*/import_progress)
begin
  update /*prefix*/import_progress set unfinished = 0;
end;
create trigger /*prefix*/import_guard_snapshots_delete before delete on /*prefix*/snapshots
when (select not writing and (not merge or exists (
    select 1 from /*prefix*/streams s where s.name = old.source_id and s.stream_id between base + 1 and base + highest
  )) from /*prefix*/import_progress)
begin
  update /*prefix*/import_progress set unfinished = 0;
end;
create trigger /*prefix*/import_guard_subscriptions_insert before insert on /*prefix*/subscriptions
when (select not writing and (not merge or exists (
    select 1 from /*prefix*/streams s where s.name = new.stream and s.stream_id between base + 1 and base + highest
  )) from /*prefix*/import_progress)
begin
  update /*prefix*/import_progress set unfinished = 0;
end;
create trigger /*prefix*/import_guard_subscriptions_update before update on /*prefix*/subscriptions
when (select not writing and (not merge or exists (
    select 1 from /*prefix*/streams s where s.name = new.stream and s.stream_id between base + 1 and base + highest
  )) from /*prefix*/import_progress)
begin
  update /*prefix*/import_progress set unfinished = 0;
end;
create trigger /*prefix*/import_guard_subscriptions_delete before delete on /*prefix*/subscriptions
when (select not writing and (not merge or exists (
    select 1 from /*prefix*/streams s where s.name = old.stream and s.stream_id between base + 1 and base + highest
  )) from /*prefix*/import_progress)
begin
  update /*prefix*/import_progress set unfinished = 0;
end;

-- name: guard_drop
drop trigger /*prefix*/import_guard_streams_insert;
drop trigger /*prefix*/import_guard_streams_update;
drop trigger /*prefix*/import_guard_streams_delete;
drop trigger /*prefix*/import_guard_snapshots_insert;
drop trigger /*prefix*/import_guard_snapshots_update;
drop trigger /*prefix*/import_guard_snapshots_delete;
drop trigger /*prefix*/import_guard_subscriptions_insert;
drop trigger /*prefix*/import_guard_subscriptions_update;
drop trigger /*prefix*/import_guard_subscriptions_delete;

-- name: progress_write
update /*prefix*/import_progress set phase = ?1, done = ?2, position = ?3
where phase = ?4 and done = ?5; -- what it was: nobody else is importing

-- name: progress_drop
drop table /*prefix*/import_progress;
drop table /*prefix*/import_snapshots;

-- name: held
-- Subscriptions that a program runs now.
select printf('%s on %s, run by %s', name, stream, owner) from /*prefix*/subscriptions
where lease_until > cast(unixepoch('now', 'subsec') * 1000000 as integer) order by stream, name limit 11;

-- name: begun
-- Subscriptions that have come to a number in a stream that is there.
select printf('%s on %s, at %d', s.name, s.stream, s.checkpoint) from /*prefix*/subscriptions s
where s.checkpoint > 0 and (s.stream = '$all' or exists (select 1 from /*prefix*/streams t where t.stream_id = s.stream_id))
order by s.stream, s.name limit 11;

-- name: recorded
select source_id from /*prefix*/snapshots order by source_id limit 11;

-- name: taken_snapshots
-- Sources of ?1, a JSON list, that have snapshots already. Index: snapshots_pkey.
select source_id from /*prefix*/snapshots where source_id in (select value from json_each(?1)) order by 1 limit 11;

-- name: taken_ids
-- Events of ?1, a JSON list of ids, that are there already, with their streams. Index: events_event_id_key.
select printf('%s in %s', t.value, s.name)
from json_each(?1) t
cross join /*prefix*/events e on e.event_id = unhex(t.value, '-')
left join /*prefix*/streams s on s.stream_id = e.stream_id limit 11;

-- name: taken_held
-- held, of those in ?1, a JSON list of lists of stream and name.
select printf('%s on %s, run by %s', s.name, s.stream, s.owner)
from json_each(?1) t cross join /*prefix*/subscriptions s on s.stream = t.value ->> 0 and s.name = t.value ->> 1
where s.stream <> '$all' and s.lease_until > cast(unixepoch('now', 'subsec') * 1000000 as integer) order by s.stream, s.name limit 11;

-- name: taken_begun
-- begun likewise.
select printf('%s on %s, at %d', s.name, s.stream, s.checkpoint)
from json_each(?1) t cross join /*prefix*/subscriptions s on s.stream = t.value ->> 0 and s.name = t.value ->> 1
where s.checkpoint > 0 and exists (select 1 from /*prefix*/streams k where k.stream_id = s.stream_id) order by s.stream, s.name limit 11;

-- name: empty
select not exists (select 1 from /*prefix*/streams) and not exists (select 1 from /*prefix*/events)
  and (select position from /*prefix*/head) = 0;

-- name: reserve
-- The highest id that a stream had.
select max(h.last_stream, ifnull((select max(s.stream_id) from /*prefix*/streams s), 0)) from /*prefix*/head h;

-- name: retire_streams
-- Ids up to this one are not given to new streams.
update /*prefix*/head set last_stream = max(last_stream, ?1);

-- name: taken
-- Names of ?1, a JSON list, that streams have already. Index: streams_name_key.
select name from /*prefix*/streams where name in (select value from json_each(?1)) order by 1 limit 11;

-- name: head
select position from /*prefix*/head;

-- name: set_head
update /*prefix*/head set position = ?1;

-- name: skip_stream
-- Positions are missing: so is the id of a stream that was hard deleted.
update /*prefix*/head set last_stream = (select count(*) from /*prefix*/streams) + 1
where position > (select count(*) from /*prefix*/events)
  and max(last_stream, ifnull((select max(s.stream_id) from /*prefix*/streams s), 0)) = (select count(*) from /*prefix*/streams);

-- name: insert_stream
insert into /*prefix*/streams (stream_id, name, version, created_at, deleted_at) values (?1, ?2, ?3, ?4, ?5);

-- name: insert_event
insert into /*prefix*/events (
  position, idx, stream_id, version, created_at, event_id, causation_id, correlation_id, event_type, content_type, data, metadata,
  recorded_at
) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, nullif(?10, ''), ?11, ?12, cast((julianday('now') - 2440587.5) * 86400000000 as integer));

-- name: insert_link
-- Nothing if the event or the stream is not there. Index: events_event_id_key.
insert into /*prefix*/links (stream_id, version, position)
select s.stream_id, ?2, e.position from /*prefix*/events e cross join /*prefix*/streams s where e.event_id = ?3 and s.stream_id = ?1;

-- name: insert_subscription
-- One that is there already, held by nobody and not begun in a stream that is there, is moved; nothing comes back of another.
insert into /*prefix*/subscriptions as s (stream, name, checkpoint, stream_id, epoch, owner, created_at, updated_at, seen, seen_id)
values (?1, ?2, ?3, ?4, (select epoch from /*prefix*/epochs), '', ?5, ?6, ?7, ?8)
on conflict (stream, name) do update
set checkpoint = excluded.checkpoint, stream_id = excluded.stream_id, seen = excluded.seen, seen_id = excluded.seen_id, epoch = excluded.epoch, owner = '', lease_until = null,
  last_error = '', updated_at = excluded.updated_at
where (s.checkpoint = 0 or not exists (select 1 from /*prefix*/streams t where t.stream_id = s.stream_id)) and ifnull(s.lease_until, 0) <= cast(unixepoch('now', 'subsec') * 1000000 as integer)
returning 1;

-- name: insert_parked
insert into /*prefix*/parked (reader_stream, reader, number, hash, version, attempts, failed, parked_at, event_id, key, stream, event_type, error)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
on conflict (reader_stream, reader, event_id) do nothing;

-- name: draw_epoch
update /*prefix*/epochs set epoch = epoch + 1;

-- name: insert_snapshot
insert into /*prefix*/snapshots (source_id, version, source_type, content_type, data, metadata, created_at)
values (?1, ?2, ?3, nullif(?4, ''), ?5, ?6, ?7)
on conflict (source_id) do nothing
returning 1;

-- name: note_snapshot
insert into /*prefix*/import_snapshots (source_id) values (?1);

-- name: abandoned_streams
-- The next streams that an import has written. By the key of the table.
select name from /*prefix*/streams where stream_id > ?1 and stream_id <= ?2 order by stream_id limit 100;

-- name: abandoned_snapshots
delete from /*prefix*/snapshots where source_id in (select source_id from /*prefix*/import_snapshots);

-- name: abandoned_order
-- Of a store that was empty, and ends at 0 still. It is another one than that which readers may have seen: the same positions may
-- get other events.
update /*prefix*/store set store_id = randomblob(16);

-- name: stream_name
select name from /*prefix*/streams where stream_id = ?1;

-- name: follow_mark
-- How far a store that follows its source is: in the header.
update /*prefix*/import_progress set header = ?1, highest = max(highest, ?2);

-- name: follow_streams
-- In the order of the table itself.
select stream_id, name, version, deleted_at from /*prefix*/streams order by stream_id;

-- name: follow_known
-- Streams of these ids or names, which are JSON lists. Index: streams_name_key.
select stream_id, name from /*prefix*/streams where stream_id in (select value from json_each(?1))
union
select stream_id, name from /*prefix*/streams where name in (select value from json_each(?2));

-- name: follow_set
-- Streams as they are in the source: ?1 is a JSON list.
insert into /*prefix*/streams (stream_id, name, version, created_at, deleted_at)
select s.value ->> 'id', s.value ->> 'name', s.value ->> 'version', s.value ->> 'created', s.value ->> 'deleted' from json_each(?1) s where true
on conflict (stream_id) do update set version = excluded.version, deleted_at = excluded.deleted_at;

-- name: follow_last
select position, event_id from /*prefix*/events order by position desc limit 1;

-- name: follow_places
-- How many events are in each range of ?2 positions, up to ?1.
select (position - 1) / ?2, count(*) from /*prefix*/events where position <= ?1 group by 1 order by 1;

-- name: follow_positions
select position from /*prefix*/events where position between ?1 and ?2 order by 1;

-- name: follow_removing
-- From here on the transaction may remove events: of one stream after the other.
update /*prefix*/head set deleting = null;

-- name: follow_remove
-- An event that the source has lost alone, without its stream: with its links. Index: links_event_key.
update /*prefix*/head set deleting = (select stream_id from /*prefix*/events where position = ?1);
delete from /*prefix*/links where position = ?1;
delete from /*prefix*/events where position = ?1;
update /*prefix*/head set deleting = null;

-- name: follow_removed
-- Nothing more is removed in this transaction.
update /*prefix*/head set deleting = null;

-- name: follow_snapshot
-- One row if the snapshot is new or differs from what is there: the source may read unchanged ones again.
insert into /*prefix*/snapshots as s (source_id, version, source_type, content_type, data, metadata, created_at)
values (?1, ?2, ?3, nullif(?4, ''), ?5, ?6, ?7)
on conflict (source_id) do update set version = excluded.version, source_type = excluded.source_type,
  content_type = excluded.content_type, data = excluded.data, metadata = excluded.metadata, created_at = excluded.created_at
where (s.version, s.source_type, s.content_type, s.data, s.metadata, s.created_at)
  is not (excluded.version, excluded.source_type, excluded.content_type, excluded.data, excluded.metadata, excluded.created_at)
returning 1;

-- name: follow_snapshot_noted
insert into /*prefix*/import_snapshots (source_id) values (?1) on conflict do nothing;

-- name: follow_snapshots
select source_id from /*prefix*/snapshots order by source_id;

-- name: follow_snapshot_gone
delete from /*prefix*/snapshots where source_id = ?1;
