-- name: streams
-- Reads all streams.
select count(*), count(deleted_at) from /*prefix*/streams;

-- name: others
-- Reads all links, snapshots and subscriptions.
select (select count(*) from /*prefix*/links), (select count(*) from /*prefix*/snapshots), (select count(*) from /*prefix*/subscriptions);

-- name: types
-- Reads all events: their number by type, and in the last minute, hour and day.
select event_type, count(*), sum(length(data)), sum(created_at > now - 60000000), sum(created_at > now - 3600000000),
  sum(created_at > now - 86400000000)
from /*prefix*/events, (select cast(strftime('%s', 'now') as integer) * 1000000 as now)
group by 1 order by 2 desc, 1;

-- name: order
select position, 0, 0 from /*prefix*/head;

-- name: biggest
-- Reads all streams.
select name, version from /*prefix*/streams order by version desc, name limit ?1;

-- name: tables
-- The whole file: SQLite does not say what a table takes without reading it.
select '(whole file)', page_count * page_size, 0 from pragma_page_count(), pragma_page_size();

-- name: recent_types
-- Of the first and the last ten thousand events, in the order of the table itself.
select distinct event_type from (
  select event_type from (select event_type from /*prefix*/events order by position limit 10000)
  union all
  select event_type from (select event_type from /*prefix*/events order by position desc limit 10000)
) order by 1 limit ?1;
