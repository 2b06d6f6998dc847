-- The ledger, the streams' progress, documents with their change log, and who may see what.
-- Invariant: outcomes and entries are only ever inserted; the application role may not delete them.

create table tenants (
  id          int generated always as identity primary key,
  name        text not null unique,
  settings    jsonb not null default '{}',
  created_at  timestamptz not null default now()
);

create table api_keys (
  id          uuid primary key default gen_random_uuid(),
  tenant_id   int not null references tenants,
  name        text not null,
  prefix      text not null,
  last4       text not null,
  hash        bytea not null unique,
  scopes      text[] not null,
  publishable boolean not null default false,
  created_at  timestamptz not null default now(),
  revoked_at  timestamptz
);

create table audit_log (
  id          bigint generated always as identity primary key,
  tenant_id   int not null references tenants,
  at          timestamptz not null default now(),
  actor       text not null,
  action      text not null,
  subject     text not null,
  detail      jsonb not null default '{}'
);
create index audit_log_by_subject on audit_log (subject, at);

-- One row per event id, for ever: what became of it. Unique on the hash of tenant and id alone; a
-- unique key on a time-partitioned table would let a re-stamped event post twice.
create table outcomes (
  event_key     uuid not null,
  stream_offset bigint not null,
  fingerprint   bigint not null,
  accepted_at   timestamptz not null,
  posted_at     timestamptz not null,
  tenant_id     int not null,
  verdict       smallint not null check (verdict in (1, 2)),
  event_id      text not null,
  type          text not null,
  stream        text not null,
  reason        text,
  body          bytea not null,
  primary key (event_key),
  constraint refused_has_a_reason check ((verdict = 2) = (reason is not null))
) partition by hash (event_key);

-- One row per leg. History is an index range scan; the journey of one event is a BRIN scan.
create table entries (
  account_key   uuid not null,
  sequence      bigint not null,
  posted_at     timestamptz not null,
  amount        bigint not null,
  balance_after bigint not null,
  event_key     uuid not null,
  tenant_id     int not null,
  primary key (account_key, sequence, posted_at)
) partition by range (posted_at);
create index entries_by_time on entries using brin (posted_at)
  with (pages_per_range = 32, autosummarize = on);

-- One row per account and unit. Never updated in an indexed column, so every update can be HOT.
create table balances (
  account_key   uuid primary key,
  balance       bigint not null,
  sequence      bigint not null,
  floor         bigint,
  tenant_id     int not null,
  account       text not null,
  unit          text not null,
  -- JSON carries integers exactly up to 2^53 - 1; a balance beyond it could not be shown.
  constraint balance_in_range check (balance between -9007199254740991 and 9007199254740991)
) with (fillfactor = 60);
create index balances_by_account on balances (account, tenant_id);

-- Progress of each stream. `settled` is the last offset whose event is accounted for:
-- settled = posted + refused + dead + duplicate + deferred + lost - renumbered.
create table streams (
  stream      text primary key,
  owner       text,
  epoch       bigint not null default 0,
  settled     bigint not null default 0,
  posted      bigint not null default 0,
  refused     bigint not null default 0,
  dead        bigint not null default 0,
  duplicate   bigint not null default 0,
  deferred    bigint not null default 0,
  renumbered  bigint not null default 0,
  lost        bigint not null default 0
) with (fillfactor = 50);

-- Liveness of workers. A stream whose owner's lease has run out may be taken over. A newer process
-- of the same name replaces the older one at once (`instance`), so that a restart need not wait.
create table workers (
  worker      text primary key,
  instance    uuid not null,
  lease_until timestamptz not null,
  started_at  timestamptz not null default now()
) with (fillfactor = 50);

-- Same id, other body: refused, and kept as evidence. The first event stands.
create table conflicts (
  id            bigint generated always as identity primary key,
  tenant_id     int not null,
  event_key     uuid not null,
  event_id      text not null,
  type          text not null,
  stream        text not null,
  stream_offset bigint not null,
  fields        text[] not null,
  body          bytea not null,
  at            timestamptz not null default now()
);
create index conflicts_by_event on conflicts (event_key);

-- tenant_id 0: an entry that could not be decoded, so whose it is cannot be known.
create table dead_letters (
  id            uuid primary key default gen_random_uuid(),
  tenant_id     int not null,
  event_key     uuid not null,
  event_id      text not null,
  type          text not null,
  stream        text not null,
  stream_offset bigint not null,
  events        int not null default 1,
  reason        text not null,
  detail        text not null default '',
  attempts      int not null default 1,
  accepted_at   timestamptz not null,
  body          bytea not null,
  status        text not null default 'dead' check (status in ('dead', 'retried', 'discarded')),
  died_at       timestamptz not null default now(),
  changed_at    timestamptz
);
create index dead_letters_by_status on dead_letters (died_at) where status = 'dead';
create index dead_letters_by_event on dead_letters (event_key);

-- Events whose prerequisite is not here yet, and dead letters sent round again.
create table deferred (
  event_key     uuid not null,
  tenant_id     int not null,
  event_id      text not null,
  type          text not null,
  stream        text not null,
  stream_offset bigint not null,
  reason        text not null,
  attempts      int not null,
  retry_at      timestamptz not null,
  accepted_at   timestamptz not null,
  body          bytea not null,
  primary key (stream, stream_offset, event_key)
);
create index deferred_due on deferred (stream, retry_at);
create index deferred_by_event on deferred (event_key);

-- Follow-up events on their way to a stream; a row goes when Redis has the event.
create table outbox (
  id          bigint generated always as identity primary key,
  tenant_id   int not null,
  event_id    text not null,
  type        text not null,
  accepted_at timestamptz not null,
  traceparent text,
  data        jsonb not null,
  written_at  timestamptz not null default now()
);

-- Terms of coupons, partners and the like. Each write holds the row of its head until it commits,
-- so change numbers are in commit order and a follower can miss none.
create table document_heads (
  tenant_id   int not null references tenants,
  kind        text not null,
  change      bigint not null default 0,
  primary key (tenant_id, kind)
) with (fillfactor = 50);

create table documents (
  tenant_id   int not null,
  kind        text not null,
  key         text not null,
  version     int not null,
  change      bigint not null,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  body        jsonb not null,
  primary key (tenant_id, kind, key)
);
create unique index documents_by_change on documents (tenant_id, kind, change);

create table document_versions (
  tenant_id   int not null,
  kind        text not null,
  key         text not null,
  version     int not null,
  actor       text not null,
  at          timestamptz not null default now(),
  body        jsonb not null,
  primary key (tenant_id, kind, key, version)
);

-- Tenants whose rows this transaction may see; null (and so nothing) when nobody said.
create function current_tenants() returns int[] language sql stable parallel safe as $$
  select nullif(current_setting('tallyrace.tenants', true), '')::int[]
$$;

create function set_tenants(p_tenants int[]) returns void language sql as $$
  select set_config('tallyrace.tenants', p_tenants::text, true)
$$;

-- Gives a table its tenant policy. Used by migrations and when partitions are made.
create procedure protect(p_table regclass) language plpgsql as $$
begin
  execute format('alter table %s enable row level security', p_table);
  execute format(
    'create policy tenant on %s using (tenant_id = any ((select current_tenants())::int[]))
       with check (tenant_id = any ((select current_tenants())::int[]))', p_table);
end $$;

do $$
declare t text;
begin
  for i in 0..7 loop
    execute format(
      'create table outcomes_%s partition of outcomes
         for values with (modulus 8, remainder %s)', i, i);
    execute format('call protect(%L)', 'outcomes_' || i);
  end loop;
  foreach t in array array['api_keys', 'audit_log', 'outcomes', 'entries', 'balances', 'conflicts',
    'dead_letters', 'deferred', 'outbox', 'document_heads', 'documents', 'document_versions'] loop
    execute format('call protect(%L)', t);
  end loop;
end $$;

alter table tenants enable row level security;
create policy tenant on tenants using (id = any ((select current_tenants())::int[]));

-- Months are made ahead by the worker. Takes: how many months beyond this one. Gives: how many were
-- made. Locks: entries, briefly, only when one is missing. Safe to repeat: existing ones stay.
create function ensure_entry_partitions(p_ahead int) returns int
language plpgsql security definer set search_path = tallyrace, pg_temp as $$
declare
  v_month date;
  v_name  text;
  v_made  int := 0;
begin
  perform pg_advisory_xact_lock(hashtext('tallyrace.entries'));
  for i in -1..p_ahead loop
    v_month := (date_trunc('month', now() at time zone 'UTC') + make_interval(months => i))::date;
    v_name := 'entries_' || to_char(v_month, 'YYYY_MM');
    continue when to_regclass('tallyrace.' || v_name) is not null;
    execute format(
      'create table %I partition of entries for values from (%L) to (%L)', v_name,
      v_month::text || ' 00:00+00', (v_month + interval '1 month')::date::text || ' 00:00+00');
    execute format('call protect(%L)', v_name);
    v_made := v_made + 1;
  end loop;
  return v_made;
end $$;

select ensure_entry_partitions(3);

grant usage on schema tallyrace to tallyrace_app;
grant select on tenants, api_keys to tallyrace_app;
grant select, insert on audit_log, outcomes, entries, conflicts, document_versions to tallyrace_app;
grant select, insert, update on balances, streams, dead_letters, document_heads, documents
  to tallyrace_app;
grant select, insert, update, delete on workers, deferred, outbox to tallyrace_app;
