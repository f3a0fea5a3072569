create table if not exists orders (
  id       text primary key,
  customer text not null,
  cents    bigint not null
);

create table if not exists spendings (
  customer text primary key,
  cents    bigint not null
);
