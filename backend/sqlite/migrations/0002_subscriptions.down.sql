-- For development: removes all subscriptions with their checkpoints.

drop table /*prefix*/epochs;
drop table /*prefix*/subscriptions;
