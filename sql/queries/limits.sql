-- A tenant's own rate limits, kept in its settings by the name of the policy.

-- Takes: tenant. Gives: its limits, {} when it has none.
create or replace function limits_get(p_tenant int) returns jsonb language plpgsql as $$
begin
  perform set_tenants(array[p_tenant]);
  return coalesce((select t.settings -> 'limits' from tenants t where t.id = p_tenant), '{}');
end $$;

-- Runs as the owner, since the application may only read tenants. Takes: tenant, policy, its quotas
-- ('null': unlimited), who does it. Locks: the tenant's row. Safe to repeat: the last one stands.
create or replace function system_limits_put(
  p_tenant int, p_policy text, p_quotas jsonb, p_actor text
) returns void
language sql security definer set search_path = tallyrace, pg_temp as $$
  update tenants set settings = jsonb_set(
      settings || jsonb_build_object('limits', coalesce(settings -> 'limits', '{}')),
      array['limits', p_policy], p_quotas)
    where id = p_tenant;
  insert into audit_log (tenant_id, actor, action, subject, detail)
    values (p_tenant, p_actor, 'limits.put', p_policy, jsonb_build_object('quotas', p_quotas));
$$;
