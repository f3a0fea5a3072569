-- oldest program: 4
-- Projections. A partition of one is a row of subscriptions called $<projection>/<generation>/<partition>.
create table /*prefix*/projections (
  name         text not null,
  stream       text not null, -- or $all
  partitions   integer not null,
  generation   integer not null, -- of its partitions
  by_stream    integer not null, -- the partition key of an event is the name of its stream
  applied      text not null, -- what partitions of earlier generations had applied
  replay_until integer not null, -- where the stream ended at the last reset
  changes      integer not null, -- goes up whenever somebody has changed what is parked
  replaced_by  text not null,
  created_at   integer not null,
  updated_at   integer not null,
  constraint projections_pkey primary key (name)
) strict, without rowid;

-- Who runs a projection, until when.
create table /*prefix*/projection_members (
  projection text not null,
  owner      text not null,
  until      integer not null,
  constraint projection_members_pkey primary key (projection, owner)
) strict, without rowid;

-- Events that a projection or a subscription has put aside: those that have failed, and those of the same partition key behind them.
create table /*prefix*/parked (
  reader        text not null, -- name of the projection or subscription
  reader_stream text not null, -- that the subscription is on, or $all; empty for a projection
  number        integer not null, -- in the stream that is read
  event_id      blob not null,
  hash          integer not null, -- of key: modulo the number of partitions it gives the partition
  key           text not null,
  stream        text not null,
  version       integer not null,
  event_type    text not null,
  failed        integer not null, -- 0: waits for those before it, or to be replayed
  error         text not null,
  attempts      integer not null,
  parked_at     integer not null,
  constraint parked_pkey primary key (reader_stream, reader, event_id)
) strict;

create index /*prefix*/parked_number_idx on /*prefix*/parked (reader_stream, reader, number, event_id);
create index /*prefix*/parked_failed_idx on /*prefix*/parked (reader_stream, reader, key, number) where failed;
create index /*prefix*/parked_stream_idx on /*prefix*/parked (stream); -- for a hard delete

-- How often others have changed what a subscription has parked.
create table /*prefix*/parked_changes (
  reader        text not null,
  reader_stream text not null,
  changes       integer not null,
  constraint parked_changes_pkey primary key (reader_stream, reader)
) strict, without rowid;

alter table /*prefix*/subscriptions add column handled integer not null default 0; -- events that a projection has applied
alter table /*prefix*/subscriptions add column rate real not null default 0; -- per second
alter table /*prefix*/subscriptions add column handled_at integer;
