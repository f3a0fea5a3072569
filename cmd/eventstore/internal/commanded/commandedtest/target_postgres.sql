-- What a store of this library holds, by its tables alone. /*schema.*/ becomes its schema.

-- name: events
select l.position + (e.append_seq - l.append_seq) * l.n + e.idx, s.name, e.version, e.event_id::text, e.event_type, coalesce(e.causation_id::text, ''), coalesce(e.correlation_id::text, ''),
  (extract(epoch from e.created_at) * 1000000)::bigint, e.data, e.metadata
from /*schema.*/log l join /*schema.*/events e on e.append_seq >= l.append_seq and e.append_seq < l.append_seq + l.appends join /*schema.*/streams s using (stream_id)
order by 1;

-- name: streams
select s.name, s.deleted_at is not null, v.version, v.event_id::text, v.link
from /*schema.*/streams s join (
  select stream_id, version, event_id, false from /*schema.*/events
  union all
  select l.stream_id, l.version, e.event_id, true from /*schema.*/links l join /*schema.*/events e using (append_seq, idx)
) v (stream_id, version, event_id, link) using (stream_id);

-- name: rows
select name, version, (extract(epoch from created_at) * 1000000)::bigint,
  coalesce((extract(epoch from deleted_at) * 1000000)::bigint, 0)
from /*schema.*/streams;

-- name: subscriptions
select stream, name, checkpoint from /*schema.*/subscriptions;

-- name: snapshots
select source_id, version, source_type, (extract(epoch from created_at) * 1000000)::bigint, data, metadata from /*schema.*/snapshots;
