-- name: streams
-- Reads all streams.
select count(*), count(s.deleted_at) from /*schema.*/streams as s;

-- name: others
-- Reads all links, snapshots and subscriptions.
select (select count(*) from /*schema.*/links), (select count(*) from /*schema.*/snapshots), (select count(*) from /*schema.*/subscriptions);

-- name: types
-- Reads all events: their number by type, and in the last minute, hour and day.
select e.event_type, count(*),
  coalesce(sum(/*schema.*/size(e.data)), 0),
  count(*) filter (where e.created_at > clock_timestamp() - interval '1 minute'),
  count(*) filter (where e.created_at > clock_timestamp() - interval '1 hour'),
  count(*) filter (where e.created_at > clock_timestamp() - interval '1 day')
from /*schema.*/events as e group by 1 order by 2 desc, 1;

-- name: order
-- Head; events without a position; numbers of appends that were drawn and not seen. Indexes: log_pkey, log_append_seq_key,
-- events_pkey.
select coalesce((select l.position + l.n::bigint * l.appends - 1 from /*schema.*/log as l order by l.position desc limit 1), 0),
  (select count(*) from /*schema.*/events as e where e.append_seq > coalesce((select l.append_seq + l.appends - 1 from /*schema.*/log as l order by l.append_seq desc limit 1), 0))
    + (select count(*) from /*schema.*/holes as h join /*schema.*/events as e on e.append_seq between h.first_seq and h.last_seq),
  (select coalesce(sum(h.last_seq - h.first_seq + 1), 0) from /*schema.*/holes as h);

-- name: biggest
-- Reads all streams.
select s.name, s.version from /*schema.*/streams as s order by s.version desc, s.name limit $1::int;

-- name: tables
select c.relname, pg_total_relation_size(c.oid), pg_indexes_size(c.oid) from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = '/*schema_text*/' and c.relkind = 'r'
  and c.relname in ('streams', 'events', 'links', 'log', 'holes', 'retired', 'store', 'subscriptions', 'snapshots', 'projections', 'projection_members', 'parked', 'parked_changes', 'eventstore_migrations')
order by 2 desc, 1;

-- name: recent_types
-- Of the first and the last ten thousand events. Index: events_pkey, from both ends.
select distinct t.event_type from (
  (select e.event_type from /*schema.*/events as e order by e.append_seq, e.idx limit 10000)
  union all
  (select e.event_type from /*schema.*/events as e order by e.append_seq desc, e.idx desc limit 10000)
) as t order by 1 limit $1::int;
