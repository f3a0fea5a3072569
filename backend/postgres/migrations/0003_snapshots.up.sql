-- oldest program: 3
-- Snapshots: for each source the newest state that was recorded.
create table /*schema.*/snapshots (
  version      bigint not null,
  created_at   timestamptz not null,
  source_id    text collate "C" not null,
  source_type  text collate "C" not null,
  content_type text collate "C", -- as in events
  data         bytea/*data_type*/ not null,
  metadata     bytea/*data_type*/,
  constraint snapshots_pkey primary key (source_id)
);
