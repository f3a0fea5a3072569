-- For development: removes the store's tables and all events in them.
drop function /*schema.*/tick(bigint, boolean);
drop function /*schema.*/hard_delete(bigint);
drop function /*schema.*/link(text, bigint, boolean, bigint[], int[]);
drop function /*schema.*/append_in_tx(text, bigint, boolean, int, boolean, bytea, bytea, bytea, text[], bytea, bytea, int[], bigint[], bigint, bigint, bigint, int);
drop function /*schema.*/append(text, bigint, boolean, int, boolean, bytea, bytea, bytea, text[], bytea, bytea, int[], bigint[], bigint, bigint, bigint, int);
drop table /*schema.*/streams, /*schema.*/events, /*schema.*/links, /*schema.*/log, /*schema.*/head, /*schema.*/holes;
drop function /*schema.*/guard();
drop function /*schema.*/to_data(bytea);
drop function /*schema.*/from_micros(bigint);
drop sequence /*schema.*/append_seq;
