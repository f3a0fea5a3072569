-- What a store of commanded/eventstore holds, by its tables alone. /*schema.*/ becomes its schema, and /*text*/ what makes jsonb text.

-- name: events
select a.stream_version, s.stream_uuid, a.original_stream_version, e.event_id::text, e.event_type,
  coalesce(e.causation_id::text, ''), coalesce(e.correlation_id::text, ''), (extract(epoch from e.created_at) * 1000000)::bigint,
  e.data/*text*/, e.metadata/*text*/
from /*schema.*/stream_events a
join /*schema.*/events e on e.event_id = a.event_id
join /*schema.*/streams s on s.stream_id = a.original_stream_id
where a.stream_id = 0
order by 1;

-- name: streams
select s.stream_uuid, s.deleted_at is not null, v.stream_version, v.event_id::text, v.original_stream_id <> v.stream_id
from /*schema.*/streams s join /*schema.*/stream_events v on v.stream_id = s.stream_id
where s.stream_id <> 0;

-- name: rows
select stream_uuid, stream_version, (extract(epoch from created_at) * 1000000)::bigint,
  coalesce((extract(epoch from deleted_at) * 1000000)::bigint, 0)
from /*schema.*/streams where stream_id <> 0;

-- name: subscriptions
select stream_uuid, subscription_name, coalesce(last_seen, 0) from /*schema.*/subscriptions;

-- name: snapshots
select source_uuid, source_version, source_type, (extract(epoch from created_at) * 1000000)::bigint, data/*text*/, metadata/*text*/
from /*schema.*/snapshots;
