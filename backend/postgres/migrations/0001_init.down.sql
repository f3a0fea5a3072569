-- For development: removes the store's tables and all events in them.
drop function /*schema.*/tick/*of*/(bigint, boolean, pg_snapshot);
drop function /*schema.*/advance(regclass, bigint, bigint);
drop function /*schema.*/ended(pg_snapshot, pg_snapshot);
drop function /*schema.*/hard_delete/*of*/(bigint);
drop function /*schema.*/link/*of*/(text, bigint, boolean, bigint[], int[]);
drop function /*schema.*/append_in_tx/*of*/(text, bigint, boolean, int, boolean, bytea, bytea, bytea, text[], bytea, bytea, int[], bigint[], bigint, bigint, bigint, int);
drop function /*schema.*/append_group/*of*/(text[], bigint[], boolean[], bigint[], boolean[], int[], bytea, bytea, bytea, text[], bytea, bytea, int[], bigint[]);
drop function /*schema.*/append_one/*of*/(text, bigint, boolean, boolean, uuid, uuid, uuid, text, text, bytea, bytea, bigint);
drop function /*schema.*/append/*of*/(text, bigint, boolean, int, boolean, bytea, bytea, bytea, text[], bytea, bytea, int[], bigint[], bigint, bigint, bigint, int);
drop table /*schema.*/streams, /*schema.*/events, /*schema.*/links, /*schema.*/log, /*schema.*/store, /*schema.*/holes, /*schema.*/retired;
drop function /*schema.*/new_stream_id/*of*/();
drop function /*schema.*/guard();
drop function /*schema.*/place(bigint, int, bigint);
drop function /*schema.*/header(bigint, timestamptz, uuid, uuid, uuid, text);
drop function /*schema.*/to_data(bytea);
drop function /*schema.*/from_micros(bigint);
drop sequence /*schema.*/append_seq, /*schema.*/stream_seq;
