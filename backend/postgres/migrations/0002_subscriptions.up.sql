-- oldest program: 2
-- Persistent subscriptions: how far each has come, and who runs it until when, on the database's clock. Few rows, each
-- updated many times: nothing but the key is indexed, and pages have room, so that a row is updated in place (HOT).
create table /*schema.*/subscriptions (
  checkpoint  bigint not null,
  stream_id   bigint not null, -- that checkpoint counts in; 0 for $all, or if the stream did not exist
  epoch       bigint not null,
  lease_until timestamptz, -- null: given up
  created_at  timestamptz not null,
  updated_at  timestamptz not null, -- of checkpoint
  last_error_number bigint not null default 0, -- of the event that last_error is about; 0 if it is about none
  last_error_at     timestamptz, -- null: there never was one
  stream      text collate "C" not null, -- a stream's name, or $all
  name        text collate "C" not null,
  owner       text collate "C" not null,
  last_error  text not null default '', -- '': none, or it is over: a checkpoint has passed last_error_number
  seen        bigint not null default 0, -- number of the last event that was read, usually at or behind checkpoint
  seen_id     uuid, -- its id, which must be in that place for the checkpoint to be of this history; null: not known
  constraint subscriptions_pkey primary key (stream, name)
) with (fillfactor = 50, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

-- All epochs are drawn from here, so that a subscription that was deleted and created again does not take an owner of
-- before for its own.
create sequence /*schema.*/epoch_seq as bigint;

-- era identifies this run of the server, and the database. A server that takes its place, a copy of the database, or a
-- restart is another one.
create function /*schema.*/era() returns text language plpgsql stable as $body$
begin
  return (select extract(epoch from pg_postmaster_start_time()) || '/' || d.oid from pg_database d where d.datname = current_database());
end
$body$;

-- stream_end returns where a stream ends, -1 if it is not there any more. Indexes: log_pkey, streams_pkey.
create function /*schema.*/stream_end/*of*/(in_stream text, in_stream_id bigint) returns bigint language plpgsql stable set enable_seqscan = off as $body$
begin
  if in_stream = '$all' then
    return coalesce((select l.position + l.n::bigint * l.appends - 1 from /*schema.*/log l order by l.position desc limit 1), 0);
  end if;
  return coalesce((select s.version from /*schema.*/streams s where s.stream_id = in_stream_id), -1);
end
$body$;

-- event_at returns the id of the event with a number in a stream, own or linked, or null. Indexes: log_pkey, events_pkey,
-- events_version_key, links_pkey.
create function /*schema.*/event_at/*of*/(in_stream text, in_stream_id bigint, in_number bigint) returns uuid language plpgsql stable set enable_seqscan = off as $body$
begin
  if in_stream = '$all' then
    return (select e.event_id from /*schema.*/events e
      where (e.append_seq, e.idx) = (
        select case when in_number < l.position + l.n::bigint * l.appends then l.append_seq + (in_number - l.position) / l.n end, ((in_number - l.position) % nullif(l.n, 0))::int
        from /*schema.*/log l where l.position <= in_number order by l.position desc limit 1));
  end if;
  return coalesce(
    (select e.event_id from /*schema.*/events e where e.stream_id = in_stream_id and e.version = in_number),
    (select e.event_id from /*schema.*/events e
      where (e.append_seq, e.idx) = (select k.append_seq, k.idx from /*schema.*/links k where k.stream_id = in_stream_id and k.version = in_number)));
end
$body$;

-- lost reports whether the store does not carry what a subscription has read: the stream ends before it, or another event is
-- in the place of the last one. If no event is there, it was hard deleted. Inlined by the planner.
create function /*schema.*/lost(stream_end bigint, event_at uuid, in_checkpoint bigint, in_seen bigint, in_seen_id uuid)
returns boolean language sql immutable as $body$
  select stream_end >= 0 and (stream_end < greatest(in_checkpoint, in_seen) or coalesce(event_at <> in_seen_id, false))
$body$;

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
