-- oldest program: 3
-- Snapshots: for each source the newest state that was recorded. Times are as in the other tables.

create table /*prefix*/snapshots (
  source_id    text not null, -- compared byte by byte
  version      integer not null,
  created_at   integer not null,
  source_type  text not null,
  content_type text, -- as in events
  data         blob not null,
  metadata     blob,
  constraint snapshots_pkey primary key (source_id)
) strict;
