-- For development: removes all subscriptions with their checkpoints.
drop function /*schema.*/new_epoch/*of*/();
drop table /*schema.*/subscriptions;
drop sequence /*schema.*/epoch_seq;
