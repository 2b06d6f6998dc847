-- Payments, one row each, and effects: calls to the outside world that rules have asked for.
-- Invariant: a row follows its events; nothing but the statement that posts them writes payments.

create table payments (
  id            uuid primary key,
  tenant_id     int not null,
  status        text not null,
  customer_id   text not null,
  initiated_at  timestamptz not null,
  updated_at    timestamptz not null,
  body          jsonb not null
) with (fillfactor = 60);
create index payments_by_customer on payments (customer_id, tenant_id, initiated_at desc, id desc);
-- The review queue, and what hangs.
create index payments_open on payments (tenant_id, status, initiated_at)
  where status in ('requires_review', 'processing');

-- A call to make until somebody has answered. The key is the idempotency key outside, so a call
-- that is made twice has one effect there. `lane`: what it shares a bulkhead and a breaker with.
create table effects (
  key          text not null,
  tenant_id    int not null,
  lane         text not null,
  kind         text not null,
  data         jsonb not null,
  event_key    uuid not null,
  status       text not null default 'waiting' check (status in ('waiting', 'done', 'given_up')),
  attempts     int not null default 0,
  due_at       timestamptz not null default now(),
  claim        uuid,
  last_error   text,
  asked_at     timestamptz not null default now(),
  settled_at   timestamptz,
  primary key (key, tenant_id),
  constraint settled_has_a_time check ((status = 'waiting') = (settled_at is null))
) with (fillfactor = 60);
create index effects_due on effects (lane, due_at) where status = 'waiting';

do $$
declare t text;
begin
  foreach t in array array['payments', 'effects'] loop
    execute format('call protect(%L)', t);
  end loop;
end $$;

grant select, insert, update on payments, effects to tallyrace_app;
