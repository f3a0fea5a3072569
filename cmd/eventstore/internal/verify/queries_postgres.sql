-- What is looked for in a store in PostgreSQL. The schema comment before a name is replaced by the store's schema. Each
-- statement returns violations: the name of the check, and a line about it. All of them only read, without locks; each
-- sees one moment, so that an append is there with all that belongs to it, or not at all. A sequence is read as it is
-- now, not then: it is never behind what the statement sees.
--
-- Pages: $1 is excluded, $2 included. Where a table is looked up row by row, "offset 0" keeps the planner from joining
-- all of it for each page.

-- name: settings
-- For the transaction: to compile the statement for each page takes longer than to run it.
select set_config('jit', 'off', true);

-- name: counts
select (select count(*) from /*schema.*/streams), (select count(*) from /*schema.*/events), (select count(*) from /*schema.*/links),
  (select count(*) from /*schema.*/log), (select count(*) from /*schema.*/subscriptions);

-- name: streams_page
-- The last of $2 + 1 streams behind $1. Index: streams_pkey.
select s.stream_id from /*schema.*/streams as s where s.stream_id > $1::bigint order by s.stream_id limit 1 offset $2::bigint;

-- name: appends_page
-- The append that has the event $2 + 1 places behind append $1. Index: events_pkey.
select e.append_seq from /*schema.*/events as e where e.append_seq > $1::bigint order by e.append_seq limit 1 offset $2::bigint;

-- name: log_page
-- Index: log_pkey.
select l.position from /*schema.*/log as l where l.position > $1::bigint order by l.position limit 1 offset $2::bigint;

-- name: one_row
select 'one-row', format('table store has %s rows, not one', h.n) from (select count(*) as n from /*schema.*/store) as h where h.n <> 1;

-- name: sequences
-- The highest number of each is at the end of an index, but for epochs, of which there are few.
select 'sequence-behind', format('sequence %s has come to %s, but %s is in use', q.name, q.last, q.used)
from (
  select 'append_seq' as name, case when s.is_called then s.last_value else s.last_value - 1 end as last,
    greatest((select max(e.append_seq) from /*schema.*/events as e), (select l.append_seq + l.appends - 1 from /*schema.*/log as l order by l.append_seq desc limit 1)) as used
  from /*schema.*/append_seq as s
  union all
  select 'stream_seq', case when s.is_called then s.last_value else s.last_value - 1 end,
    greatest((select max(t.stream_id) from /*schema.*/streams as t), (select max(r.id) from /*schema.*/retired as r where r.kind = 'stream'))
  from /*schema.*/stream_seq as s
  union all
  select 'epoch_seq', case when s.is_called then s.last_value else s.last_value - 1 end,
    greatest((select max(t.epoch) from /*schema.*/subscriptions as t), (select max(r.id) from /*schema.*/retired as r where r.kind = 'epoch'))
  from /*schema.*/epoch_seq as s
) as q
where q.used > q.last;

-- name: stream_versions
-- Streams with their own events, counted in the order of events_version_key; streams_pkey. A stream that has or had links
-- may lack versions: those of links that went with a hard delete of their events' stream. An imported stream may be empty.
select case when s.stream_id is null then 'event-without-stream'
    when s.version < 0 or e.highest > s.version or not s.linked and coalesce(e.highest, 0) <> s.version then 'stream-version'
    else 'stream-gap' end,
  case when s.stream_id is null
    then format('stream %s has no row, but %s events, versions %s to %s', e.stream_id, e.n, e.lowest, e.highest)
    when s.version < 0 or e.highest > s.version or not s.linked and coalesce(e.highest, 0) <> s.version
    then format('stream "%s" (id %s) is at version %s, but its last event is version %s', s.name, s.stream_id, s.version, coalesce(e.highest, 0))
    when e.lowest < 1 then format('stream "%s" (id %s) has an event with version %s', s.name, s.stream_id, e.lowest)
    else format('stream "%s" (id %s) has %s events for %s versions: version %s is missing', s.name, s.stream_id, e.n, s.version,
      case when e.lowest > 1 then 1 else (
        select min(x.version) + 1 from /*schema.*/events as x where x.stream_id = s.stream_id and not exists (
          select from /*schema.*/events as y where y.stream_id = x.stream_id and y.version = x.version + 1
        )
      ) end)
  end
from (
  select t.stream_id, t.name, t.version, t.linked from /*schema.*/streams as t where t.stream_id > $1::bigint and t.stream_id <= $2::bigint
) as s full join (
  select f.stream_id, count(*) as n, min(f.version) as lowest, max(f.version) as highest
  from /*schema.*/events as f where f.stream_id > $1::bigint and f.stream_id <= $2::bigint group by f.stream_id
) as e on e.stream_id = s.stream_id
where s.stream_id is null or s.version < 0 or e.lowest < 1 or e.highest > s.version
  or not s.linked and (coalesce(e.highest, 0) <> s.version or e.n <> s.version)
order by coalesce(s.stream_id, e.stream_id);

-- name: stream_order
-- Each event with the one before it in its stream, in the order of events_version_key; log_append_seq_key for each. What
-- has no place yet has no position.
select 'stream-order', format('stream "%s" (id %s): version %s (append %s, index %s, position %s) is not behind version %s (append %s, index %s, position %s)',
  (select s.name from /*schema.*/streams as s where s.stream_id = o.stream_id), o.stream_id,
  o.version, o.append_seq, o.idx, coalesce(o.position::text, 'none'),
  o.before_version, o.before_seq, o.before_idx, coalesce(o.before_position::text, 'none'))
from (
  select p.stream_id, p.version, p.append_seq, p.idx, p.position,
    lag(p.version) over w as before_version, lag(p.append_seq) over w as before_seq, lag(p.idx) over w as before_idx,
    lag(p.position) over w as before_position
  from (
    select e.stream_id, e.version, e.append_seq, e.idx, l.position + e.idx as position
    from /*schema.*/events as e
      left join lateral (
        select k.position + (e.append_seq - k.append_seq) * k.n as position, k.append_seq + k.appends as behind
        from /*schema.*/log as k where k.append_seq <= e.append_seq order by k.append_seq desc limit 1
      ) as l on e.append_seq < l.behind
    where e.stream_id > $1::bigint and e.stream_id <= $2::bigint
  ) as p
  window w as (partition by p.stream_id order by p.version)
) as o
where (o.before_seq, o.before_idx) >= (o.append_seq, o.idx) or o.before_position >= o.position;

-- name: appends
-- Appends by their events, counted in the order of events_pkey; log_append_seq_key for each. One that is above the
-- highest in the log waits for its place, and so does one in a hole; holes_pkey for those only.
select v.name, v.what
from (
  select a.append_seq, a.n, a.first_idx, a.last_idx, a.first_stream, a.last_stream, a.first_version, l.position, l.n as placed,
    a.first_idx <> 0 or a.last_idx <> a.n - 1 or coalesce(a.n <> l.n, false) as bad_events,
    a.first_stream <> a.last_stream as bad_stream,
    a.first_stream = a.last_stream and a.low_base <> a.high_base as bad_versions,
    l.position is null and a.append_seq <= (select h.append_seq + h.appends - 1 from /*schema.*/log as h order by h.append_seq desc limit 1)
      and coalesce((
        select o.last_seq from /*schema.*/holes as o where o.first_seq <= a.append_seq order by o.first_seq desc limit 1
      ), 0) < a.append_seq as unplaced
  from (
    select e.append_seq, count(*) as n, min(e.idx) as first_idx, max(e.idx) as last_idx, min(e.stream_id) as first_stream,
      max(e.stream_id) as last_stream, min(e.version) as first_version, min(e.version - e.idx) as low_base, max(e.version - e.idx) as high_base
    from /*schema.*/events as e where e.append_seq > $1::bigint and e.append_seq <= $2::bigint group by e.append_seq
  ) as a
    left join lateral (
      select k.position + (a.append_seq - k.append_seq) * k.n as position, k.n, k.append_seq + k.appends as behind
      from /*schema.*/log as k where k.append_seq <= a.append_seq order by k.append_seq desc limit 1
    ) as l on a.append_seq < l.behind
) as b cross join lateral (
  values
    ('append-events', b.bad_events, format('append %s (stream id %s, from version %s, position %s) has %s events with indexes %s to %s, its row in log says %s',
      b.append_seq, b.first_stream, b.first_version, coalesce(b.position::text, 'none'), b.n, b.first_idx, b.last_idx, coalesce(b.placed::text, 'nothing'))),
    ('append-stream', b.bad_stream, format('append %s (position %s) has events in stream ids %s and %s',
      b.append_seq, coalesce(b.position::text, 'none'), b.first_stream, b.last_stream)),
    ('append-versions', b.bad_versions, format('append %s (stream id %s, from version %s, position %s): the versions do not follow one another',
      b.append_seq, b.first_stream, b.first_version, coalesce(b.position::text, 'none'))),
    ('event-unplaced', b.unplaced, format('append %s (stream id %s, from version %s, %s events) has no position and never will have: it is in neither log nor holes',
      b.append_seq, b.first_stream, b.first_version, b.n))
) as v (name, broken, what)
where (b.bad_events or b.bad_stream or b.bad_versions or b.unplaced) and v.broken
order by b.append_seq;

-- name: data_sizes
-- Values that jsonb returns longer than a store accepts them. At 1 GB the read fails, and every page with the event. Numbers make
-- the difference: their digits are counted without writing them, from the weight (in groups of four digits; from 32768 on
-- negative) and the scale that numeric_send shows. The text is made only if the digits are few enough, and the value is large as
-- it is stored. Columns of other types return what was checked. "offset 0" makes each count once.
select 'data-size', format('event %s (append %s, index %s): %s as it is read, at most %s are allowed', o.event_id, o.append_seq, o.idx,
  case when o.digits > o.most then format('the numbers of its %s have about %s digits', o.field, o.digits) else format('its %s has %s bytes', o.field, o.size) end, o.most)
from (
  select d.event_id, d.append_seq, d.idx, d.field, d.digits, d.most,
    case when d.digits <= d.most and pg_column_size(d.value) > 100000 then octet_length(d.value::text) end as size
  from (
    select e.event_id, e.append_seq, e.idx, v.field, v.value, v.most,
      (select coalesce(sum(case when n.weight < 32768 then 4 * n.weight + 4 else 1 end + n.scale), 0) from (
        select get_byte(b.sent, 2) * 256 + get_byte(b.sent, 3) as weight, get_byte(b.sent, 6) * 256 + get_byte(b.sent, 7) as scale
        from jsonb_path_query(v.value, '$.** ? (@.type() == "number")') as j (value) cross join lateral (select numeric_send(j.value::numeric)) as b (sent)
      ) as n) as digits
    from /*schema.*/events as e cross join lateral (
      values ('data', case when pg_typeof(e.data) = 'jsonb'::regtype then to_jsonb(e.data) end, 67108864),
        ('metadata', case when pg_typeof(e.metadata) = 'jsonb'::regtype then to_jsonb(e.metadata) end, 1048576)
    ) as v (field, value, most)
    where e.append_seq > $1::bigint and e.append_seq <= $2::bigint
    offset 0
  ) as d
  offset 0
) as o
where o.digits > o.most or o.size > o.most
order by o.append_seq, o.idx;

-- name: log_rows
-- Each row with the ones behind it by position and by number: log_pkey, log_append_seq_key.
select case when l.position < 1 or l.append_seq < 1 or l.n < 1 or l.appends < 1 then 'log-row' else 'log-overlap' end,
  case when l.position < 1 or l.append_seq < 1 or l.n < 1 or l.appends < 1
    then format('log: %s appends from %s on with %s events each at position %s', l.appends, l.append_seq, l.n, l.position)
    when l.position + l.n::bigint * l.appends > b.position
    then format('log: appends %s to %s have the positions %s to %s, but others begin at %s', l.append_seq, l.append_seq + l.appends - 1, l.position, l.position + l.n::bigint * l.appends - 1, b.position)
    else format('log: appends %s to %s have the positions %s to %s, but append %s has others', l.append_seq, l.append_seq + l.appends - 1, l.position, l.position + l.n::bigint * l.appends - 1, c.append_seq)
  end
from /*schema.*/log as l
  left join lateral (select k.position from /*schema.*/log as k where k.position > l.position order by k.position limit 1) as b on true
  left join lateral (select k.append_seq from /*schema.*/log as k where k.append_seq > l.append_seq order by k.append_seq limit 1) as c on true
where l.position > $1::bigint and l.position <= $2::bigint
  and (l.position < 1 or l.append_seq < 1 or l.n < 1 or l.appends < 1 or l.position + l.n::bigint * l.appends > b.position or l.append_seq + l.appends > c.append_seq)
order by l.position;

-- name: log_gaps
-- A hard delete takes rows out of the log, and so a number for each gap that it makes. In one pass of log_pkey.
select 'log-gap', format('log: %s gaps, the first before position %s, but only %s appends are gone', g.gaps, g.first_gap, g.gone)
from (
  select count(*) filter (where l.position > l.ended + 1) as gaps, min(l.position) filter (where l.position > l.ended + 1) as first_gap,
    coalesce(max(l.append_seq + l.appends - 1), 0) - coalesce(sum(l.appends), 0) - (
      select coalesce(sum(h.last_seq - h.first_seq + 1), 0) from /*schema.*/holes as h
      where h.first_seq <= h.last_seq and h.last_seq <= (select k.append_seq + k.appends - 1 from /*schema.*/log as k order by k.append_seq desc limit 1)
    ) as gone
  from (
    select k.position, k.append_seq, k.appends, lag(k.position + k.n::bigint * k.appends - 1, 1, 0::bigint) over (order by k.position) as ended from /*schema.*/log as k
  ) as l
) as g
where g.gaps > greatest(g.gone, 0);

-- name: holes
-- Index: holes_pkey, and log_append_seq_key for each: holes are few.
select v.name, v.what
from /*schema.*/holes as o
  left join lateral (select p.first_seq from /*schema.*/holes as p where p.first_seq > o.first_seq order by p.first_seq limit 1) as b on true
  left join lateral (
    select greatest(l.append_seq, o.first_seq) as append_seq, l.position + (greatest(l.append_seq, o.first_seq) - l.append_seq) * l.n as position, l.append_seq + l.appends as behind
    from /*schema.*/log as l where l.append_seq <= o.last_seq order by l.append_seq desc limit 1
  ) as k on o.first_seq < k.behind
  cross join lateral (
    values
      ('hole-range', o.first_seq < 1 or o.last_seq < o.first_seq or o.last_seq > coalesce((select l.append_seq + l.appends - 1 from /*schema.*/log as l order by l.append_seq desc limit 1), 0),
        format('holes: %s to %s, where the highest append in the log is %s', o.first_seq, o.last_seq, (select l.append_seq + l.appends - 1 from /*schema.*/log as l order by l.append_seq desc limit 1))),
      ('hole-overlap', coalesce(o.last_seq >= b.first_seq, false), format('holes: %s to %s overlaps the next one, from %s on', o.first_seq, o.last_seq, b.first_seq)),
      ('hole-in-log', k.append_seq is not null, format('holes: %s to %s has append %s, which is in the log at position %s', o.first_seq, o.last_seq, k.append_seq, k.position))
  ) as v (name, broken, what)
where v.broken
order by o.first_seq;

-- name: links
-- Links in the order of links_pkey; events_pkey, streams_pkey, and events_version_key for each.
select v.name, v.what
from (
  select l.stream_id, l.version, l.append_seq, l.idx, s.name, s.version as stream_version, s.linked, e.stream_id as event_stream, t.append_seq as twice
  from /*schema.*/links as l
    left join lateral (select k.name, k.version, k.linked from /*schema.*/streams as k where k.stream_id = l.stream_id offset 0) as s on true
    left join lateral (select k.stream_id from /*schema.*/events as k where k.append_seq = l.append_seq and k.idx = l.idx offset 0) as e on true
    left join lateral (select k.append_seq from /*schema.*/events as k where k.stream_id = l.stream_id and k.version = l.version offset 0) as t on true
  where l.stream_id > $1::bigint and l.stream_id <= $2::bigint
) as b cross join lateral (
  values
    ('link-stream', b.name is null, format('link with version %s is in stream id %s, which has no row', b.version, b.stream_id)),
    ('link-unmarked', not b.linked, format('stream "%s" (id %s) has a link with version %s, but is not marked as linked', b.name, b.stream_id, b.version)),
    ('link-version', b.version < 1 or b.version > b.stream_version,
      format('stream "%s" (id %s) is at version %s, but has a link with version %s', b.name, b.stream_id, b.stream_version, b.version)),
    ('link-event', b.event_stream is null,
      format('stream "%s" (id %s): the link with version %s is to an event that is not there (append %s, index %s)', b.name, b.stream_id, b.version, b.append_seq, b.idx)),
    ('link-own', b.event_stream = b.stream_id,
      format('stream "%s" (id %s): the link with version %s is to an event of the stream itself (append %s, index %s)', b.name, b.stream_id, b.version, b.append_seq, b.idx)),
    ('version-twice', b.twice is not null,
      format('stream "%s" (id %s): version %s is both a link and an event (append %s)', b.name, b.stream_id, b.version, b.twice))
) as v (name, broken, what)
where (b.name is null or not b.linked or b.version < 1 or b.version > b.stream_version or b.event_stream is null
    or b.event_stream = b.stream_id or b.twice is not null)
  and v.broken
order by b.stream_id, b.version;

-- name: subscriptions
-- The table is small. A checkpoint in a stream that was hard deleted counts for nothing: the stream's id is another one
-- now, and the subscription begins again. Indexes: log_pkey, streams_name_key, streams_pkey, events_pkey,
-- events_version_key, links_pkey, events_event_id_key.
select v.name, v.what
from (
  select s.stream, s.name, s.checkpoint, s.stream_id, s.epoch, n.version, i.name as other, s.seen, s.seen_id, x.event_id as event_at,
    case when s.stream = '$all' then coalesce((select l.position + l.n::bigint * l.appends - 1 from /*schema.*/log as l order by l.position desc limit 1), 0)
      else n.version end as ends,
    (select case when q.is_called then q.last_value else q.last_value - 1 end from /*schema.*/stream_seq as q) as last_stream,
    (select case when q.is_called then q.last_value else q.last_value - 1 end from /*schema.*/epoch_seq as q) as last_epoch
  from /*schema.*/subscriptions as s
    left join lateral (select t.stream_id, t.version from /*schema.*/streams as t where t.name = s.stream offset 0) as n on n.stream_id = s.stream_id
    left join lateral (select t.name from /*schema.*/streams as t where t.stream_id = s.stream_id offset 0) as i on i.name <> s.stream
    left join lateral (
      (select e.event_id from /*schema.*/events as e
       where s.stream = '$all' and (e.append_seq, e.idx) = (
         select case when s.seen < l.position + l.n::bigint * l.appends then l.append_seq + (s.seen - l.position) / l.n end, ((s.seen - l.position) % nullif(l.n, 0))::int
         from /*schema.*/log as l where l.position <= s.seen order by l.position desc limit 1))
      union all
      (select e.event_id from /*schema.*/events as e where s.stream <> '$all' and e.stream_id = s.stream_id and e.version = s.seen)
      union all
      (select e.event_id from /*schema.*/links as k join /*schema.*/events as e on e.append_seq = k.append_seq and e.idx = k.idx
       where s.stream <> '$all' and k.stream_id = s.stream_id and k.version = s.seen)
    ) as x on true
) as b cross join lateral (
  values
    ('subscription-checkpoint', b.checkpoint < 0 or coalesce(b.checkpoint > b.ends, false),
      format('subscription "%s" of "%s" is at %s, but the stream ends at %s', b.name, b.stream, b.checkpoint, b.ends)),
    ('subscription-seen', b.seen_id is not null and (b.stream = '$all' or b.version is not null)
        and (coalesce(b.event_at <> b.seen_id, false) or coalesce(b.seen > b.ends, false)),
      format('subscription "%s" of "%s" has seen event %s at %s, where %s', b.name, b.stream, b.seen_id, b.seen,
        coalesce('event ' || b.event_at || ' is', 'no event is'))),
    ('subscription-stream', case when b.stream = '$all' then b.stream_id <> 0 else b.stream_id < 0 or b.stream_id > b.last_stream or b.other is not null end,
      format('subscription "%s" of "%s" counts in stream id %s, which %s', b.name, b.stream, b.stream_id, coalesce('is "' || b.other || '"', 'no stream has or had'))),
    ('subscription-epoch', b.epoch > b.last_epoch,
      format('subscription "%s" of "%s" has epoch %s, but only %s were drawn', b.name, b.stream, b.epoch, b.last_epoch))
) as v (name, broken, what)
where v.broken
order by b.stream, b.name;

-- name: partitions
-- Projections and the subscriptions that are their partitions: few. One that was replaced has none.
with wanted as (
  select p.stream, '$' || p.name || '/' || p.generation || '/' || i.n as name, p.name as projection
  from /*schema.*/projections as p cross join lateral generate_series(0, p.partitions - 1) as i (n) where p.replaced_by = ''
)
select 'projection-row', format('projection "%s" has %s partitions, generation %s', p.name, p.partitions, p.generation)
from /*schema.*/projections as p where p.partitions < 1 or p.generation < 1
union all
select 'partition-missing', format('projection "%s" lacks its partition "%s" of "%s"', w.projection, w.name, w.stream)
from wanted as w where not exists (select from /*schema.*/subscriptions as s where s.stream = w.stream and s.name = w.name)
union all
select 'partition-unknown', format('subscription "%s" of "%s" is a partition of no projection', s.name, s.stream)
from /*schema.*/subscriptions as s
where starts_with(s.name, '$') and not exists (select from wanted as w where w.stream = s.stream and w.name = s.name);

-- name: parked
-- Counted in the order of parked_pkey. The event itself may be gone with its stream.
select 'parked-projection', format('%s events are parked by projection "%s", which is not there', k.n, k.projection)
from (select p.reader as projection, count(*) as n from /*schema.*/parked as p where p.reader_stream = '' group by p.reader) as k
where not exists (select from /*schema.*/projections as p where p.name = k.projection)
union all
select 'parked-subscription', format('%s events are parked by subscription "%s" of "%s", which is not there', k.n, k.reader, k.reader_stream)
from (select p.reader_stream, p.reader, count(*) as n from /*schema.*/parked as p where p.reader_stream <> '' group by p.reader_stream, p.reader) as k
where not exists (select from /*schema.*/subscriptions as s where s.stream = k.reader_stream and s.name = k.reader);

-- name: snapshots
select 'snapshot-row', format('snapshot of "%s" has version %s', s.source_id, s.version) from /*schema.*/snapshots as s
where s.version < 0 or s.source_id = '';

-- name: snapshot_sizes
-- As data_sizes.
select 'snapshot-size', format('snapshot of "%s": the numbers of its %s have about %s digits as they are read, at most %s are allowed', d.source_id, d.field, d.digits, d.most)
from (
  select s.source_id, v.field, v.most,
    (select coalesce(sum(case when n.weight < 32768 then 4 * n.weight + 4 else 1 end + n.scale), 0) from (
        select get_byte(b.sent, 2) * 256 + get_byte(b.sent, 3) as weight, get_byte(b.sent, 6) * 256 + get_byte(b.sent, 7) as scale
        from jsonb_path_query(v.value, '$.** ? (@.type() == "number")') as j (value) cross join lateral (select numeric_send(j.value::numeric)) as b (sent)
      ) as n) as digits
  from /*schema.*/snapshots as s cross join lateral (
    values ('data', case when pg_typeof(s.data) = 'jsonb'::regtype then to_jsonb(s.data) end, 67108864),
      ('metadata', case when pg_typeof(s.metadata) = 'jsonb'::regtype then to_jsonb(s.metadata) end, 1048576)
  ) as v (field, value, most)
  offset 0
) as d
where d.digits > d.most
order by d.source_id;
