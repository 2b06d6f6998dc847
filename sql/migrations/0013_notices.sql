-- Notices that rules write for tenants, the endpoints that they are sent to, and what each attempt
-- came to. A delivery is a row of `effects`, of the lane `webhooks`.
-- Invariant: an endpoint's secrets are sealed before they come here; no answer's body is kept.

-- `failures`: attempts in a row that failed; from five on the endpoint is held for a while each.
create table webhook_endpoints (
  id                    uuid primary key,
  tenant_id             int not null references tenants,
  url                   text not null,
  event_types           jsonb not null check (jsonb_typeof(event_types) = 'array'),
  description           text not null,
  status                text not null default 'enabled'
                          check (status in ('enabled', 'disabled', 'deleted')),
  disabled_reason       text check (disabled_reason in ('by_hand', 'gone', 'failing')),
  version               int not null default 1,
  key_id                text,
  box                   text,
  previous_secret_until timestamptz,
  failures              int not null default 0,
  failing_since         timestamptz,
  held_until            timestamptz,
  created_at            timestamptz not null default now(),
  updated_at            timestamptz not null default now(),
  constraint deleted_has_no_secrets check ((status = 'deleted') = (box is null)),
  constraint disabled_has_a_reason check ((status = 'disabled') = (disabled_reason is not null))
) with (fillfactor = 60);
create index webhook_endpoints_by_tenant on webhook_endpoints (tenant_id, id);

create table notices (
  id          uuid primary key,
  tenant_id   int not null,
  type        text not null,
  subject     text not null,
  sequence    bigint not null,
  occurred_at timestamptz not null,
  written_at  timestamptz not null default now(),
  data        jsonb not null
);
create index notices_by_subject on notices (subject, tenant_id, sequence);
create index notices_by_time on notices using brin (written_at);

create table webhook_attempts (
  id          bigint generated always as identity primary key,
  tenant_id   int not null,
  endpoint_id uuid not null,
  notice_id   uuid not null,
  at          timestamptz not null default now(),
  status_code int,
  error       text,
  duration_ms int not null
);
create index webhook_attempts_by_delivery on webhook_attempts (notice_id, endpoint_id, id);

-- What an endpoint is to be sent next, and what it was sent last.
create index effects_due_by_endpoint on effects ((data->>'endpoint'), due_at)
  where lane = 'webhooks' and status = 'waiting';
create index effects_by_endpoint on effects ((data->>'endpoint'), asked_at, key)
  where lane = 'webhooks';

do $$
declare t text;
begin
  foreach t in array array['webhook_endpoints', 'notices', 'webhook_attempts'] loop
    execute format('call protect(%L)', t);
  end loop;
end $$;

grant select, insert, update on webhook_endpoints to tallyrace_app;
grant select, insert on notices, webhook_attempts to tallyrace_app;
