-- For development: removes all subscriptions with their checkpoints.
drop table /*schema.*/subscriptions;
drop sequence /*schema.*/epoch_seq;
