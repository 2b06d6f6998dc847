-- What payments add up to, by the time at which they were initiated: minutes, hours and days side
-- by side, so that a year is read as quickly as an hour.
-- Invariant: it is a recount of `payments`, written in the transaction that changes them.

create table payment_stats (
  tenant_id        int not null,
  grain            text not null check (grain in ('minute', 'hour', 'day')),
  at               timestamptz not null,
  currency         text not null,
  method           text not null,
  gateway          text not null,
  status           text not null,
  decline_reason   text not null,
  latency          smallint not null,
  payments         bigint not null,
  captured         bigint not null,
  refunded         bigint not null,
  disputed         bigint not null,
  -- Of several payments, so they may be more than a bigint holds; they must never stop a posting.
  volume           numeric not null,
  captured_amount  numeric not null,
  refunded_amount  numeric not null,
  disputed_amount  numeric not null,
  lost_amount      numeric not null,
  fees             numeric not null,
  -- A tenant's rows of a time are read together, and few of them are written at once.
  primary key (tenant_id, grain, at, currency, method, gateway, status, decline_reason, latency)
) with (fillfactor = 50);
call protect('payment_stats');
grant select, insert, update on payment_stats to tallyrace_app;

-- A day of payments is recounted for verification.
create index payments_by_time on payments using brin (initiated_at) with (pages_per_range = 32);
