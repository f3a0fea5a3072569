-- For development: removes the store's tables and all events in them.
drop function /*schema.*/tick(bigint, boolean, pg_snapshot);
drop function /*schema.*/advance(regclass, bigint, bigint);
drop function /*schema.*/ended(pg_snapshot, pg_snapshot);
drop function /*schema.*/hard_delete(bigint);
drop function /*schema.*/link(text, bigint, boolean, bigint[], int[]);
drop function /*schema.*/append_in_tx(text, bigint, boolean, int, boolean, bytea, bytea, bytea, text[], bytea, bytea, int[], bigint[], bigint, bigint, bigint, int);
drop function /*schema.*/append_group(text[], bigint[], boolean[], bigint[], boolean[], int[], bytea, bytea, bytea, text[], bytea, bytea, int[], bigint[]);
drop function /*schema.*/append_one(text, bigint, boolean, boolean, uuid, uuid, uuid, text, text, bytea, bytea, bigint);
drop function /*schema.*/append(text, bigint, boolean, int, boolean, bytea, bytea, bytea, text[], bytea, bytea, int[], bigint[], bigint, bigint, bigint, int);
drop table /*schema.*/streams, /*schema.*/events, /*schema.*/links, /*schema.*/log, /*schema.*/store, /*schema.*/holes;
drop function /*schema.*/guard();
drop function /*schema.*/place(bigint, int, bigint);
drop function /*schema.*/header(bigint, timestamptz, uuid, uuid, uuid, text);
drop function /*schema.*/to_data(bytea);
drop function /*schema.*/from_micros(bigint);
drop sequence /*schema.*/append_seq, /*schema.*/stream_seq;
