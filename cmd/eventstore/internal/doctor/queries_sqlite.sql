-- What a doctor asks of SQLite. All of it only reads.

-- name: version
select sqlite_version();

-- name: journal_mode
pragma journal_mode;

-- name: foreign_keys
pragma foreign_keys;

-- name: quick_check
-- Reads the whole file.
pragma quick_check(10);

-- name: free
select freelist_count, page_count from pragma_freelist_count(), pragma_page_count();

-- name: objects
select type || ' ' || name, true from sqlite_master
where type in ('index', 'trigger') and tbl_name in (
  '/*prefix*/streams', '/*prefix*/head', '/*prefix*/events', '/*prefix*/links', '/*prefix*/subscriptions', '/*prefix*/epochs', '/*prefix*/snapshots',
  '/*prefix*/projections', '/*prefix*/projection_members', '/*prefix*/parked', '/*prefix*/parked_changes'
);
