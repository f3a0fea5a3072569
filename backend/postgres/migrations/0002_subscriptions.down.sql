-- For development: removes all subscriptions with their checkpoints.
drop function /*schema.*/era();
drop function /*schema.*/stream_end/*of*/(text, bigint);
drop function /*schema.*/event_at/*of*/(text, bigint, bigint);
drop function /*schema.*/lost(bigint, uuid, bigint, bigint, uuid);
drop function /*schema.*/new_epoch/*of*/();
drop table /*schema.*/subscriptions;
drop sequence /*schema.*/epoch_seq;
