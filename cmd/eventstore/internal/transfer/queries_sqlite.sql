-- Statements that export and import a store in SQLite. ?1 of those for an export is a JSON list of streams, or null for all.

-- name: identity
select store_id from /*prefix*/store;

-- name: event_at
-- The event at a position, if it is there. By the key of the table.
select event_id from /*prefix*/events where position = ?1;

-- name: front_head
select position from /*prefix*/head;

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
select stream, name, checkpoint, stream_id, created_at, updated_at from /*prefix*/subscriptions
where substr(name, 1, 1) <> '$' and (?1 is null or stream in (select value from json_each(?1)))
order by stream, name;

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
-- How far an import has come. The table is there while one is under way.
create table if not exists /*prefix*/import_progress (
  one_row    integer not null default 1,
  archive_id blob not null,
  merge      integer not null, -- into a store that was not empty
  base       integer not null, -- what ids of streams are raised by
  phase      text not null,
  done       integer not null, -- records of the phase
  position   integer not null, -- of the last event, in the archive
  constraint import_progress_pkey primary key (one_row),
  constraint import_progress_one check (one_row = 1)
) strict;

-- name: progress_read
select archive_id, merge, base, phase, done, position from /*prefix*/import_progress;

-- name: progress_begin
insert into /*prefix*/import_progress (archive_id, merge, base, phase, done, position) values (?1, ?2, ?3, ?4, 0, 0);

-- name: progress_write
update /*prefix*/import_progress set phase = ?1, done = ?2, position = ?3
where phase = ?4 and done = ?5; -- what it was: nobody else is importing

-- name: progress_drop
drop table /*prefix*/import_progress;

-- name: empty
select not exists (select 1 from /*prefix*/streams) and not exists (select 1 from /*prefix*/events)
  and (select position from /*prefix*/head) = 0;

-- name: reserve
-- The highest number that a stream had.
select ifnull((select seq from sqlite_sequence where name = '/*prefix*/streams'), 0);

-- name: taken
-- Names of ?1, a JSON list, that streams have already. Index: streams_name_key.
select name from /*prefix*/streams where name in (select value from json_each(?1)) order by 1 limit 11;

-- name: head
select position from /*prefix*/head;

-- name: set_head
update /*prefix*/head set position = ?1;

-- name: skip_stream
-- Positions are missing: a number of a stream is, too, of one that was hard deleted.
update sqlite_sequence set seq = seq + 1
where name = '/*prefix*/streams' and seq = (select count(*) from /*prefix*/streams)
  and (select position from /*prefix*/head) > (select count(*) from /*prefix*/events);

-- name: insert_stream
insert into /*prefix*/streams (stream_id, name, version, created_at, deleted_at) values (?1, ?2, ?3, ?4, ?5);

-- name: insert_event
insert into /*prefix*/events (
  position, idx, stream_id, version, created_at, event_id, causation_id, correlation_id, event_type, content_type, data, metadata
) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, nullif(?10, ''), ?11, ?12);

-- name: insert_link
-- Nothing if the event or the stream is not there. Index: events_event_id_key.
insert into /*prefix*/links (stream_id, version, position)
select s.stream_id, ?2, e.position from /*prefix*/events e cross join /*prefix*/streams s where e.event_id = ?3 and s.stream_id = ?1;

-- name: insert_subscription
-- One that is there already stays as it is.
insert into /*prefix*/subscriptions (stream, name, checkpoint, stream_id, epoch, owner, created_at, updated_at)
values (?1, ?2, ?3, ?4, (select epoch from /*prefix*/epochs), '', ?5, ?6)
on conflict (stream, name) do nothing;

-- name: draw_epoch
update /*prefix*/epochs set epoch = epoch + 1;

-- name: insert_snapshot
insert into /*prefix*/snapshots (source_id, version, source_type, content_type, data, metadata, created_at)
values (?1, ?2, ?3, nullif(?4, ''), ?5, ?6, ?7)
on conflict (source_id) do nothing;

-- name: stream_name
select name from /*prefix*/streams where stream_id = ?1;
