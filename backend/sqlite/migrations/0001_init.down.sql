-- For development: removes the store with everything in it.

drop view /*prefix*/recorded;
drop trigger /*prefix*/head_no_delete; -- dropping a table deletes its rows
drop trigger /*prefix*/streams_no_delete;
drop trigger /*prefix*/links_no_delete;
drop trigger /*prefix*/events_no_delete;
drop table /*prefix*/links;
drop table /*prefix*/events;
drop table /*prefix*/head;
drop table /*prefix*/store;
drop table /*prefix*/streams;
