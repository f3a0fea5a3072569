-- Statements that fill the tables of a shape, see fill.go. Event number i, from 0, is version i / :streams + 1 of stream
-- number i % :streams, whose id is one more. Ids of events are UUIDs of version 7, as programs draw them: a time, and
-- chance. Words that begin with a colon are replaced.

-- name: postgres_eventstore_before
insert into eventstore.streams (name, version, created_at)
select 'stream-' || i, (:events - i - 1) / :streams + 1, now() from generate_series(0, :streams - 1) as g (i);

-- name: postgres_eventstore_range
insert into eventstore.events (append_seq, stream_id, version, created_at, idx, event_id, event_type, data, metadata)
select i + 1, i % :streams + 1, i / :streams + 1, now(), 0,
  (lpad(to_hex(1790000000000 + i / 20), 12, '0') || '7' || left(md5(i::text), 3) || '8' || right(md5(i::text), 15))::uuid,
  'order.placed', convert_to(:data, 'UTF8'), convert_to(:metadata, 'UTF8')
from generate_series(:from, :to - 1) as g (i);
insert into eventstore.log (position, append_seq, n) select i + 1, i + 1, 1 from generate_series(:from, :to - 1) as g (i);

-- name: postgres_eventstore_after
select setval('eventstore.append_seq', :events);

-- name: postgres_counter_before
set session_replication_role = replica; -- no triggers: neither foreign keys nor notifications
insert into counter_streams (name, stream_version)
select 'stream-' || i, (:events - i - 1) / :streams + 1 from generate_series(0, :streams - 1) as g (i);
update counter_streams set stream_version = :events where stream_id = 0;

-- name: postgres_counter_range
insert into counter_events (event_id, event_type, data, metadata, created_at)
select (lpad(to_hex(1790000000000 + i / 20), 12, '0') || '7' || left(md5(i::text), 3) || '8' || right(md5(i::text), 15))::uuid,
  'order.placed', convert_to(:data, 'UTF8'), convert_to(:metadata, 'UTF8'), now()
from generate_series(:from, :to - 1) as g (i);
insert into counter_stream_events (event_id, stream_id, stream_version, original_stream_id, original_stream_version)
select (lpad(to_hex(1790000000000 + i / 20), 12, '0') || '7' || left(md5(i::text), 3) || '8' || right(md5(i::text), 15))::uuid,
  case half when 0 then i % :streams + 1 else 0 end, case half when 0 then i / :streams + 1 else i + 1 end, i % :streams + 1, i / :streams + 1
from generate_series(:from, :to - 1) as g (i) cross join generate_series(0, 1) as b (half);

-- name: postgres_counter_after
set session_replication_role = origin;

-- name: sqlite_eventstore_before
with recursive g (i) as (select 0 union all select i + 1 from g where i + 1 < :streams)
insert into streams (name, version, created_at)
select 'stream-' || i, (:events - i - 1) / :streams + 1, 1790000000000000 from g;

-- name: sqlite_eventstore_range
with recursive g (i) as (select :from union all select i + 1 from g where i + 1 < :to)
insert into events (position, idx, stream_id, version, created_at, event_id, event_type, data, metadata)
select i + 1, 0, i % :streams + 1, i / :streams + 1, 1790000000000000 + i * 50,
  unhex(printf('%012x7', 1790000000000 + i / 20) || substr(h, 1, 3) || '8' || substr(h, 4, 15)),
  'order.placed', cast(:data as blob), cast(:metadata as blob)
from (select i, hex(randomblob(9)) as h from g);

-- name: sqlite_eventstore_after
update head set position = :events;

-- name: sqlite_counter_before
with recursive g (i) as (select 0 union all select i + 1 from g where i + 1 < :streams)
insert into counter_streams (stream_id, name, stream_version)
select i + 1, 'stream-' || i, (:events - i - 1) / :streams + 1 from g;
update counter_streams set stream_version = :events where stream_id = 0;

-- name: sqlite_counter_range
with recursive g (i) as (select :from union all select i + 1 from g where i + 1 < :to)
insert into counter_events (event_id, event_type, data, metadata, created_at)
select printf('%08x-%04x-7%.3s-8%.3s-%012x', (1790000000000 + i / 20) >> 16, (1790000000000 + i / 20) & 65535, printf('%03x', i * 7919 % 4096), printf('%03x', i * 104729 % 4096), i),
  'order.placed', cast(:data as blob), cast(:metadata as blob), 1790000000000000 + i * 50
from g;
with recursive g (i) as (select :from union all select i + 1 from g where i + 1 < :to)
insert into counter_stream_events (event_id, stream_id, stream_version, original_stream_id, original_stream_version)
select printf('%08x-%04x-7%.3s-8%.3s-%012x', (1790000000000 + i / 20) >> 16, (1790000000000 + i / 20) & 65535, printf('%03x', i * 7919 % 4096), printf('%03x', i * 104729 % 4096), i),
  case half when 0 then i % :streams + 1 else 0 end, case half when 0 then i / :streams + 1 else i + 1 end, i % :streams + 1, i / :streams + 1
from g cross join (select 0 as half union all select 1);

-- name: sqlite_counter_after
select 1;
