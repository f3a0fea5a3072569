-- What a store of this library holds, by its tables alone.

-- name: events
select e.position, s.name, e.version, e.event_id, e.event_type, ifnull(e.causation_id, ''), ifnull(e.correlation_id, ''),
  e.created_at, e.data, e.metadata
from /*prefix*/events e join /*prefix*/streams s using (stream_id)
order by 1;

-- name: streams
select s.name, s.deleted_at is not null, v.version, v.event_id, v.link
from /*prefix*/streams s join (
  select stream_id, version, event_id, 0 as link from /*prefix*/events
  union all
  select l.stream_id, l.version, e.event_id, 1 from /*prefix*/links l join /*prefix*/events e using (position)
) v using (stream_id);

-- name: rows
select name, version, created_at, ifnull(deleted_at, 0) from /*prefix*/streams;

-- name: subscriptions
select stream, name, checkpoint from /*prefix*/subscriptions;

-- name: snapshots
select source_id, version, source_type, created_at, data, metadata from /*prefix*/snapshots;
