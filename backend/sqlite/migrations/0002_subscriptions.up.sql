-- oldest program: 2
-- Persistent subscriptions: how far each has come, and who runs it until when. Times are as in the other tables.

create table /*prefix*/subscriptions (
  stream      text not null, -- a stream's name, or $all; compared byte by byte
  name        text not null,
  checkpoint  integer not null,
  stream_id   integer not null, -- that checkpoint counts in; 0 for $all, or if the stream did not exist
  seen        integer not null default 0, -- number of the last event that was read, usually at or behind checkpoint
  seen_id     blob, -- its id, which must be in that place for the checkpoint to be of this history; null: not known
  owner       text not null,
  epoch       integer not null,
  lease_until integer, -- null: given up
  last_error  text not null default '', -- '': none, or it is over: a checkpoint has passed last_error_number
  last_error_number integer not null default 0, -- of the event that last_error is about; 0 if it is about none
  last_error_at     integer, -- null: there never was one
  created_at  integer not null,
  updated_at  integer not null, -- of checkpoint
  constraint subscriptions_pkey primary key (stream, name)
) strict, without rowid;

-- One row: the last epoch that a subscription was given. All draw from it, so that one that was deleted and created
-- again does not take an owner of before for its own.
create table /*prefix*/epochs (
  only  integer not null default 1,
  epoch integer not null,
  constraint epochs_pkey primary key (only),
  constraint epochs_only_one check (only = 1)
) strict;

insert into /*prefix*/epochs (epoch) values (0);

create trigger /*prefix*/epochs_no_decrease before update on /*prefix*/epochs
when new.epoch < old.epoch
begin
  select raise(abort, 'eventstore: epochs are never used again');
end;
