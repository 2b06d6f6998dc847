-- What verification keeps: how far the books are proven, and what the proven part looked like.
-- Invariant: only the functions of verification write here, so the point moves by a proof alone.

-- Runs of offsets that were settled without a row of their own (repeats of an event, and what
-- Redis lost), and of those that Redis gave out a second time. With them every offset of a stream
-- has its place.
create table offset_runs (
  stream       text not null,
  kind         text not null check (kind in ('duplicate', 'lost', 'renumbered')),
  first_offset bigint not null,
  last_offset  bigint not null,
  at           timestamptz not null default now(),
  constraint first_is_not_after_last check (first_offset <= last_offset)
);
create index offset_runs_by_stream on offset_runs (stream, first_offset);
grant select, insert on offset_runs to tallyrace_app;

-- One row. Everything posted before `verified_until` is proven; nothing is posted any more with a
-- time before `shut_until`. `chain` and `ranges` add up what verified_ranges has.
create table verified_point (
  only_one       boolean primary key default true check (only_one),
  verified_until timestamptz not null default '-infinity',
  shut_until     timestamptz not null default '-infinity',
  chain          numeric not null default 0,
  ranges         bigint not null default 0,
  -- No write to the ledger takes as long: a statement of the application ends after 30 s.
  margin         interval not null default '1 minute',
  finished_at    timestamptz,
  clean_at       timestamptz,
  problems       int not null default 0,
  scope          text,
  seconds        float8
);
insert into verified_point default values;

-- A stretch of proven history: how many rows it has, and sums of their hashes. `place` weighs each
-- hash with that of the row's key, so that the change of one row tells which row it was.
create table verified_ranges (
  from_at        timestamptz primary key,
  to_at          timestamptz not null,
  outcomes       bigint not null,
  outcome_digest numeric not null,
  outcome_place  numeric not null,
  entries        bigint not null,
  entry_digest   numeric not null,
  entry_place    numeric not null,
  chain          numeric not null,
  streams        jsonb not null,
  suspect        boolean not null default false,
  checked_at     timestamptz not null default now(),
  constraint range_has_a_length check (from_at < to_at),
  exclude using gist (tstzrange(from_at, to_at) with &&)
);
create index verified_ranges_by_check on verified_ranges (checked_at);

-- What the outcomes of the proven history add up to, for each stream.
create table verified_streams (
  stream  text primary key,
  posted  bigint not null,
  refused bigint not null,
  offsets numeric not null,
  squares numeric not null
);
