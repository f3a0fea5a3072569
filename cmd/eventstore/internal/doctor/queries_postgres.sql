-- What a doctor asks of PostgreSQL. All of it only reads, catalogs mostly, and takes no lock that anybody waits for.

-- name: settings
select s.name, s.setting from pg_settings as s
where s.name in ('server_version_num', 'server_version', 'fsync', 'full_page_writes', 'synchronous_commit', 'wal_level', 'max_wal_size', 'autovacuum',
  'max_connections', 'idle_in_transaction_session_timeout', 'server_encoding', 'default_transaction_isolation', 'tcp_keepalives_idle', 'max_prepared_transactions');

-- name: server
-- Is it a standby; how many connections there are; how old the oldest transaction id of the database is; how far its clock is
-- from the argument.
select pg_is_in_recovery(), (select count(*) from pg_stat_activity as a where a.backend_type = 'client backend'),
  (select age(d.datfrozenxid) from pg_database as d where d.datname = current_database()),
  extract(epoch from clock_timestamp() - $1::timestamptz)::double precision;

-- name: session
-- The session of the server, which no other server has.
select pg_backend_pid()::text || '@' || extract(epoch from pg_postmaster_start_time())::text;

-- name: long_transactions
-- Transactions of others that have been open for $1 seconds.
select a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''), coalesce(a.state, ''), extract(epoch from clock_timestamp() - a.xact_start)::double precision,
  a.backend_xid is not null,
  exists (select from pg_locks as l join pg_class as c on c.oid = l.relation join pg_namespace as n on n.oid = c.relnamespace
          where l.pid = a.pid and n.nspname = '/*schema_text*/')
from pg_stat_activity as a
where a.xact_start < clock_timestamp() - $1::double precision * interval '1 second' and a.pid <> pg_backend_pid() and a.backend_type = 'client backend'
  and a.datname = current_database()
order by a.xact_start;

-- name: prepared_transactions
select p.gid, extract(epoch from clock_timestamp() - p.prepared)::double precision from pg_prepared_xacts as p where p.database = current_database() order by 2 desc limit 10;

-- name: data_type
select t.typname::text from pg_attribute as a join pg_type as t on t.oid = a.atttypid where a.attrelid = to_regclass('/*schema.*/events') and a.attname = 'data';

-- name: objects
-- What a store consists of, as it is here.
select 'index ' || c.relname, i.indisvalid and i.indisready
from pg_index as i join pg_class as c on c.oid = i.indexrelid join pg_class as t on t.oid = i.indrelid join pg_namespace as n on n.oid = t.relnamespace
where n.nspname = '/*schema_text*/'
union all
select 'trigger ' || g.tgname || ' on ' || t.relname, g.tgenabled in ('O', 'A')
from pg_trigger as g join pg_class as t on t.oid = g.tgrelid join pg_namespace as n on n.oid = t.relnamespace
where n.nspname = '/*schema_text*/' and not g.tgisinternal
union all
select distinct 'function ' || regexp_replace(p.proname, '_[0-9a-f]{10}$', ''), true -- without the hash of the schema's name; some are overloaded
from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace where n.nspname = '/*schema_text*/';

-- name: privileges
-- What the user must be allowed to do, and is not.
select t.name || ': ' || p.name
from unnest(array['streams', 'events', 'links', 'log', 'holes', 'retired', 'subscriptions', 'snapshots', 'projections', 'projection_members', 'parked', 'parked_changes']) as t (name),
  unnest(array['SELECT', 'INSERT']) as p (name)
where to_regclass('/*schema.*/' || t.name) is not null and not has_table_privilege(to_regclass('/*schema.*/' || t.name), p.name)
order by 1;

-- name: backlog
-- Events that were committed and have no position; numbers of appends that nobody has seen, and how many such holes wait for a
-- transaction that is still running. Indexes: events_pkey, log_append_seq_key, holes_fence_idx.
select (select count(*) from /*schema.*/events as e where e.append_seq > coalesce((select l.append_seq + l.appends - 1 from /*schema.*/log as l order by l.append_seq desc limit 1), 0)),
  (select count(*) from /*schema.*/holes as h),
  (select count(*) from /*schema.*/holes as h where h.fence >= pg_snapshot_xmin(pg_current_snapshot()));

-- name: bloat
-- Rows that updates have left behind in the tables that are updated all the time.
select s.relname, s.n_dead_tup, s.n_live_tup from pg_stat_user_tables as s
where s.schemaname = '/*schema_text*/' and s.relname in ('subscriptions', 'streams', 'holes', 'projections', 'projection_members')
  and s.n_dead_tup > 10000 and s.n_dead_tup > 10 * s.n_live_tup
order by 1;
