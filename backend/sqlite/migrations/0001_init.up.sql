-- oldest program: 1
-- The store's tables. Whatever has a prefix comment before its name gets the store's prefix there.
-- Times are microseconds since 1970, ids of events the 16 bytes of a UUID: small and exact. The view "recorded", at the
-- end, shows them as people write them.

create table /*prefix*/streams (
  stream_id  integer not null,
  name       text not null, -- compared byte by byte
  version    integer not null,
  created_at integer not null,
  deleted_at integer,
  constraint streams_pkey primary key (stream_id),
  constraint streams_name_key unique (name)
) strict;

-- One row: the end of the global order, which a hard delete leaves as it is, the highest id of the streams that are gone, so that
-- no id is used again, and the stream being hard deleted.
create table /*prefix*/head (
  only        integer not null default 1,
  position    integer not null,
  last_stream integer not null default 0,
  deleting    integer,
  constraint head_pkey primary key (only),
  constraint head_only_one check (only = 1)
) strict;

insert into /*prefix*/head (position) values (0);

-- One row: the identity of this store, which tells it from another one with the same tables.
create table /*prefix*/store (
  only     integer not null default 1,
  store_id blob not null,
  constraint store_pkey primary key (only),
  constraint store_only_one check (only = 1)
) strict;

insert into /*prefix*/store (store_id) values (randomblob(16));

create table /*prefix*/events (
  position       integer not null,
  idx            integer not null, -- place in its append, from 0
  stream_id      integer not null,
  version        integer not null,
  created_at     integer not null,
  recorded_at    integer, -- when it got its position, never before the event at a lower one; null: at created_at
  event_id       blob not null,
  causation_id   blob,
  correlation_id blob,
  event_type     text not null,
  content_type   text, -- how data is encoded, and after a comma metadata; null: as JSON
  data           blob not null,
  metadata       blob,
  constraint events_pkey primary key (position), -- the rowid: $all is read in the order of the table itself
  constraint events_version_key unique (stream_id, version),
  constraint events_event_id_key unique (event_id)
) strict;

create table /*prefix*/links (
  stream_id integer not null,
  version   integer not null,
  position  integer not null, -- of the event
  linked_at integer not null default (cast((julianday('now') - 2440587.5) * 86400000000 as integer)),
  constraint links_pkey primary key (stream_id, version),
  constraint links_event_key unique (position, stream_id) -- an event is in a stream once; also finds an event's links
) strict, without rowid;

-- Guards: what is recorded stays. Only a hard delete removes anything, and only what belongs to its stream.

create trigger /*prefix*/events_no_update before update on /*prefix*/events
begin
  select raise(abort, 'eventstore: events are never changed');
end;

create trigger /*prefix*/events_no_delete before delete on /*prefix*/events
when (select deleting from /*prefix*/head) is not old.stream_id
begin
  select raise(abort, 'eventstore: events are only removed by a hard delete of their stream');
end;

create trigger /*prefix*/links_no_update before update on /*prefix*/links
begin
  select raise(abort, 'eventstore: links are never changed');
end;

create trigger /*prefix*/links_no_delete before delete on /*prefix*/links
when (select deleting from /*prefix*/head) is not old.stream_id
 and not exists (
   select 1 from /*prefix*/events e, /*prefix*/head h where e.position = old.position and e.stream_id = h.deleting
 )
begin
  select raise(abort, 'eventstore: links are only removed by a hard delete of a stream');
end;

create trigger /*prefix*/streams_no_delete before delete on /*prefix*/streams
when (select deleting from /*prefix*/head) is not old.stream_id
begin
  select raise(abort, 'eventstore: streams are only removed by a hard delete');
end;

-- Appends, links and soft deletes set other columns, for which nothing runs.
create trigger /*prefix*/streams_no_rename before update of stream_id, name, created_at on /*prefix*/streams
begin
  select raise(abort, 'eventstore: streams keep their names and numbers');
end;

create trigger /*prefix*/head_no_decrease before update on /*prefix*/head
when new.position < old.position or new.last_stream < old.last_stream
begin
  select raise(abort, 'eventstore: positions and ids of streams are never used again');
end;

create trigger /*prefix*/head_no_delete before delete on /*prefix*/head
begin
  select raise(abort, 'eventstore: the head is never removed');
end;

-- For people: events with names, times and ids as text. The library does not use it.
create view /*prefix*/recorded as
select e.position, s.name as stream, e.version, e.event_type,
  strftime('%Y-%m-%dT%H:%M:%S', e.created_at / 1000000 - (e.created_at % 1000000 < 0), 'unixepoch')
    || printf('.%06dZ', (e.created_at % 1000000 + 1000000) % 1000000) as created_at,
  lower(printf('%s-%s-%s-%s-%s', substr(hex(e.event_id), 1, 8), substr(hex(e.event_id), 9, 4),
    substr(hex(e.event_id), 13, 4), substr(hex(e.event_id), 17, 4), substr(hex(e.event_id), 21))) as event_id,
  e.content_type, cast(e.data as text) as data, cast(e.metadata as text) as metadata
from /*prefix*/events e join /*prefix*/streams s on s.stream_id = e.stream_id;
