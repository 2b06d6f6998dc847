-- Accounts with gateways: a document for what may be seen, and a row of sealed secrets.

-- Takes: tenant, gateway, the document's new body, the version it was made from (0 for none), the
-- sealed secrets (null deletes them), who does it. Gives: the new version; raises TR010 when
-- another change came first. Locks: the head row of the tenant's gateways, until commit.
create or replace function gateway_put(
  p_tenant int, p_name text, p_body jsonb, p_from int, p_key_id text, p_box text, p_actor text
) returns table (version int) language plpgsql as $$
declare v_version int;
begin
  perform set_tenants(array[p_tenant]);
  select p.o_version into v_version
    from documents_put(p_tenant, 'gateways', array[p_name], jsonb_build_array(p_body), p_actor) p;
  if v_version <> p_from + 1 then
    raise exception using errcode = 'TR010', message = 'another change came first';
  end if;
  if p_box is null then
    delete from gateway_secrets s where s.name = p_name and s.tenant_id = p_tenant;
  else
    insert into gateway_secrets as s (name, tenant_id, version, key_id, box)
      values (p_name, p_tenant, v_version, p_key_id, p_box)
      on conflict (name, tenant_id) do update
        set version = excluded.version, key_id = excluded.key_id, box = excluded.box;
  end if;
  return query select v_version;
end $$;

-- Takes: tenant, gateway. Gives: its sealed secrets, or no row.
create or replace function gateway_secrets_get(p_tenant int, p_name text)
returns table (version int, key_id text, box text) language plpgsql stable as $$
begin
  perform set_tenants(array[p_tenant]);
  return query select s.version, s.key_id, s.box from gateway_secrets s
    where s.name = p_name and s.tenant_id = p_tenant;
end $$;
