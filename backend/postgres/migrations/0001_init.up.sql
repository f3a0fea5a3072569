-- oldest program: 1
-- The store's tables. Whatever stands before a name as a schema comment is replaced by the store's schema, and the
-- marked type by the data type chosen for it. A function whose body names the schema has a hash of that name behind its
-- own (the comment "of"): renaming a schema does not change bodies, and a program that goes by the new name must not call one that
-- writes to the old. See migrate_adopt.

create sequence /*schema.*/stream_seq as bigint;

-- The highest ids that were given to what is gone: streams that were hard deleted, and epochs of subscriptions that were
-- deleted. A sequence that was set back, or that a logical replica or an import did not bring along, does not give them again. A
-- row is added only if nothing that is there has a higher id.
create table /*schema.*/retired (
  id   bigint not null,
  kind text collate "C" not null, -- stream or epoch
  constraint retired_pkey primary key (kind, id)
);

-- new_stream_id draws the id of a new stream, one that no stream had before: of those that are there, streams_pkey sees to that.
-- Index: retired_pkey.
create function /*schema.*/new_stream_id/*of*/() returns bigint language plpgsql set enable_seqscan = off as $body$
declare
  drawn constant bigint := nextval('/*schema.*/stream_seq');
begin
  if exists (select from /*schema.*/retired r where r.kind = 'stream' and r.id >= drawn) then
    raise exception 'eventstore: the sequence stream_seq is behind the data' using errcode = 'ESTSQ'; -- a tick sets it right
  end if;
  return drawn;
end
$body$;

create table /*schema.*/streams (
  stream_id  bigint not null default /*schema.*/new_stream_id/*of*/(),
  version    bigint not null,
  created_at timestamptz not null,
  deleted_at timestamptz,
  linked     boolean not null default false, -- has links: reads of it look into links, too
  name       text collate "C" not null,
  constraint streams_pkey primary key (stream_id),
  constraint streams_name_key unique (name)
) with (fillfactor = 80); -- version is not indexed, so that each append updates its row in place (HOT)

-- One number per append, drawn under the lock of the stream's row: its order is version order within a stream. It must
-- not be cached by sessions.
create sequence /*schema.*/append_seq as bigint cache 1;

create table /*schema.*/events (
  append_seq     bigint not null,
  stream_id      bigint not null,
  version        bigint not null,
  created_at     timestamptz not null,
  idx            int not null, -- place in its append, from 0
  event_id       uuid not null,
  causation_id   uuid,
  correlation_id uuid,
  event_type     text collate "C" not null,
  content_type   text collate "C", -- how data is encoded, and after a comma metadata; null: as JSON
  data           bytea/*data_type*/ not null,
  metadata       bytea/*data_type*/,
  constraint events_pkey primary key (append_seq, idx),
  constraint events_version_key unique (stream_id, version),
  constraint events_event_id_key unique (event_id)
);

create table /*schema.*/links (
  stream_id  bigint not null,
  version    bigint not null,
  append_seq bigint not null,
  linked_at  timestamptz not null default clock_timestamp(),
  idx        int not null,
  constraint links_pkey primary key (stream_id, version),
  constraint links_event_key unique (append_seq, idx, stream_id) -- an event is in a stream once; also finds an event's links
);

-- The global order. Each row gives a run of appends their positions: append_seq and those that follow it, as many as appends says,
-- with n events each. Append append_seq+i has the positions position+i*n … position+(i+1)*n-1. The last row ends at the head: the end
-- of the stream of all events. The row with the highest append_seq says how far the tick has looked: every number up to its last
-- is in the log, in holes, or dead. Rows are added and not changed, so that the head costs the same however often it
-- moved while an old transaction kept the database from tidying up; and a hard delete leaves these two rows alone.
create table /*schema.*/log (
  position   bigint not null,
  append_seq bigint not null,
  placed_at  timestamptz not null default now(), -- when the tick gave these positions; never before that of a lower position
  n          int not null,
  appends    int not null default 1,
  constraint log_pkey primary key (position),
  constraint log_append_seq_key unique (append_seq) -- also finds the run of an append: the last that begins with it or before it
);

-- One row: the identity of this store, which tells it from one that stood here before.
create table /*schema.*/store (
  id       smallint not null default 1,
  store_id uuid not null default gen_random_uuid(),
  constraint store_pkey primary key (id),
  constraint store_one_row check (id = 1)
);

insert into /*schema.*/store default values;

-- Numbers that were drawn but not seen committed yet, in runs. When no transaction older than the fence is left, those
-- that have no events never will have: their owners rolled back.
create table /*schema.*/holes (
  first_seq bigint not null,
  last_seq  bigint not null,
  fence     xid8,
  constraint holes_pkey primary key (first_seq)
);

create index holes_fence_idx on /*schema.*/holes (fence);

-- How bytes become the data type. Inlined by the planner.
create function /*schema.*/to_data(bytes bytea) returns bytea/*data_type*/ language sql immutable as $body$
  select /*decode_data*/bytes
$body$;

-- The time so many microseconds after 1970 began, or null for the lowest number. In two steps: an interval is multiplied in floating
-- point.
create function /*schema.*/from_micros(micros bigint) returns timestamptz language sql stable as $body$
  select timestamptz 'epoch' + nullif(micros, -9223372036854775808) / 1000000 * interval '1 second' + micros % 1000000 * interval '1 microsecond'
$body$;

-- header packs what is short in an event into one value: a reader is spared five values a row. It is the version, the creation
-- time, the id, a byte that says whether there are a causation and a correlation id, these (zero for null), and the type. Stable,
-- since textsend is; inlined by the planner.
create function /*schema.*/header(version bigint, created_at timestamptz, event_id uuid, causation_id uuid, correlation_id uuid, event_type text)
returns bytea language sql stable as $body$
  select int8send(version) || timestamptz_send(created_at) || uuid_send(event_id)
    || case when causation_id is null and correlation_id is null then decode('00', 'hex')
       else decode('01', 'hex') || uuid_send(coalesce(causation_id, '00000000-0000-0000-0000-000000000000'))
         || uuid_send(coalesce(correlation_id, '00000000-0000-0000-0000-000000000000')) end
    || textsend(event_type)
$body$;

-- place packs where an event is, to stand before its header. Inlined by the planner.
create function /*schema.*/place(append_seq bigint, idx int, stream_id bigint) returns bytea language sql immutable as $body$
  select int8send(append_seq) || int4send(idx) || int8send(stream_id)
$body$;

-- size is how many bytes a reader gets of data or metadata. Where these are long it takes no look at them for bytea, but makes text of jsonb
-- and json. Inlined by the planner, like the following.
create function /*schema.*/size(value bytea) returns bigint language sql immutable as $body$
  select octet_length(value)
$body$;
create function /*schema.*/size(value jsonb) returns bigint language sql stable as $body$
  select octet_length(value::text)
$body$;
create function /*schema.*/size(value json) returns bigint language sql stable as $body$
  select octet_length(value::text)
$body$;

-- weight is a size that costs no look at a long value: of compressed jsonb and json, which may be a hundred times as long as it is stored,
-- more than any page has.
create function /*schema.*/weight(value bytea) returns bigint language sql immutable as $body$
  select octet_length(value)
$body$;
create function /*schema.*/weight(value jsonb) returns bigint language sql stable as $body$
  select case when pg_column_compression(value) is null then pg_column_size(value) else 4611686018427387904 end
$body$;
create function /*schema.*/weight(value json) returns bigint language sql stable as $body$
  select case when pg_column_compression(value) is null then pg_column_size(value) else 4611686018427387904 end
$body$;

-- hex is bytes as text, whatever bytea_output is: never empty. For drivers that can't read bytes otherwise; of jsonb and json the
-- text's bytes. Inlined by the planner.
create function /*schema.*/hex(value bytea) returns text language sql immutable as $body$
  select chr(92) || 'x' || encode(value, 'hex')
$body$;
create function /*schema.*/hex(value jsonb) returns text language sql stable as $body$
  select chr(92) || 'x' || encode(convert_to(value::text, 'UTF8'), 'hex')
$body$;
create function /*schema.*/hex(value json) returns text language sql stable as $body$
  select chr(92) || 'x' || encode(convert_to(value::text, 'UTF8'), 'hex')
$body$;

-- History is not rewritten. A hard delete says so in its own transaction, and only it may delete.
create function /*schema.*/guard() returns trigger language plpgsql as $body$
begin
  if tg_op = 'DELETE' and current_setting('eventstore.hard_delete', true) = 'on' then
    return null;
  end if;
  raise exception 'eventstore: % of % is refused: recorded events do not change', lower(tg_op), tg_table_name
    using errcode = 'restrict_violation', hint = 'Delete streams with the library; hard deletes must be enabled in its options.';
end
$body$;

create trigger guard before update or delete or truncate on /*schema.*/events for each statement execute function /*schema.*/guard();
create trigger guard before update or delete or truncate on /*schema.*/links for each statement execute function /*schema.*/guard();
create trigger guard before update or delete or truncate on /*schema.*/retired for each statement execute function /*schema.*/guard();
create trigger guard before update or delete or truncate on /*schema.*/log for each statement execute function /*schema.*/guard();
-- Of a stream, what the rows above go by does not change. Appends, links and soft deletes set other columns, for which nothing runs.
create trigger guard before update of stream_id, name, created_at or delete or truncate on /*schema.*/streams for each statement execute function /*schema.*/guard();

-- append adds one chunk of an append in one round trip. The first chunk (in_seq is null) compares and sets the stream's
-- row, creates it if it may, and only then draws the append's number: the order of numbers is the order of versions
-- within a stream. It returns nothing if the stream is not as expected or an id is known already: then nothing was
-- written, and the transaction goes on. A function rather than one statement of chained parts: its few plans are kept
-- by the session, and a statement that sees what came before it can look for ids under the stream's lock.
--
-- It plans without sequential scans: sessions keep plans, and one made while the table had a page would read all of it for each id
-- once it has grown, until the server has new statistics. So do append_one, append_group, link and tick.
--
-- Locks: the stream's row, to the end of the transaction; nothing that an append to another stream waits for.
-- Indexes: streams_name_key; events_event_id_key for each id that the caller gave.
create function /*schema.*/append/*of*/(
  in_stream text,
  in_expected bigint,    -- version that the stream must be at, or null for any
  in_create boolean,     -- whether an absent stream is created
  in_total int,          -- events in the whole append
  in_look boolean,       -- whether an id may be known already
  in_ids bytea,          -- ids, 16 bytes each; in the first chunk, if they are looked for, of the whole append
  in_causation bytea,    -- causation ids likewise, zero for none; null if there are none
  in_correlation bytea,
  in_types text[],       -- two rows: the distinct pairs of type and content type, '' for none: arrays hold no null, see array_nulls
  in_data bytea,         -- data of all events
  in_metadata bytea,     -- metadata of all events
  in_cuts int[],         -- five rows: per event its pair of types, start and length of data, start and length (-1: none) of metadata
  in_created bigint[],   -- creation times in microseconds since 1970, or the lowest number for now
  in_seq bigint,         -- for a later chunk: the append's number,
  in_stream_id bigint,   --   the stream's id,
  in_version bigint,     --   its version behind the append,
  in_first int,          --   and the index of the chunk's first event
  out stream_id bigint, out version bigint, out append_seq bigint
) language plpgsql set enable_seqscan = off as $body$
declare
  now_ constant timestamptz := clock_timestamp();
  placed bigint; -- the highest number in the log before this append's own was drawn
begin
  if in_seq is not null then
    stream_id := in_stream_id; version := in_version; append_seq := in_seq;
  else
    if in_look then
      -- Whoever appends the same ids to this stream right now is waited for, and seen by the statement after this one.
      perform from /*schema.*/streams s where s.name = in_stream for no key update;
      if exists (
        select from generate_series(0, in_total - 1) as i (n) cross join lateral (
          select from /*schema.*/events e
          where e.event_id = encode(substring(in_ids from 16 * i.n + 1 for 16), 'hex')::uuid
          offset 0 -- one look-up per id, whatever the planner thinks of the table
        ) as known
      ) then
        return;
      end if;
    end if;
    update /*schema.*/streams s set version = s.version + in_total
    where s.name = in_stream and s.deleted_at is null and (in_expected is null or s.version = in_expected)
    returning s.stream_id, s.version, (select l.append_seq + l.appends - 1 from /*schema.*/log l order by l.append_seq desc limit 1)
    into stream_id, version, placed;
    if stream_id is null and in_create and not exists (select from /*schema.*/streams s where s.name = in_stream) then
      insert into /*schema.*/streams as s (name, version, created_at)
      values (in_stream, in_total, coalesce(/*schema.*/from_micros(in_created[1]), now_))
      on conflict on constraint streams_name_key do update set version = s.version + excluded.version
        where s.deleted_at is null and (in_expected is null or s.version = in_expected)
      returning s.stream_id, s.version, (select l.append_seq + l.appends - 1 from /*schema.*/log l order by l.append_seq desc limit 1)
      into stream_id, version, placed;
    end if;
    if stream_id is null then
      return;
    end if;
    append_seq := nextval('/*schema.*/append_seq');
    if append_seq <= placed or append_seq <= coalesce((select e.append_seq from /*schema.*/events e
                                                       where e.stream_id = append/*of*/.stream_id and e.version = append/*of*/.version - in_total), 0) then
      -- The tick has passed this number: what has it would never be read. Or it would come before the stream's last event.
      raise exception 'eventstore: the sequence append_seq is behind the data' using errcode = 'ESTSQ';
    end if;
  end if;

  insert into /*schema.*/events (append_seq, stream_id, version, created_at, idx, event_id, causation_id, correlation_id, event_type, content_type, data, metadata)
  select append/*of*/.append_seq, append/*of*/.stream_id, append/*of*/.version - in_total + in_first + c.nr::int,
    coalesce(/*schema.*/from_micros(c.created), now_),
    in_first + c.nr::int - 1,
    encode(substring(in_ids from 16 * c.nr::int - 15 for 16), 'hex')::uuid,
    nullif(encode(substring(in_causation from 16 * c.nr::int - 15 for 16), 'hex')::uuid, '00000000-0000-0000-0000-000000000000'),
    nullif(encode(substring(in_correlation from 16 * c.nr::int - 15 for 16), 'hex')::uuid, '00000000-0000-0000-0000-000000000000'),
    in_types[1][c.type],
    nullif(in_types[2][c.type], ''),
    /*schema.*/to_data(substring(in_data from c.data_at for c.data_len)),
    case when c.meta_len >= 0 then /*schema.*/to_data(substring(in_metadata from c.meta_at for c.meta_len)) end
  from unnest(in_cuts[1:1], in_cuts[2:2], in_cuts[3:3], in_cuts[4:4], in_cuts[5:5], in_created)
    with ordinality as c (type, data_at, data_len, meta_at, meta_len, created, nr);
end
$body$;

-- append_one is append for a single event, and the short way for the most frequent of all statements. It returns the
-- stream's new version alone: a function that returns a row costs half as much again.
create function /*schema.*/append_one/*of*/(
  in_stream text, in_expected bigint, in_create boolean, in_look boolean, in_id uuid, in_causation uuid, in_correlation uuid,
  in_type text, in_content_type text, in_data bytea, in_metadata bytea, in_created bigint
) returns bigint language plpgsql set enable_seqscan = off as $body$
declare
  created constant timestamptz := coalesce(/*schema.*/from_micros(in_created), clock_timestamp());
  target bigint;
  new_version bigint;
  seq bigint;
  placed bigint;
begin
  if in_look then
    perform from /*schema.*/streams s where s.name = in_stream for no key update;
    if exists (select from /*schema.*/events e where e.event_id = in_id) then
      return null;
    end if;
  end if;
  update /*schema.*/streams s set version = s.version + 1
  where s.name = in_stream and s.deleted_at is null and (in_expected is null or s.version = in_expected)
  returning s.stream_id, s.version, (select l.append_seq + l.appends - 1 from /*schema.*/log l order by l.append_seq desc limit 1) into target, new_version, placed;
  if target is null and in_create and not exists (select from /*schema.*/streams s where s.name = in_stream) then
    insert into /*schema.*/streams as s (name, version, created_at) values (in_stream, 1, created)
    on conflict on constraint streams_name_key do update set version = s.version + 1
      where s.deleted_at is null and (in_expected is null or s.version = in_expected)
    returning s.stream_id, s.version, (select l.append_seq + l.appends - 1 from /*schema.*/log l order by l.append_seq desc limit 1) into target, new_version, placed;
  end if;
  if target is null then
    return null;
  end if;
  seq := nextval('/*schema.*/append_seq');
  insert into /*schema.*/events (append_seq, stream_id, version, created_at, idx, event_id, causation_id, correlation_id, event_type, content_type, data, metadata)
  select seq, target, new_version, created, 0, in_id, in_causation, in_correlation, in_type, in_content_type, /*schema.*/to_data(in_data), /*schema.*/to_data(in_metadata)
  where (seq <= placed) is not true
    and seq > coalesce((select e.append_seq from /*schema.*/events e where e.stream_id = target and e.version = new_version - 1), 0);
  if not found then -- as in append
    raise exception 'eventstore: the sequence append_seq is behind the data' using errcode = 'ESTSQ';
  end if;
  return new_version;
end
$body$;

-- append_group is append for many appends to different streams, which are committed together. It returns the new version
-- of each stream, null where nothing was written: the stream is not as expected, an id is known, or another session holds
-- the stream's row. The others are written all the same.
--
-- Locks: the rows of the streams, to the end of the transaction. It does not wait for one that is there (skip locked), so
-- nobody's transaction holds up the group, and no two groups wait for each other. It does wait for a session that is just
-- creating one of the streams, in the order of names, but not longer than lock_timeout. Only then are numbers drawn.
-- Indexes: streams_name_key, streams_pkey; events_version_key for the last event of each stream; events_event_id_key for
-- each id that a caller gave. No plan but these whatever the planner thinks of the tables: hence enable_seqscan.
create function /*schema.*/append_group/*of*/(
  in_streams text[],     -- per append
  in_expected bigint[],  --   the version that the stream must be at, or -1 for any
  in_create boolean[],   --   whether an absent stream is created,
  in_begun bigint[],     --   and with which creation time, as in append
  in_look boolean[],     --   whether an id may be known already
  in_totals int[],       --   events in it
  in_ids bytea, in_causation bytea, in_correlation bytea, in_types text[], in_data bytea, in_metadata bytea, -- as in append, of all
  in_cuts int[],         -- as in append, and two more rows: per event its append, from 1, and its place in it, from 0
  in_created bigint[]
) returns bigint[] language plpgsql set lock_timeout = '50ms' set enable_seqscan = off as $body$
declare
  now_ constant timestamptz := clock_timestamp();
  known int[] = '{}'; -- appends of which an id is known
  ids bigint[];       -- per append the id of its stream, null if nothing is written,
  versions bigint[];  --   the stream's version behind it,
  seqs bigint[];      --   and its number
begin
  select array_agg(s.stream_id order by r.nr), array_agg(s.version + r.total order by r.nr) into ids, versions
  from unnest(in_streams, in_expected, in_totals) with ordinality as r (stream, expected, total, nr)
  left join lateral (
    select t.stream_id, t.version from /*schema.*/streams t
    where t.name = r.stream and t.deleted_at is null and (r.expected = -1 or t.version = r.expected)
    for no key update skip locked
  ) as s on true;
  if true = any (in_look) then
    -- After the locks: whoever has appended the same ids to the same stream has committed.
    select coalesce(array_agg(distinct c.req), '{}') into known
    from unnest(in_cuts[6:6]) with ordinality as c (req, nr) cross join lateral (
      select from /*schema.*/events e
      where e.event_id = encode(substring(in_ids from 16 * c.nr::int - 15 for 16), 'hex')::uuid
      offset 0
    ) as e
    where in_look[c.req];
  end if;
  if known <> '{}' or array_position(ids, null) is not null then
    with created as (
      insert into /*schema.*/streams as s (name, version, created_at)
      select r.stream, r.total, coalesce(/*schema.*/from_micros(r.begun), now_)
      from unnest(in_streams, in_create, in_begun, in_totals, ids) with ordinality as r (stream, may, begun, total, id, nr)
      where r.id is null and r.may and r.nr <> all (known)
        and (select true from /*schema.*/streams t where t.name = r.stream) is null
      order by r.stream collate "C"
      on conflict on constraint streams_name_key do nothing
      returning s.stream_id, s.name
    )
    select array_agg(coalesce(n.stream_id, r.id) order by r.nr),
      array_agg(case when n.stream_id is null then r.version else r.total end order by r.nr)
    into ids, versions
    from (
      select i.stream, i.total, i.version, i.nr, case when i.nr <> all (known) then i.id end as id
      from unnest(in_streams, in_totals, ids, versions) with ordinality as i (stream, total, id, version, nr)
    ) as r left join created n on n.name = r.stream;
  end if;
  update /*schema.*/streams s set version = versions[array_position(ids, s.stream_id)]
  where s.stream_id = any (ids) and s.version <> versions[array_position(ids, s.stream_id)];
  select array_agg(case when r.id is not null then nextval('/*schema.*/append_seq') end order by r.nr) into seqs
  from unnest(ids) with ordinality as r (id, nr);
  if exists (
    select from unnest(ids, versions, in_totals, seqs) as r (id, version, total, seq)
    where r.seq <= (select l.append_seq + l.appends - 1 from /*schema.*/log l order by l.append_seq desc limit 1)
      or r.seq <= (select e.append_seq from /*schema.*/events e where e.stream_id = r.id and e.version = r.version - r.total)
  ) then
    raise exception 'eventstore: the sequence append_seq is behind the data' using errcode = 'ESTSQ'; -- as in append
  end if;
  insert into /*schema.*/events (append_seq, stream_id, version, created_at, idx, event_id, causation_id, correlation_id, event_type, content_type, data, metadata)
  select seqs[c.req], ids[c.req], versions[c.req] - in_totals[c.req] + c.idx + 1, coalesce(/*schema.*/from_micros(c.created), now_), c.idx,
    encode(substring(in_ids from 16 * c.nr::int - 15 for 16), 'hex')::uuid,
    nullif(encode(substring(in_causation from 16 * c.nr::int - 15 for 16), 'hex')::uuid, '00000000-0000-0000-0000-000000000000'),
    nullif(encode(substring(in_correlation from 16 * c.nr::int - 15 for 16), 'hex')::uuid, '00000000-0000-0000-0000-000000000000'),
    in_types[1][c.type],
    nullif(in_types[2][c.type], ''),
    /*schema.*/to_data(substring(in_data from c.data_at for c.data_len)),
    case when c.meta_len >= 0 then /*schema.*/to_data(substring(in_metadata from c.meta_at for c.meta_len)) end
  from unnest(in_cuts[1:1], in_cuts[2:2], in_cuts[3:3], in_cuts[4:4], in_cuts[5:5], in_cuts[6:6], in_cuts[7:7], in_created)
    with ordinality as c (type, data_at, data_len, meta_at, meta_len, req, idx, created, nr)
  where ids[c.req] is not null;
  return (select array_agg(case when r.id is not null then r.version end order by r.nr) from unnest(ids, versions) with ordinality as r (id, version, nr));
end
$body$;

-- append_all is append for several streams, all or none. It returns three rows: the ids of the streams, their new versions, and the
-- numbers of the appends, which go up in the order of the arguments. It returns null if a stream is not as expected, or an id is known:
-- nothing was written then, and the transaction goes on. It raises ESTAL if another session has created one of the streams since it
-- looked. It writes the first events of each append; the function append writes the others, as later chunks.
--
-- Locks: the rows of the streams, to the end of the transaction: those that are there in the order of their names, then those that it
-- creates, in that order. So two calls don't wait for each other. Neither do a call and append_group, which waits for new streams only,
-- in the same order. Numbers are drawn under the locks.
-- Indexes: as append_group.
create function /*schema.*/append_all/*of*/(
  in_streams text[],     -- per append, no stream twice
  in_expected bigint[],  --   the version that the stream must be at, or -1 for any
  in_create boolean[],   --   whether an absent stream is created,
  in_begun bigint[],     --   and with which creation time, as in append
  in_look bytea,         -- ids that may be known already, 16 bytes each, also of events that later chunks have; null if there are none
  in_totals int[],       -- per append, the events in it
  in_ids bytea, in_causation bytea, in_correlation bytea, in_types text[], in_data bytea, in_metadata bytea, -- as in append, of all
  in_cuts int[],         -- as in append_group
  in_created bigint[]
) returns bigint[] language plpgsql set enable_seqscan = off as $body$
declare
  now_ constant timestamptz := clock_timestamp();
  expected boolean;   -- every stream is as expected
  ids bigint[];       -- per append the id of its stream,
  versions bigint[];  --   the stream's version behind it,
  seqs bigint[];      --   and its number
begin
  select bool_and(case when s.stream_id is null then r.may else s.deleted_at is null and (r.expected = -1 or s.version = r.expected) end),
    array_agg(s.stream_id order by r.nr), array_agg(s.version + r.total order by r.nr)
  into expected, ids, versions
  from (
    select i.stream, i.expected, i.may, i.total, i.nr
    from unnest(in_streams, in_expected, in_create, in_totals) with ordinality as i (stream, expected, may, total, nr)
    order by i.stream collate "C"
  ) as r left join lateral (
    select t.stream_id, t.version, t.deleted_at from /*schema.*/streams t where t.name = r.stream for no key update
  ) as s on true;
  if not expected then
    return null;
  end if;
  -- After the locks: a session that has appended the same ids to one of the streams has committed.
  if exists (
    select from generate_series(0, length(in_look) / 16 - 1) as i (n) cross join lateral (
      select from /*schema.*/events e where e.event_id = encode(substring(in_look from 16 * i.n + 1 for 16), 'hex')::uuid
      offset 0
    ) as known
  ) then
    return null;
  end if;
  if array_position(ids, null) is not null then
    with drawn as materialized ( -- ids go up in the order of the call
      select r.stream, r.begun, r.total, /*schema.*/new_stream_id/*of*/() as id
      from unnest(in_streams, in_begun, in_totals, ids) with ordinality as r (stream, begun, total, id, nr)
      where r.id is null
    ), created as (
      insert into /*schema.*/streams as s (stream_id, name, version, created_at)
      select d.id, d.stream, d.total, coalesce(/*schema.*/from_micros(d.begun), now_) from drawn d order by d.stream collate "C"
      on conflict on constraint streams_name_key do nothing
      returning s.stream_id, s.name
    )
    select array_agg(coalesce(r.id, n.stream_id) order by r.nr), array_agg(coalesce(r.version, r.total) order by r.nr) into ids, versions
    from unnest(in_streams, in_totals, ids, versions) with ordinality as r (stream, total, id, version, nr)
      left join created n on n.name = r.stream;
    if array_position(ids, null) is not null then
      raise exception 'eventstore: another session has created a stream' using errcode = 'ESTAL';
    end if;
  end if;
  update /*schema.*/streams s set version = versions[array_position(ids, s.stream_id)]
  where s.stream_id = any (ids) and s.version <> versions[array_position(ids, s.stream_id)];
  select array_agg(nextval('/*schema.*/append_seq') order by r.nr) into seqs from unnest(ids) with ordinality as r (id, nr);
  if exists (
    select from unnest(ids, versions, in_totals, seqs) as r (id, version, total, seq)
    where r.seq <= (select l.append_seq + l.appends - 1 from /*schema.*/log l order by l.append_seq desc limit 1)
      or r.seq <= (select e.append_seq from /*schema.*/events e where e.stream_id = r.id and e.version = r.version - r.total)
  ) then
    raise exception 'eventstore: the sequence append_seq is behind the data' using errcode = 'ESTSQ'; -- as in append
  end if;
  insert into /*schema.*/events (append_seq, stream_id, version, created_at, idx, event_id, causation_id, correlation_id, event_type, content_type, data, metadata)
  select seqs[c.req], ids[c.req], versions[c.req] - in_totals[c.req] + c.idx + 1, coalesce(/*schema.*/from_micros(c.created), now_), c.idx,
    encode(substring(in_ids from 16 * c.nr::int - 15 for 16), 'hex')::uuid,
    nullif(encode(substring(in_causation from 16 * c.nr::int - 15 for 16), 'hex')::uuid, '00000000-0000-0000-0000-000000000000'),
    nullif(encode(substring(in_correlation from 16 * c.nr::int - 15 for 16), 'hex')::uuid, '00000000-0000-0000-0000-000000000000'),
    in_types[1][c.type],
    nullif(in_types[2][c.type], ''),
    /*schema.*/to_data(substring(in_data from c.data_at for c.data_len)),
    case when c.meta_len >= 0 then /*schema.*/to_data(substring(in_metadata from c.meta_at for c.meta_len)) end
  from unnest(in_cuts[1:1], in_cuts[2:2], in_cuts[3:3], in_cuts[4:4], in_cuts[5:5], in_cuts[6:6], in_cuts[7:7], in_created)
    with ordinality as c (type, data_at, data_len, meta_at, meta_len, req, idx, created, nr);
  return array[ids, versions, seqs];
end
$body$;

-- append_all_in_tx is append_all for a transaction that goes on whatever happens. It returns null also when another session commits one
-- of the ids, or creates one of the streams, while this one waits for it. What was locked and written is undone then.
create function /*schema.*/append_all_in_tx/*of*/(
  in_streams text[], in_expected bigint[], in_create boolean[], in_begun bigint[], in_look bytea, in_totals int[],
  in_ids bytea, in_causation bytea, in_correlation bytea, in_types text[], in_data bytea, in_metadata bytea, in_cuts int[], in_created bigint[]
) returns bigint[] language plpgsql as $body$
declare
  places bigint[];
  violated text;
begin
  places := /*schema.*/append_all/*of*/(in_streams, in_expected, in_create, in_begun, in_look, in_totals, in_ids, in_causation, in_correlation,
    in_types, in_data, in_metadata, in_cuts, in_created);
  if places is null then
    raise exception 'eventstore: refused' using errcode = 'ESTAL'; -- gives the locks back
  end if;
  return places;
exception when unique_violation or sqlstate 'ESTAL' then
  get stacked diagnostics violated = constraint_name;
  if violated not in ('', 'events_event_id_key') then
    raise;
  end if;
  return null;
end
$body$;

-- await_stream returns when no other session holds the row of a stream, or is creating the stream. It holds nothing afterwards, if it is
-- a transaction by itself. Index: streams_name_key.
create function /*schema.*/await_stream/*of*/(in_stream text) returns void language plpgsql set enable_seqscan = off as $body$
begin
  perform from /*schema.*/streams s where s.name = in_stream for no key update;
  if not found then
    insert into /*schema.*/streams (name, version, created_at) values (in_stream, 0, clock_timestamp())
    on conflict on constraint streams_name_key do nothing;
    raise exception 'eventstore: undone' using errcode = 'ESTAL';
  end if;
exception when sqlstate 'ESTAL' then
  null;
end
$body$;

-- append_in_tx is append for a caller's transaction and ids that may be known: it also returns nothing when another
-- session commits one of the ids while this one waits for it. Without it that would abort the transaction.
create function /*schema.*/append_in_tx/*of*/(
  in_stream text, in_expected bigint, in_create boolean, in_total int, in_look boolean, in_ids bytea, in_causation bytea,
  in_correlation bytea, in_types text[], in_data bytea, in_metadata bytea, in_cuts int[], in_created bigint[],
  in_seq bigint, in_stream_id bigint, in_version bigint, in_first int,
  out stream_id bigint, out version bigint, out append_seq bigint
) language plpgsql as $body$
declare
  violated text;
begin
  select a.stream_id, a.version, a.append_seq into stream_id, version, append_seq
  from /*schema.*/append/*of*/(in_stream, in_expected, in_create, in_total, in_look, in_ids, in_causation, in_correlation, in_types,
    in_data, in_metadata, in_cuts, in_created, in_seq, in_stream_id, in_version, in_first) as a;
exception when unique_violation then
  get stacked diagnostics violated = constraint_name;
  if violated <> 'events_event_id_key' then
    raise;
  end if;
  stream_id := null; version := null; append_seq := null;
end
$body$;

-- link adds links to a stream: it compares and sets the target's row, or creates it if it may, and adds the links. It
-- returns nothing if the target is not as expected or an event is in it already: nothing was written then, and the
-- transaction goes on. Locks: the target's row. Indexes: streams_name_key, links_event_key.
create function /*schema.*/link/*of*/(
  in_stream text, in_expected bigint, in_create boolean,
  in_seqs bigint[], in_idxs int[],  -- append_seq and idx of the events
  out version bigint
) language plpgsql set enable_seqscan = off as $body$
declare
  total constant int := cardinality(in_seqs);
  target bigint;
  violated text;
begin
  update /*schema.*/streams s set version = s.version + total, linked = true
  where s.name = in_stream and s.deleted_at is null and (in_expected is null or s.version = in_expected)
  returning s.stream_id, s.version into target, version;
  if target is null and in_create and not exists (select from /*schema.*/streams s where s.name = in_stream) then
    insert into /*schema.*/streams as s (name, version, created_at, linked)
    values (in_stream, total, clock_timestamp(), true)
    on conflict on constraint streams_name_key do update set version = s.version + excluded.version, linked = true
      where s.deleted_at is null and (in_expected is null or s.version = in_expected)
    returning s.stream_id, s.version into target, version;
  end if;
  if exists (
    select from unnest(in_seqs, in_idxs) as i (append_seq, idx) cross join lateral (
      select e.stream_id from /*schema.*/events e where e.append_seq = i.append_seq and e.idx = i.idx offset 0
    ) as own where own.stream_id = target
  ) then
    raise unique_violation; -- the stream was created with the event itself since the caller looked
  end if;
  insert into /*schema.*/links (stream_id, version, append_seq, idx)
  select target, link/*of*/.version - total + i.nr, i.append_seq, i.idx
  from unnest(in_seqs, in_idxs) with ordinality as i (append_seq, idx, nr)
  where target is not null;
exception when unique_violation then
  get stacked diagnostics violated = constraint_name;
  if violated = 'streams_pkey' then
    raise exception 'eventstore: the sequence stream_seq is behind the data' using errcode = 'ESTSQ';
  end if;
  version := null;
end
$body$;

-- hard_delete removes a stream whose row the transaction has locked, its events everywhere, its own links, the snapshot of the source
-- of its name, and what projections and subscriptions have parked of it, or on it; those that run them are made to look. It is one
-- round trip, so that nothing else in the transaction is ever permitted to delete. The lock was taken by a statement
-- before, so this one sees every event of the stream; at an isolation level that keeps an older view it might not.
-- Projections and parked_changes are locked before what is parked, as by all who change that, and in one order.
-- A row of the log that another hard delete has split, and not committed yet, is left as it is: its readers pass over positions
-- without events.
-- Indexes: events_version_key, links_event_key, links_pkey, log_append_seq_key, streams_pkey, snapshots_pkey, parked_stream_idx, parked_pkey.
create function /*schema.*/hard_delete/*of*/(in_stream_id bigint) returns void language plpgsql set enable_seqscan = off as $body$
declare
  stream_name constant text := (select s.name from /*schema.*/streams s where s.stream_id = in_stream_id);
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'eventstore: a hard delete needs read committed' using errcode = 'ESTRC';
  end if;
  perform set_config('eventstore.hard_delete', 'on', true);
  with gone as (
    delete from /*schema.*/events e where e.stream_id = in_stream_id returning e.append_seq, e.idx
  ), gone_links as (
    delete from /*schema.*/links l using gone g where l.append_seq = g.append_seq and l.idx = g.idx and l.stream_id <> in_stream_id
  ), own_links as (
    delete from /*schema.*/links l where l.stream_id = in_stream_id
  ), placed as (
    select g.append_seq, r.position from gone g cross join lateral (
      select l.position, l.append_seq, l.append_seq + l.appends as behind
      from /*schema.*/log l where l.append_seq <= g.append_seq order by l.append_seq desc limit 1
    ) as r
    where g.idx = 0 and g.append_seq < r.behind
      -- These two say where the head is, and how far the tick has looked.
      and r.position < (select max(m.position) from /*schema.*/log m)
      and r.append_seq < (select max(m.append_seq) from /*schema.*/log m)
  ), taken as (
    select l.position, p.seqs from (select p.position, array_agg(p.append_seq) as seqs from placed p group by p.position) as p
      cross join lateral (select k.position from /*schema.*/log k where k.position = p.position for update skip locked) as l
  ), gone_log as (
    delete from /*schema.*/log l using taken t where l.position = t.position
    returning l.position, l.append_seq, l.placed_at, l.n, l.appends, t.seqs
  ), edges as (
    select o.position, o.append_seq, o.placed_at, o.n, o.appends, u.at
    from gone_log o cross join lateral unnest(o.seqs || (o.append_seq + o.appends)) as u (at)
  ), pieces as (
    select e.*, lag(e.at, 1, e.append_seq - 1) over (partition by e.append_seq order by e.at) + 1 as first_seq from edges e
  ), left_over as (
    insert into /*schema.*/log (position, append_seq, placed_at, n, appends)
    select p.position + (p.first_seq - p.append_seq) * p.n, p.first_seq, p.placed_at, p.n, p.at - p.first_seq
    from pieces p where p.first_seq < p.at
  )
  delete from /*schema.*/streams s where s.stream_id = in_stream_id;
  delete from /*schema.*/snapshots n where n.source_id = stream_name;
  with affected as (
    select p.name from /*schema.*/projections p
    where p.name in (select k.reader from /*schema.*/parked k where k.reader_stream = '' and k.stream = stream_name)
      or p.stream = stream_name and exists (select from /*schema.*/parked k where k.reader_stream = '' and k.reader = p.name)
    order by p.name for update
  )
  update /*schema.*/projections p set changes = p.changes + 1 from affected a where p.name = a.name;
  insert into /*schema.*/parked_changes as c (reader_stream, reader, changes)
  select k.reader_stream, k.reader, 1 from /*schema.*/parked k
  where k.reader_stream <> '' and k.stream = stream_name or k.reader_stream = stream_name
  group by k.reader_stream, k.reader order by k.reader_stream, k.reader
  on conflict on constraint parked_changes_pkey do update set changes = c.changes + 1;
  delete from /*schema.*/parked k where k.stream = stream_name;
  delete from /*schema.*/parked k where k.reader_stream = stream_name;
  delete from /*schema.*/parked k using /*schema.*/projections p where p.stream = stream_name and k.reader_stream = '' and k.reader = p.name;
  insert into /*schema.*/retired (kind, id)
  select 'stream', in_stream_id
  where not exists (select from /*schema.*/streams s where s.stream_id > in_stream_id)
    and not exists (select from /*schema.*/retired r where r.kind = 'stream' and r.id >= in_stream_id);
  perform set_config('eventstore.hard_delete', 'off', true);
end
$body$;

-- ended returns the oldest transaction that was running at a snapshot and has ended at a later one. Transactions that the
-- older one says nothing of count as ended. Without an older one it is below every fence. In PL/pgSQL, as all that is not inlined: a
-- session plans a function in SQL anew at each call.
create function /*schema.*/ended(since pg_snapshot, now pg_snapshot) returns xid8 language plpgsql immutable as $body$
begin
  if since is null or pg_snapshot_xmax(since) > pg_snapshot_xmax(now) then
    return '0'::xid8;
  end if;
  return (select x.id from (
    (select pg_snapshot_xip(since) except select pg_snapshot_xip(now)) union all select pg_snapshot_xmax(since)
  ) as x (id) order by x.id limit 1); -- PostgreSQL 14 has no min of xid8
end
$body$;

-- advance lets a sequence go on behind lowest. In small steps where it is close: a number that another session draws at the
-- same time must not be drawn again.
create function /*schema.*/advance(seq regclass, last bigint, lowest bigint) returns void language plpgsql as $body$
begin
  if last >= lowest is not false then
    return;
  end if;
  if lowest - last > 10000 then
    perform setval(seq, lowest - 5000);
  end if;
  while nextval(seq) < lowest loop
  end loop;
end
$body$;

-- tick gives committed appends their places in the log. It returns how many it placed, -1 if another tick is running and
-- wait is false, and the snapshot it saw. One round trip, so that a client that stops cannot stop it half-way.
--
-- Why nothing is missed or moved: a place is given only to an append that is visible, and places only grow. Why a stream
-- stays in order: whoever sees version n+1 sees version n, and both are placed by append_seq, drawn under the stream's
-- row lock. Why a hole may be forgotten: the owner of a number has a transaction id before it draws (it writes the
-- stream's row first); the number was drawn before the snapshot that missed it, and the fence is a transaction id
-- assigned after that snapshot. So once the fence is older than every running transaction, the owner has ended.
--
-- since is the snapshot of an earlier tick, or null. A hole that was open then can have been filled only if its owner,
-- which is older than its fence, has ended since then. So holes whose fence is below the oldest transaction that has ended
-- since are passed over, and one old transaction does not make each tick look at every hole.
-- Without sequential scans a look at a sequence, which has no other, seems to cost so much that each call would be compiled.
create function /*schema.*/tick/*of*/(most bigint, wait boolean, since pg_snapshot, out placed bigint, out seen pg_snapshot)
language plpgsql set enable_seqscan = off set enable_hashagg = off set enable_sort = off set jit = off set plan_cache_mode = force_generic_plan as $body$
declare
  lock_key constant bigint := hashtextextended('eventstore tick /*schema_text*/', 0);
  head_position bigint;
  head_seq bigint;
  now_ timestamptz; -- when these positions are given, and at first when the last was
  newest bigint;
  drawn bigint; stream_drawn bigint; -- by sequences
  newest_stream bigint;
  -- Runs of appends that are to be placed: neighbours with as many events, in the same hole, or fresh.
  first_seqs bigint[]; sizes int[]; counts int[];
  before bigint[]; -- the append before each of them
  in_holes bigint[]; -- the hole that each of them was in, null for fresh
  dead bigint[];
  strange boolean;
  fence_now xid8;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'eventstore: a tick needs read committed' using errcode = 'ESTRC';
  end if;
  if pg_current_xact_id_if_assigned() is not null then
    -- An id assigned before the snapshot below is no fence.
    raise exception 'eventstore: a tick needs a transaction of its own' using errcode = 'ESTTX';
  end if;
  if wait then
    perform pg_advisory_xact_lock(lock_key);
  elsif not pg_try_advisory_xact_lock(lock_key) then
    placed := -1;
    return;
  end if;
  -- A place that somebody has seen must survive a crash, however lazily appends are committed.
  perform set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off';

  -- From here on, every statement has a snapshot of its own, taken after the lock. Indexes: log_pkey, log_append_seq_key.
  select coalesce((select l.position + l.n::bigint * l.appends - 1 from /*schema.*/log l order by l.position desc limit 1), 0),
    coalesce((select l.append_seq + l.appends - 1 from /*schema.*/log l order by l.append_seq desc limit 1), 0),
    (select l.placed_at from /*schema.*/log l order by l.position desc limit 1)
  into head_position, head_seq, now_;

  -- One statement, one snapshot. Indexes: events_pkey for fresh, which is walked in its order until there are enough, and for each
  -- hole; holes_fence_idx.
  with fresh as (
    select e.append_seq, count(*)::int as n from /*schema.*/events e
    where e.append_seq > head_seq group by e.append_seq order by e.append_seq limit most
  ), late as (
    select o.first_seq, s.append_seq, s.n from /*schema.*/holes o cross join lateral (
      select e.append_seq, count(*)::int as n from /*schema.*/events e
      where e.append_seq between o.first_seq and o.last_seq group by e.append_seq order by e.append_seq
      offset 0 -- each hole by itself
    ) as s
    where o.fence >= (select /*schema.*/ended(since, pg_current_snapshot()))
      or o.fence < pg_snapshot_xmin(pg_current_snapshot()) -- about to be forgotten
      or o.fence is null
  ), appends as (
    select l.append_seq, l.n, l.first_seq as hole from late l union all select f.append_seq, f.n, null from fresh f
  ), neighbours as (
    select a.append_seq, a.n, a.hole, row_number() over w as nr, lag(a.append_seq) over w as before,
      lag(a.n) over w as before_n, lag(a.hole) over w as before_hole
    from appends a window w as (order by a.append_seq)
  ), runs as (
    select b.append_seq, b.n, b.hole, b.before, (lead(b.nr, 1, (select count(*) + 1 from appends)) over (order by b.nr) - b.nr)::int as count
    from neighbours b where b.before is distinct from b.append_seq - 1 or b.before_n <> b.n or b.before_hole is distinct from b.hole
  )
  select
    array_agg(r.append_seq order by r.append_seq), array_agg(r.n order by r.append_seq), array_agg(r.count order by r.append_seq),
    array_agg(r.before order by r.append_seq), array_agg(r.hole order by r.append_seq), coalesce(sum(r.count), 0),
    (select array_agg(o.first_seq) from /*schema.*/holes o where o.fence < pg_snapshot_xmin(pg_current_snapshot())),
    -- A fence of the future is another server's, from before a restore. It says nothing here.
    exists (select from /*schema.*/holes o where o.fence is null)
      or exists (select from /*schema.*/holes o where o.fence >= pg_snapshot_xmax(pg_current_snapshot())),
    (select max(e.append_seq) from /*schema.*/events e),
    (select q.last_value from /*schema.*/append_seq q),
    greatest((select max(s.stream_id) from /*schema.*/streams s), (select max(d.id) from /*schema.*/retired d where d.kind = 'stream')),
    (select q.last_value from /*schema.*/stream_seq q),
    pg_current_snapshot()
  from runs r
  into first_seqs, sizes, counts, before, in_holes, placed, dead, strange, newest, drawn, newest_stream, stream_drawn, seen;

  -- Sequences behind the data (a restore by other means than pg_dump) would number new appends as if they were old.
  -- What a sequence has drawn is read after the snapshot, so that it is behind nothing that others append meanwhile.
  if drawn < greatest(head_seq, newest) then
    perform /*schema.*/advance('/*schema.*/append_seq', drawn, greatest(head_seq, newest));
  end if;
  if stream_drawn < newest_stream then
    perform /*schema.*/advance('/*schema.*/stream_seq', stream_drawn, newest_stream);
  end if;

  if placed = 0 and dead is null and not strange then
    return;
  end if;

  fence_now := pg_current_xact_id(); -- assigned after the snapshot above

  now_ := greatest(clock_timestamp(), now_); -- the clock of this server may be behind that of the one before
  insert into /*schema.*/log (position, append_seq, placed_at, n, appends)
  select head_position + 1 + sum(r.n::bigint * r.count) over (order by r.append_seq) - r.n::bigint * r.count, r.append_seq, now_, r.n, r.count
  from unnest(first_seqs, sizes, counts) as r (append_seq, n, count);

  if dead is not null then
    delete from /*schema.*/holes o where o.first_seq = any (dead);
  end if;
  if strange then
    update /*schema.*/holes o set fence = fence_now
    where o.fence is null or o.fence >= pg_snapshot_xmax(pg_current_snapshot());
  end if;
  if in_holes[1] is not null then -- what is in holes comes before what is fresh
    -- What is left of a hole around the numbers that were filled keeps its fence.
    with filled as (
      delete from /*schema.*/holes o where o.first_seq = any (in_holes) returning o.first_seq, o.last_seq, o.fence
    ), edges as (
      select o.first_seq, o.fence, r.append_seq as at, r.append_seq + r.count as behind
      from filled o join unnest(first_seqs, counts, in_holes) as r (append_seq, count, hole) on r.hole = o.first_seq
      union all
      select o.first_seq, o.fence, o.last_seq + 1, null from filled o
    ), pieces as (
      select lag(e.behind, 1, e.first_seq) over (partition by e.first_seq order by e.at) as from_seq, e.at - 1 as to_seq, e.fence
      from edges e
    )
    insert into /*schema.*/holes (first_seq, last_seq, fence)
    select p.from_seq, p.to_seq, p.fence from pieces p where p.from_seq <= p.to_seq;
  end if;
  -- What is missing below the highest number seen is a hole.
  insert into /*schema.*/holes (first_seq, last_seq, fence)
  select greatest(r.before, head_seq) + 1, r.append_seq - 1, fence_now
  from unnest(first_seqs, before, in_holes) as r (append_seq, before, hole)
  where r.hole is null and r.append_seq > greatest(r.before, head_seq) + 1;

  if placed > 0 then
    perform pg_notify('/*channel*/', '');
  end if;
end
$body$;

-- For people: events with the names of their streams, and data as text. The library does not use what follows.

-- shown makes text of data or metadata. Bytes that are no text in UTF-8 are shown in hex, as PostgreSQL shows bytes. The backslash is not
-- written as one: what that means in a literal is a setting.
create function /*schema.*/shown(value bytea) returns text language plpgsql stable strict as $body$
begin
  return convert_from(value, 'UTF8');
exception when character_not_in_repertoire or untranslatable_character then
  return chr(92) || 'x' || encode(value, 'hex');
end
$body$;
create function /*schema.*/shown(value jsonb) returns text language sql stable as $body$
  select value::text
$body$;
create function /*schema.*/shown(value json) returns text language sql stable as $body$
  select value::text
$body$;

-- The position of an event that no tick has placed yet is null. A position is computed, so that no index leads from it to an event:
-- recorded_from does.
-- Indexes, by stream: streams_name_key, events_version_key, and for each event log_append_seq_key.
create view /*schema.*/recorded as
select case when e.append_seq < l.append_seq + l.appends then l.position + (e.append_seq - l.append_seq) * l.n + e.idx end as position,
  s.name as stream, e.version, e.event_type, e.created_at, e.event_id, e.content_type, /*schema.*/shown(e.data) as data, /*schema.*/shown(e.metadata) as metadata
from /*schema.*/events e join /*schema.*/streams s on s.stream_id = e.stream_id
  left join lateral (
    select k.position, k.append_seq, k.n, k.appends from /*schema.*/log k where k.append_seq <= e.append_seq order by k.append_seq desc limit 1
  ) as l on true;

-- recorded_from returns the events at n positions from the first on, in order. A first below 0 counts from the end: -10 is the tenth
-- from the last. Its body is parsed when it is made, so that it belongs to its tables under whatever name their schema has. It is
-- made in a do block, since tools that cut files into statements, and some drivers, don't know such bodies.
-- Indexes: log_pkey, events_pkey, streams_pkey.
do $body$
begin
  execute $create$
create function /*schema.*/recorded_from(first bigint, n bigint default 100) returns setof /*schema.*/recorded
language sql stable set enable_seqscan = off set jit = off
begin atomic
  with wanted as materialized (
    select case when recorded_from.first >= 0 then recorded_from.first else recorded_from.first + 1 + coalesce(
      (select k.position + k.n::bigint * k.appends - 1 from /*schema.*/log k order by k.position desc limit 1), 0) end as position
  )
  select l.position + (e.append_seq - l.append_seq) * l.n + e.idx, s.name, e.version, e.event_type, e.created_at, e.event_id, e.content_type,
    /*schema.*/shown(e.data), /*schema.*/shown(e.metadata)
  from wanted w cross join lateral (
    select k.position, k.append_seq, k.n, k.appends from /*schema.*/log k
    where k.position < w.position + recorded_from.n
      and k.position >= coalesce((select b.position from /*schema.*/log b where b.position <= w.position order by b.position desc limit 1), 0)
    offset 0
  ) as l cross join lateral (
    select v.append_seq, v.idx, v.stream_id, v.version, v.event_type, v.created_at, v.event_id, v.content_type, v.data, v.metadata
    from /*schema.*/events v where v.append_seq >= l.append_seq and v.append_seq < l.append_seq + l.appends
    offset 0
  ) as e cross join lateral (
    select t.name from /*schema.*/streams t where t.stream_id = e.stream_id offset 0
  ) as s
  where l.position + (e.append_seq - l.append_seq) * l.n + e.idx >= w.position
    and l.position + (e.append_seq - l.append_seq) * l.n + e.idx < w.position + recorded_from.n
  order by 1;
end
$create$;
end
$body$;
