-- Secrets of the accounts that tenants have with gateways, sealed before they come here. What may
-- be seen of an account is a document of the kind `gateways`.

create table gateway_secrets (
  name       text not null,
  tenant_id  int not null references tenants,
  version    int not null,
  key_id     text not null,
  box        text not null,
  primary key (name, tenant_id)
);
call protect('gateway_secrets');
grant select, insert, update, delete on gateway_secrets to tallyrace_app;

-- Charges that were held and not captured, though they were to be: looked for every few seconds.
create index payments_uncaptured on payments (tenant_id)
  where status = 'authorized' and body->>'capture' = 'automatic';
