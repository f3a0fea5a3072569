alter table /*prefix*/subscriptions drop column handled_at;
alter table /*prefix*/subscriptions drop column rate;
alter table /*prefix*/subscriptions drop column handled;
drop table /*prefix*/parked_changes;
drop table /*prefix*/parked;
drop table /*prefix*/projection_members;
drop table /*prefix*/projections;
