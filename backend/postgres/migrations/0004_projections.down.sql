alter table /*schema.*/subscriptions drop column handled_at, drop column rate, drop column handled;
drop table /*schema.*/parked_changes;
drop table /*schema.*/parked;
drop table /*schema.*/projection_members;
drop table /*schema.*/projections;
