-- How commanded/eventstore writes. /*schema.*/ becomes its schema.

-- name: append
-- $2 are ids, in order. One statement: the stream's row and then that of $all are locked until the transaction ends.
with event as (
  select e.id, e.nr from unnest($2::uuid[]) with ordinality as e (id, nr)
), added as (
  insert into /*schema.*/events (event_id, event_type, causation_id, correlation_id, data, metadata, created_at)
  select e.id, 'Type' || e.nr % 3, case when e.nr % 2 = 0 then e.id end, e.id,
    /*schema.*/test_data('{"id": "' || e.id || '", "nr": ' || e.nr || '}'),
    case when e.nr % 2 = 0 then /*schema.*/test_data('{"by": "test"}') end, clock_timestamp()
  from event as e
), own as (
  insert into /*schema.*/streams as s (stream_uuid, stream_version) values ($1, cardinality($2::uuid[]))
  on conflict (stream_uuid) do update set stream_version = s.stream_version + excluded.stream_version
  returning s.stream_id, s.stream_version - cardinality($2::uuid[]) as before
), placed as (
  insert into /*schema.*/stream_events (event_id, stream_id, stream_version, original_stream_id, original_stream_version)
  select e.id, o.stream_id, o.before + e.nr, o.stream_id, o.before + e.nr from event as e, own as o
), total as (
  update /*schema.*/streams set stream_version = stream_version + cardinality($2::uuid[]) where stream_id = 0
  returning stream_version - cardinality($2::uuid[]) as before
)
insert into /*schema.*/stream_events (event_id, stream_id, stream_version, original_stream_id, original_stream_version)
select e.id, 0, t.before + e.nr, o.stream_id, o.before + e.nr from event as e, own as o, total as t;

-- name: link
-- $2 are ids of events; those that are not there leave a hole.
with event as (
  select e.id, e.nr from unnest($2::uuid[]) with ordinality as e (id, nr)
), target as (
  insert into /*schema.*/streams as s (stream_uuid, stream_version) values ($1, cardinality($2::uuid[]))
  on conflict (stream_uuid) do update set stream_version = s.stream_version + excluded.stream_version
  returning s.stream_id, s.stream_version - cardinality($2::uuid[]) as before
)
insert into /*schema.*/stream_events (event_id, stream_id, stream_version, original_stream_id, original_stream_version)
select e.id, t.stream_id, t.before + e.nr, o.original_stream_id, o.original_stream_version
from target as t, event as e
join /*schema.*/stream_events as o on o.event_id = e.id and o.stream_id = o.original_stream_id;

-- name: soft_delete
update /*schema.*/streams set deleted_at = now() where stream_uuid = $1;

-- name: allow_hard_deletes
set local eventstore.enable_hard_deletes = 'on';

-- name: hard_delete
-- With the events that the stream links to.
with doomed as (
  select e.event_id from /*schema.*/stream_events as e join /*schema.*/streams as s on s.stream_id = e.stream_id where s.stream_uuid = $1
), places as (
  delete from /*schema.*/stream_events as e using doomed as d where e.event_id = d.event_id
), gone as (
  delete from /*schema.*/events as e using doomed as d where e.event_id = d.event_id
)
delete from /*schema.*/streams where stream_uuid = $1;

-- name: snapshot
-- created_at stays that of the first.
insert into /*schema.*/snapshots (source_uuid, source_version, source_type, data, metadata)
values ($1, $2, 'State', /*schema.*/test_data($3), null)
on conflict (source_uuid) do update set source_version = excluded.source_version, source_type = excluded.source_type,
  data = excluded.data, metadata = excluded.metadata;

-- name: delete_snapshot
delete from /*schema.*/snapshots where source_uuid = $1;

-- name: acknowledge
insert into /*schema.*/subscriptions (stream_uuid, subscription_name, last_seen) values ($1, $2, $3)
on conflict (stream_uuid, subscription_name) do update set last_seen = excluded.last_seen;

-- name: delete_subscription
delete from /*schema.*/subscriptions where stream_uuid = $1 and subscription_name = $2;
