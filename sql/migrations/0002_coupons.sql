-- Redemptions, one row per redemption and code, and how often codes were checked, by the minute.
-- Invariant: a row follows its events; nothing but the statement that posts them writes here.

create table redemptions (
  id            uuid not null,
  code          text not null,
  tenant_id     int not null,
  stack_index   smallint not null,
  status        text not null check (status in ('reserved', 'committed', 'released')),
  customer_id   text not null,
  order_id      text not null,
  currency      text not null,
  discount      bigint not null check (discount >= 0),
  order_total   bigint not null,
  terms_version int not null,
  reserved_at   timestamptz not null,
  expires_at    timestamptz not null,
  settled_at    timestamptz,
  released_for  text,
  primary key (id, code),
  constraint settled_has_a_time check ((status = 'reserved') = (settled_at is null))
) with (fillfactor = 80);

-- Rebuilds the counters of a code, and of one customer of it.
create index redemptions_by_code on redemptions (code, customer_id, tenant_id)
  where status <> 'released';
-- Finds what is still held after Redis came back empty; small, since reservations are short.
create index redemptions_reserved on redemptions (tenant_id, code) where status = 'reserved';

create table coupon_checks (
  tenant_id int not null,
  code      text not null,
  minute    timestamptz not null,
  result    text not null,
  checks    bigint not null,
  primary key (code, minute, tenant_id, result)
) with (fillfactor = 70);
create index coupon_checks_by_time on coupon_checks using brin (minute);

do $$
declare t text;
begin
  foreach t in array array['redemptions', 'coupon_checks'] loop
    execute format('call protect(%L)', t);
  end loop;
end $$;

grant select, insert, update on redemptions, coupon_checks to tallyrace_app;
