-- Disputes as they are listed and watched, and what was handed in for each. A payment's row has the
-- facts; these rows follow it in the same transaction.
-- Invariant: a reference to evidence is kept, evidence itself never.

create table disputes (
  id               text not null,
  tenant_id        int not null,
  payment_id       text not null,
  customer_id      text not null,
  gateway          text not null,
  currency         text not null,
  amount           bigint not null,
  fee              bigint not null,
  status           text not null check (status in ('open', 'won', 'lost')),
  reason           text,
  evidence_status  text not null,
  due_by           timestamptz,
  -- The deadline of which was reminded.
  reminded_of      timestamptz,
  created_at       timestamptz not null,
  updated_at       timestamptz not null,
  primary key (id, tenant_id)
);
create index disputes_by_time on disputes (tenant_id, created_at desc, id desc);
create index disputes_unanswered on disputes (due_by)
  where status = 'open' and evidence_status in ('none', 'refused');

create table dispute_evidence (
  id            text not null,
  tenant_id     int not null,
  dispute_id    text not null,
  status        text not null,
  items         jsonb not null,
  note          text,
  detail        text,
  submitted_by  text not null,
  submitted_at  timestamptz not null,
  primary key (id, tenant_id)
);
create index dispute_evidence_by_dispute on dispute_evidence (dispute_id, tenant_id);

do $$
declare t text;
begin
  foreach t in array array['disputes', 'dispute_evidence'] loop
    execute format('call protect(%L)', t);
  end loop;
end $$;
grant select, insert, update on disputes, dispute_evidence to tallyrace_app;
