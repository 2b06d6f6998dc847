-- Why each payment was let through, held or blocked; and the salt of what is kept hashed.
-- Invariant: a decision is written with the payment it is about, and never changes.

create table risk_decisions (
  id            uuid primary key,
  tenant_id     int not null,
  decided_at    timestamptz not null,
  score         smallint not null,
  decision      text not null check (decision in ('allow', 'review', 'block')),
  -- Of the rule set; 0 is the default one.
  version       int not null,
  shadow        text,
  shadow_version int,
  body          jsonb not null
);
-- For the comparison of two rule sets: only while there is a second one does it cost anything.
create index risk_decisions_with_shadow on risk_decisions (tenant_id, decided_at)
  where shadow is not null;

-- Addresses, devices and tokens are kept as hashes with the salt of their tenant, so that nobody
-- who has only the hashes can try values on them.
create table risk_salts (
  tenant_id  int primary key references tenants,
  salt       text not null
);

do $$
declare t text;
begin
  foreach t in array array['risk_decisions', 'risk_salts'] loop
    execute format('call protect(%L)', t);
  end loop;
end $$;

grant select, insert on risk_decisions, risk_salts to tallyrace_app;
