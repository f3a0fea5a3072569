-- The tables of commanded/eventstore 1.4.8, as its version 1.3.2 of them. /*schema.*/ becomes the schema, /*data*/ the type
-- of data and metadata, /*time*/ that of an event's time.

create table /*schema.*/streams (
  stream_id bigserial primary key,
  stream_uuid text not null,
  stream_version bigint default 0 not null,
  created_at timestamptz default now() not null,
  deleted_at timestamptz
);
create unique index ix_streams_stream_uuid on /*schema.*/streams (stream_uuid);

create table /*schema.*/events (
  event_id uuid primary key,
  event_type text not null,
  causation_id uuid,
  correlation_id uuid,
  data /*data*/ not null,
  metadata /*data*/,
  created_at /*time*/ default now() not null
);

create table /*schema.*/stream_events (
  event_id uuid not null references /*schema.*/events (event_id),
  stream_id bigint not null references /*schema.*/streams (stream_id),
  stream_version bigint not null,
  original_stream_id bigint references /*schema.*/streams (stream_id),
  original_stream_version bigint,
  primary key (event_id, stream_id)
);
create unique index ix_stream_events on /*schema.*/stream_events (stream_id, stream_version);

create table /*schema.*/subscriptions (
  subscription_id bigserial primary key,
  stream_uuid text not null,
  subscription_name text not null,
  last_seen bigint,
  created_at timestamptz default now() not null
);
create unique index ix_subscriptions_stream_uuid_subscription_name on /*schema.*/subscriptions (stream_uuid, subscription_name);

create table /*schema.*/snapshots (
  source_uuid text primary key,
  source_version bigint not null,
  source_type text not null,
  data /*data*/ not null,
  metadata /*data*/,
  created_at timestamptz default now() not null
);

create table /*schema.*/schema_migrations (
  major_version int not null,
  minor_version int not null,
  patch_version int not null,
  migrated_at timestamptz default now() not null,
  primary key (major_version, minor_version, patch_version)
);

create function /*schema.*/event_store_exception() returns trigger as $$
begin
  raise exception 'EventStore: Cannot %', tg_argv[0];
end $$ language plpgsql;
create function /*schema.*/event_store_delete() returns trigger as $$
begin
  if current_setting('eventstore.enable_hard_deletes', true) = 'on' or current_setting('eventstore.reset', true) = 'on' then
    return null;
  end if;
  raise exception 'EventStore: Cannot delete' using errcode = 'feature_not_supported';
end $$ language plpgsql;
create function /*schema.*/notify_events() returns trigger as $$
begin
  perform pg_notify(tg_table_schema || '.events', new.stream_uuid || ',' || new.stream_id || ',' || new.stream_version);
  return new;
end $$ language plpgsql;
create trigger no_update_events before update on /*schema.*/events for each statement
  execute function /*schema.*/event_store_exception('update events');
create trigger no_update_stream_events before update on /*schema.*/stream_events for each statement
  execute function /*schema.*/event_store_exception('update stream events');
create trigger no_delete_events after delete on /*schema.*/events for each statement execute function /*schema.*/event_store_delete();
create trigger no_delete_stream_events after delete on /*schema.*/stream_events for each statement execute function /*schema.*/event_store_delete();
create trigger no_delete_streams after delete on /*schema.*/streams for each statement execute function /*schema.*/event_store_delete();
create trigger event_notification after insert or update on /*schema.*/streams for each row execute function /*schema.*/notify_events();

-- Not of the library: what makes the tests' texts data.
create function /*schema.*/test_data(value text) returns /*data*/ language sql as $$ select /*make*/ $$;
