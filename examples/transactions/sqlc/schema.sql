create table if not exists orders (
  id       text primary key,
  customer text not null,
  cents    bigint not null
);
