-- Persistent subscriptions: how far each has come, and who runs it until when, on the database's clock. Few rows, each
-- updated many times: nothing but the key is indexed, and pages have room, so that a row is updated in place (HOT).
create table /*schema.*/subscriptions (
  checkpoint  bigint not null,
  stream_id   bigint not null, -- that checkpoint counts in; 0 for $all, or if the stream did not exist
  epoch       bigint not null,
  lease_until timestamptz, -- null: given up
  created_at  timestamptz not null,
  updated_at  timestamptz not null, -- of checkpoint
  stream      text collate "C" not null, -- a stream's name, or $all
  name        text collate "C" not null,
  owner       text collate "C" not null,
  last_error  text not null default '',
  constraint subscriptions_pkey primary key (stream, name)
) with (fillfactor = 50, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

-- All epochs are drawn from here, so that a subscription that was deleted and created again does not take an owner of
-- before for its own.
create sequence /*schema.*/epoch_seq as bigint;

-- new_epoch draws an epoch, one that no subscription had before. It sets the sequence right if that is behind: what others draw
-- meanwhile is above the floor, too. Reads all of subscriptions, which is small. Index: retired_pkey.
create function /*schema.*/new_epoch/*of*/() returns bigint language plpgsql as $body$
declare
  lowest constant bigint := greatest((select max(s.epoch) from /*schema.*/subscriptions s), (select max(r.id) from /*schema.*/retired r where r.kind = 'epoch'));
  id constant bigint := nextval('/*schema.*/epoch_seq');
begin
  if id > lowest is not false then
    return id;
  end if;
  perform /*schema.*/advance('/*schema.*/epoch_seq', id, lowest);
  return nextval('/*schema.*/epoch_seq');
end
$body$;
