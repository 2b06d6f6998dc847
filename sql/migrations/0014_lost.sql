-- What Redis lost and an operator has looked at: each row is who said so, when and why, of which
-- stream, and where. Verification names a loss until it is here.
-- Invariant: rows are added and never changed; what a stream loses later is not covered by them.
create table lost_acknowledged (
  stream    text not null,
  -- Its counter of lost events at that time, and how many of them were new.
  lost      bigint not null,
  events    bigint not null check (events > 0),
  -- Runs of offsets: [[first, last], …]. Without those from before runs were kept.
  positions jsonb not null,
  actor     text not null,
  reason    text not null check (reason <> ''),
  at        timestamptz not null default now(),
  primary key (stream, lost)
);
