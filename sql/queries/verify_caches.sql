-- What verification compares caches with.

-- Takes: tenants and account names side by side. Gives: their balances.
create or replace function system_balances_of(p_tenants int[], p_accounts text[])
returns table (tenant_id int, account text, unit text, balance bigint, sequence bigint)
language sql stable security definer set search_path = tallyrace, pg_temp as $$
  select b.tenant_id, b.account, b.unit, b.balance, b.sequence
  from unnest(p_tenants, p_accounts) k (tenant_id, account)
  join balances b on b.account = k.account and b.tenant_id = k.tenant_id
$$;
