-- The statements of this package, for PostgreSQL and SQLite alike: parameters appear in their order, as SQLite counts them. The comment before subject_keys stands for the prefix.

-- name: create
-- A key that was deleted keeps its row, without the secret: so it is known to be gone, and its id is not used again.
create table if not exists /*prefix*/subject_keys (
  subject text not null,
  id      bigint not null,
  secret  text, -- encrypted with a master key, in base64; null: deleted
  primary key (subject, id)
);

-- name: current
select id, secret from /*prefix*/subject_keys where subject = $1 order by id desc limit 1;

-- name: key
select secret from /*prefix*/subject_keys where subject = $1 and id = $2;

-- name: add
-- Of all who add the same id one wins.
insert into /*prefix*/subject_keys (subject, id, secret) values ($1, $2, $3) on conflict (subject, id) do nothing;

-- name: forget
-- Keys that were deleted before do not count among the rows. Index: the primary key.
update /*prefix*/subject_keys set secret = null where subject = $1 and secret is not null;

-- name: count
-- Keys of a subject, deleted ones included.
select count(*) from /*prefix*/subject_keys where subject = $1;

-- name: page
-- Keys in order behind one, to be encrypted with another master key.
select subject, id, secret from /*prefix*/subject_keys
where (subject > $1 or subject = $1 and id > $2) and secret is not null order by subject, id limit 1000;

-- name: rewrap
-- Nothing, if it was deleted meanwhile.
update /*prefix*/subject_keys set secret = $1 where subject = $2 and id = $3 and secret = $4;
