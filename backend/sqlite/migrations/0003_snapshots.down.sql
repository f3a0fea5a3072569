-- For development: removes all snapshots. They can be made again of the events.
drop table /*prefix*/snapshots;
