-- oldest program: 4
-- Projections. A partition of one is a row of subscriptions called $<projection>/<generation>/<partition>.
create table /*schema.*/projections (
  generation   bigint not null, -- of its partitions
  replay_until bigint not null, -- where the stream ended at the last reset
  changes      bigint not null, -- goes up whenever somebody has changed what is parked
  created_at   timestamptz not null,
  updated_at   timestamptz not null,
  partitions   int not null,
  by_stream    boolean not null, -- the partition key of an event is the name of its stream
  name         text collate "C" not null,
  stream       text collate "C" not null, -- or $all
  applied      text not null default '', -- what partitions of earlier generations had applied
  replaced_by  text collate "C" not null default '',
  constraint projections_pkey primary key (name)
) with (fillfactor = 50);

-- Who runs a projection, until when, on the database's clock.
create table /*schema.*/projection_members (
  until      timestamptz not null,
  projection text collate "C" not null,
  owner      text collate "C" not null,
  constraint projection_members_pkey primary key (projection, owner)
) with (fillfactor = 50);

-- Events that a projection or a subscription has put aside: those that have failed, and those of the same partition key behind them.
create table /*schema.*/parked (
  number        bigint not null, -- in the stream that is read
  hash          bigint not null, -- of key: modulo the number of partitions it gives the partition
  version       bigint not null,
  parked_at     timestamptz not null,
  attempts      int not null,
  failed        boolean not null, -- false: waits for those before it, or to be replayed
  event_id      uuid not null,
  reader        text collate "C" not null, -- name of the projection or subscription
  reader_stream text collate "C" not null, -- that the subscription is on, or $all; empty for a projection
  key           text collate "C" not null,
  stream        text collate "C" not null,
  event_type    text collate "C" not null,
  error         text not null,
  constraint parked_pkey primary key (reader_stream, reader, event_id)
);

create index parked_number_idx on /*schema.*/parked (reader_stream, reader, number, event_id);
create index parked_failed_idx on /*schema.*/parked (reader_stream, reader, key, number) where failed;
create index parked_stream_idx on /*schema.*/parked (stream); -- for a hard delete

-- How often others have changed what a subscription has parked. Not a column of subscriptions, whose rows nobody may keep locked
-- while leases are renewed: a hard delete keeps its rows locked until the caller commits.
create table /*schema.*/parked_changes (
  changes       bigint not null,
  reader        text collate "C" not null,
  reader_stream text collate "C" not null,
  constraint parked_changes_pkey primary key (reader_stream, reader)
) with (fillfactor = 50);

alter table /*schema.*/subscriptions
  add column handled bigint not null default 0, -- events that a projection has applied
  add column rate double precision not null default 0, -- per second
  add column handled_at timestamptz;
