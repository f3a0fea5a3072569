-- The rows that a new store of commanded/eventstore has.
insert into /*schema.*/streams (stream_id, stream_uuid, stream_version) values (0, '$all', 0);
insert into /*schema.*/schema_migrations (major_version, minor_version, patch_version) values (1, 3, 2);
