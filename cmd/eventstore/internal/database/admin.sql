-- Statements that create and drop databases and schemas in PostgreSQL.

-- name: create_database
-- The encoding is that of template1 otherwise, and of another one nothing could use the database.
create database "/*name*/" encoding 'UTF8';

-- name: drop_database
-- Whoever is connected is thrown out.
drop database "/*name*/" with (force);

-- name: database_exists
select exists (select from pg_database as d where d.datname = $1::text);

-- name: current_database
select current_database();

-- name: others
-- Tables, views and sequences in the schema that are not the store's, once its own are gone.
select c.relname from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = $1::text and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f') order by 1;

-- name: stores_postgres
-- Schemas with a table of migrations, told from another of that name as in migrate_present. The catalog is small.
select n.nspname from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
join pg_attribute as a on a.attrelid = c.oid and a.attname = 'oldest' and not a.attisdropped
where c.relname = 'eventstore_migrations' and c.relkind = 'r' order by 1;

-- name: stores_sqlite
-- Likewise prefixes: what stands before the name of such a table.
select substr(m.name, 1, length(m.name) - length('eventstore_migrations')) from sqlite_master as m join pragma_table_info(m.name) as c
where m.type = 'table' and substr(m.name, -length('eventstore_migrations')) = 'eventstore_migrations' and c.name = 'oldest' order by 1;

-- name: drop_import_postgres
-- What says that an import is unfinished, once the tables are gone that it guards.
drop table if exists /*schema.*/import_progress, /*schema.*/import_snapshots;
drop function if exists /*schema.*/import_guard();

-- name: drop_import_sqlite
-- Likewise, and the table of the version. The triggers have gone with the tables.
drop table if exists /*prefix*/import_progress;
drop table if exists /*prefix*/import_snapshots;
drop table if exists /*prefix*/eventstore_migrations;

-- name: drop_version_table
drop table if exists /*schema.*/eventstore_migrations;

-- name: drop_schema
-- Fails if anything is left in it.
drop schema if exists "/*schema_name*/" restrict;

-- name: drop_schema_cascade
drop schema if exists "/*schema_name*/" cascade;

-- name: version_postgres
show server_version;

-- name: version_sqlite
select sqlite_version();

-- name: table_postgres
-- The id of the table that a name means; '' if there is none.
select coalesce(to_regclass($1::text)::oid::text, '');

-- name: table_sqlite
-- The table that a name means, whatever its case; '' if there is none.
select coalesce((select name from sqlite_schema where type = 'table' and name = ?1 collate nocase), '');
-- name: set_statement
-- A statement of the user's, for run_statement. The setting ends with the transaction.
select set_config('eventstore.statement', $1::text, true);

-- name: run_statement
-- Within a function the server refuses statements that end the transaction.
do $$ begin execute current_setting('eventstore.statement'); end $$;
