-- 100,000 events of 300 streams in turn. Stream 7 is hard deleted; stream 8 soft deleted; stream 301 has links to every
-- 1000th event, with a hole at each second version; stream 302 had links to the first ten events of stream 5, and took them
-- with it when it was hard deleted; two events have no place.
insert into /*schema.*/streams (stream_uuid, stream_version, created_at)
select 'stream-' || i, (100000 - i) / 300 + 1, timestamptz '2020-01-01 00:00:00.000001+00' + i * interval '1 second'
from generate_series(1, 300) i;
insert into /*schema.*/events
select md5('event ' || g)::uuid, 'Type' || g % 10,
  case when g % 5 > 0 then md5('cause ' || g)::uuid end, case when g % 7 > 0 then md5('correlation ' || g)::uuid end,
  /*make*/('{"g": ' || g || '}'), case when g % 3 > 0 then /*make*/('{"m": ' || g || '}') end,
  timestamp '2021-01-01 00:00:00.123456' + g * interval '1.000001 second'
from generate_series(1, 100000) g;
insert into /*schema.*/stream_events
select md5('event ' || g)::uuid, (g - 1) % 300 + 1, (g - 1) / 300 + 1, (g - 1) % 300 + 1, (g - 1) / 300 + 1
from generate_series(1, 100000) g;
insert into /*schema.*/stream_events
select md5('event ' || g)::uuid, 0, g, (g - 1) % 300 + 1, (g - 1) / 300 + 1 from generate_series(1, 100000) g;
insert into /*schema.*/events (event_id, event_type, data) values
  (gen_random_uuid(), 'Orphan', /*make*/('{}')), (gen_random_uuid(), 'Orphan', /*make*/('{}'));
update /*schema.*/streams set stream_version = 100002 where stream_id = 0;

insert into /*schema.*/streams (stream_uuid, stream_version) values ('links', 200), ('destroyer', 10);
insert into /*schema.*/stream_events
select md5('event ' || g)::uuid, 301, g / 500 - 1, (g - 1) % 300 + 1, (g - 1) / 300 + 1 from generate_series(1000, 100000, 1000) g;
insert into /*schema.*/stream_events
select event_id, 302, stream_version, 5, stream_version from /*schema.*/stream_events where stream_id = 5 and stream_version <= 10;

begin;
set local eventstore.enable_hard_deletes = 'on';
create temporary table doomed on commit drop as select event_id from /*schema.*/stream_events where stream_id in (7, 302);
delete from /*schema.*/stream_events where event_id in (select event_id from doomed);
delete from /*schema.*/events where event_id in (select event_id from doomed);
delete from /*schema.*/streams where stream_id in (7, 302);
commit;
update /*schema.*/streams set deleted_at = '2022-02-02 02:02:02.020202+00' where stream_id = 8;

insert into /*schema.*/subscriptions (stream_uuid, subscription_name, last_seen, created_at) values
  ('$all', 'a', 99, '2022-01-01 00:00:00.000001+00'), ('$all', 'b', null, now()), ('stream-1', 'c', 3, now()),
  ('stream-7', 'd', 5, now()), ('stream-9', 'e', 5000, now());
insert into /*schema.*/snapshots values
  ('stream-1', 17, 'State', /*make*/('{"s": 1}'), null, '2022-01-01 00:00:00.654321+00'),
  ('stream-2', 18, 'State', /*make*/('{"s": 2}'), /*make*/('{"k": "v"}'), now());
analyze;
