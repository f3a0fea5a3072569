-- What is looked for in a store in SQLite. Whatever has a prefix comment before its name gets the store's prefix there.
-- Each statement returns violations: the name of the check, and a line about it. All of them only read, and each page in
-- a transaction of its own, so that writers go on and the file with their changes can be tidied up in between.
--
-- Pages: ?1 is excluded, ?2 included. No stream was ever removed if as many are there as numbers were drawn: then nothing
-- can be missing.

-- name: counts
select (select count(*) from /*prefix*/streams), (select count(*) from /*prefix*/events), (select count(*) from /*prefix*/links), 0,
  (select count(*) from /*prefix*/subscriptions);

-- name: streams_page
-- The last of ?2 + 1 streams behind ?1, by the key.
select stream_id from /*prefix*/streams where stream_id > ?1 order by stream_id limit 1 offset ?2;

-- name: events_page
-- By the key.
select position from /*prefix*/events where position > ?1 order by position limit 1 offset ?2;

-- name: one_row
select 'one-row', printf('table head has %d rows, not one', n) from (select count(*) as n from /*prefix*/head) where n <> 1
union all
select 'one-row', printf('table epochs has %d rows, not one', n) from (select count(*) as n from /*prefix*/epochs) where n <> 1;

-- name: sequences
select 'sequence-behind', printf('epochs has come to %d, but %d is in use', p.epoch, (select max(epoch) from /*prefix*/subscriptions))
from /*prefix*/epochs p where (select max(epoch) from /*prefix*/subscriptions) > p.epoch;

-- name: head
select 'head-behind', printf('the head is at %d, but there is an event at position %d', h.position, (select max(position) from /*prefix*/events))
from /*prefix*/head h where h.position < ifnull((select max(position) from /*prefix*/events), 0)
union all
select 'head-deleting', printf('events of stream id %d may be deleted', h.deleting) from /*prefix*/head h where h.deleting is not null
union all
select 'position-gap', printf('the head is at %d, but the last event at position %d, and no stream was ever removed',
  h.position, ifnull((select max(position) from /*prefix*/events), 0))
from /*prefix*/head h
where h.position > ifnull((select max(position) from /*prefix*/events), 0)
  and (select max(d.last_stream, ifnull((select max(t.stream_id) from /*prefix*/streams t), 0)) from /*prefix*/head d) <= (select count(*) from /*prefix*/streams);

-- name: stream_versions
-- Streams with their own events and links, counted in events_version_key and the key of links, which are in this order.
with counted as materialized (
  select s.stream_id, s.name, s.version,
    (select count(*) from /*prefix*/events e where e.stream_id = s.stream_id) + (select count(*) from /*prefix*/links l where l.stream_id = s.stream_id) as n,
    ifnull((select min(e.version) from /*prefix*/events e where e.stream_id = s.stream_id), 1) as lowest,
    ifnull((select max(e.version) from /*prefix*/events e where e.stream_id = s.stream_id), 0) as own,
    ifnull((select max(l.version) from /*prefix*/links l where l.stream_id = s.stream_id), 0) as linked
  from /*prefix*/streams s where s.stream_id > ?1 and s.stream_id <= ?2
)
select iif(c.version < 0 or c.own > c.version or max(c.own, c.linked) < c.version, 'stream-version', 'stream-gap'),
  case
    when c.version < 0 or c.own > c.version or max(c.own, c.linked) < c.version
    then printf('stream "%s" (id %d) is at version %d, but its last event is version %d', c.name, c.stream_id, c.version, max(c.own, c.linked))
    when c.lowest < 1 then printf('stream "%s" (id %d) has an event with version %d', c.name, c.stream_id, c.lowest)
    else printf('stream "%s" (id %d) has %d events and links for %d versions, and no stream was ever removed', c.name, c.stream_id, c.n, c.version)
  end
from counted c
where c.version < 0 or c.lowest < 1 or c.own > c.version
  or (max(c.own, c.linked) < c.version or c.n < c.version)
    and (select max(d.last_stream, ifnull((select max(t.stream_id) from /*prefix*/streams t), 0)) from /*prefix*/head d) <= (select count(*) from /*prefix*/streams)
order by c.stream_id;

-- name: streams_missing
-- In the order of events_version_key.
select 'event-without-stream', printf('stream %d has no row, but %d events, versions %d to %d', e.stream_id, count(*), min(e.version), max(e.version))
from /*prefix*/events e
where e.stream_id > ?1 and e.stream_id <= ?2 and not exists (select 1 from /*prefix*/streams s where s.stream_id = e.stream_id)
group by e.stream_id order by e.stream_id;

-- name: stream_order
-- Each event with the one before it in its stream: events_version_key, which has the position, too.
select 'stream-order', printf('stream "%s" (id %d): version %d (position %d) is not behind the version before it (position %d)',
  ifnull((select s.name from /*prefix*/streams s where s.stream_id = e.stream_id), ''), e.stream_id, e.version, e.position,
  (select p.position from /*prefix*/events p where p.stream_id = e.stream_id and p.version < e.version order by p.version desc limit 1))
from /*prefix*/events e
where e.stream_id > ?1 and e.stream_id <= ?2
  and (select p.position from /*prefix*/events p where p.stream_id = e.stream_id and p.version < e.version order by p.version desc limit 1) > e.position
order by e.stream_id, e.version;

-- name: appends
-- Each event that is not the first of its append with the one before it: both by the key.
select case when e.idx < 0 or p.position is null or p.idx <> e.idx - 1 then 'append-events'
    when p.stream_id <> e.stream_id then 'append-stream' else 'append-versions' end,
  case when e.idx < 0 or p.position is null or p.idx <> e.idx - 1
    then printf('position %d (stream id %d, version %d) has index %d in its append, but %s', e.position, e.stream_id, e.version, e.idx,
      iif(p.position is null, 'there is no event before it', printf('the event before it has %d', p.idx)))
    when p.stream_id <> e.stream_id then printf('position %d is in stream id %d, but the event before it, of the same append, in %d', e.position, e.stream_id, p.stream_id)
    else printf('position %d (stream id %d) is version %d, but the event before it, of the same append, version %d', e.position, e.stream_id, e.version, p.version)
  end
from /*prefix*/events e left join /*prefix*/events p on p.position = e.position - 1
where e.position > ?1 and e.position <= ?2 and e.idx <> 0
  and (e.idx < 0 or p.position is null or p.idx <> e.idx - 1 or p.stream_id <> e.stream_id or p.version <> e.version - 1)
order by e.position;

-- name: positions
-- Each first event of an append with the one before it: both by the key.
select iif(e.position < 1, 'position-row', 'position-gap'),
  iif(e.position < 1, printf('there is an event at position %d', e.position),
    printf('positions %d to %d are not used, and no stream was ever removed',
      ifnull((select max(p.position) from /*prefix*/events p where p.position < e.position), 0) + 1, e.position - 1))
from /*prefix*/events e
where e.position > ?1 and e.position <= ?2 and e.idx = 0
  and (e.position < 1
    or e.position > 1 and not exists (select 1 from /*prefix*/events p where p.position = e.position - 1)
      and (select max(d.last_stream, ifnull((select max(t.stream_id) from /*prefix*/streams t), 0)) from /*prefix*/head d) <= (select count(*) from /*prefix*/streams))
order by e.position;

-- name: links
-- Links in the order of their key, each with its stream and event by theirs, and what else has its version by events_version_key.
with l as not materialized (
  select k.stream_id, k.version, k.position, s.name, s.version as stream_version, e.stream_id as event_stream, t.position as twice
  from /*prefix*/links k
    left join /*prefix*/streams s on s.stream_id = k.stream_id
    left join /*prefix*/events e on e.position = k.position
    left join /*prefix*/events t on t.stream_id = k.stream_id and t.version = k.version
  where k.stream_id > ?1 and k.stream_id <= ?2
)
select 'link-stream', printf('link with version %d is in stream id %d, which has no row', l.version, l.stream_id) from l where l.name is null
union all
select 'link-version', printf('stream "%s" (id %d) is at version %d, but has a link with version %d', l.name, l.stream_id, l.stream_version, l.version)
from l where l.version < 1 or l.version > l.stream_version
union all
select 'link-event', printf('stream "%s" (id %d): the link with version %d is to an event that is not there (position %d)', l.name, l.stream_id, l.version, l.position)
from l where l.event_stream is null
union all
select 'link-own', printf('stream "%s" (id %d): the link with version %d is to an event of the stream itself (position %d)', l.name, l.stream_id, l.version, l.position)
from l where l.event_stream = l.stream_id
union all
select 'version-twice', printf('stream "%s" (id %d): version %d is both a link and an event (position %d)', l.name, l.stream_id, l.version, l.twice)
from l where l.twice is not null;

-- name: subscriptions
-- The table is small. A checkpoint in a stream that was hard deleted counts for nothing: the stream's id is another one
-- now, and the subscription begins again.
with b as (
  select s.stream, s.name, s.checkpoint, s.stream_id, s.epoch, s.seen, s.seen_id,
    iif(s.stream = '$all', (select e.event_id from /*prefix*/events e where e.position = s.seen),
      ifnull((select e.event_id from /*prefix*/events e where e.stream_id = s.stream_id and e.version = s.seen),
        (select e.event_id from /*prefix*/links l cross join /*prefix*/events e where l.stream_id = s.stream_id and l.version = s.seen and e.position = l.position))) as event_at,
    iif(s.stream = '$all', (select position from /*prefix*/head),
      (select n.version from /*prefix*/streams n where n.name = s.stream and n.stream_id = s.stream_id)) as ends,
    (select n.name from /*prefix*/streams n where n.stream_id = s.stream_id and n.name <> s.stream) as other
  from /*prefix*/subscriptions s
)
select 'subscription-checkpoint', printf('subscription "%s" of "%s" is at %d, but the stream ends at %d', b.name, b.stream, b.checkpoint, b.ends)
from b where b.checkpoint < 0 or b.checkpoint > b.ends
union all
select 'subscription-seen', printf('subscription "%s" of "%s" has seen event %s at %d, where %s', b.name, b.stream, lower(hex(b.seen_id)), b.seen,
  iif(b.event_at is null, 'no event is', printf('event %s is', lower(hex(b.event_at)))))
from b where b.seen_id is not null and b.ends is not null
  and (b.seen > b.ends or b.event_at <> b.seen_id)
union all
select 'subscription-stream', printf('subscription "%s" of "%s" counts in stream id %d, which %s', b.name, b.stream, b.stream_id,
  iif(b.other is null, 'no stream has or had', printf('is "%s"', b.other)))
from b where iif(b.stream = '$all', b.stream_id <> 0, b.stream_id < 0 or b.other is not null
  or b.stream_id > (select max(d.last_stream, ifnull((select max(t.stream_id) from /*prefix*/streams t), 0)) from /*prefix*/head d))
union all
select 'subscription-epoch', printf('subscription "%s" of "%s" has epoch %d, but only %d were drawn', b.name, b.stream, b.epoch, p.epoch)
from b cross join /*prefix*/epochs p where b.epoch > p.epoch;

-- name: partitions
-- Projections and the subscriptions that are their partitions: few. One that was replaced has none.
with recursive numbers (n) as (
  select 0 union all select n + 1 from numbers where n + 1 < (select max(partitions) from /*prefix*/projections)
), wanted as materialized (
  select p.stream, printf('$%s/%d/%d', p.name, p.generation, i.n) as name, p.name as projection
  from /*prefix*/projections p join numbers i on i.n < p.partitions where p.replaced_by = ''
)
select 'projection-row', printf('projection "%s" has %d partitions, generation %d', p.name, p.partitions, p.generation)
from /*prefix*/projections p where p.partitions < 1 or p.generation < 1
union all
select 'partition-missing', printf('projection "%s" lacks its partition "%s" of "%s"', w.projection, w.name, w.stream)
from wanted w where not exists (select 1 from /*prefix*/subscriptions s where s.stream = w.stream and s.name = w.name)
union all
select 'partition-unknown', printf('subscription "%s" of "%s" is a partition of no projection', s.name, s.stream)
from /*prefix*/subscriptions s
where substr(s.name, 1, 1) = '$' and (s.stream, s.name) not in (select w.stream, w.name from wanted w);

-- name: parked
-- Counted in the order of parked_pkey. The event itself may be gone with its stream.
select 'parked-projection', printf('%d events are parked by projection "%s", which is not there', count(*), k.reader)
from /*prefix*/parked k where k.reader_stream = '' and k.reader not in (select p.name from /*prefix*/projections p)
group by k.reader
union all
select 'parked-subscription', printf('%d events are parked by subscription "%s" of "%s", which is not there', count(*), k.reader, k.reader_stream)
from /*prefix*/parked k
where k.reader_stream <> '' and not exists (select 1 from /*prefix*/subscriptions s where s.stream = k.reader_stream and s.name = k.reader)
group by k.reader_stream, k.reader;

-- name: snapshots
select 'snapshot-row', printf('snapshot of "%s" has version %d', s.source_id, s.version) from /*prefix*/snapshots s
where s.version < 0 or s.source_id = '';
