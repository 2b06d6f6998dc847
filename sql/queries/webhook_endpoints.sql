-- Endpoints of tenants, as tenants see and change them. Every change is in the audit log.

-- Takes: tenant, id, what the tenant gave, its sealed secret, how many endpoints a tenant may have,
-- who does it. Gives: false when there are as many already. Locks: the making of endpoints of this
-- tenant, until commit.
create or replace function webhook_endpoint_create(
  p_tenant int, p_id uuid, p_url text, p_types jsonb, p_description text, p_key_id text,
  p_box text, p_most int, p_actor text
) returns boolean language plpgsql as $$
begin
  perform set_tenants(array[p_tenant]);
  perform pg_advisory_xact_lock(hashtext('tallyrace.webhook_endpoints'), p_tenant);
  if (select count(*) from webhook_endpoints h
      where h.tenant_id = p_tenant and h.status <> 'deleted') >= p_most then
    return false;
  end if;
  insert into webhook_endpoints (id, tenant_id, url, event_types, description, key_id, box)
    values (p_id, p_tenant, p_url, p_types, p_description, p_key_id, p_box);
  insert into audit_log (tenant_id, actor, action, subject)
    values (p_tenant, p_actor, 'webhook_endpoint.created', 'whe_' || p_id);
  return true;
end $$;

-- Takes: tenant, id. Gives: the endpoint with its sealed secrets, or no row.
create or replace function webhook_endpoint_get(p_tenant int, p_id uuid)
returns setof webhook_endpoints language plpgsql stable as $$
begin
  perform set_tenants(array[p_tenant]);
  return query select h.* from webhook_endpoints h
    where h.id = p_id and h.tenant_id = p_tenant and h.status <> 'deleted';
end $$;

-- Takes: tenant, the last id seen, how many. Gives: oldest first.
create or replace function webhook_endpoints_list(p_tenant int, p_after uuid, p_limit int)
returns setof webhook_endpoints language plpgsql stable as $$
begin
  perform set_tenants(array[p_tenant]);
  return query select h.* from webhook_endpoints h
    where h.tenant_id = p_tenant and h.status <> 'deleted' and (p_after is null or h.id > p_after)
    order by h.id limit p_limit;
end $$;

-- Takes: tenant, id, what the tenant gave, who does it. Gives: the endpoint as it is now, or no
-- row. What was held against it is forgotten: it is tried anew. Locks: its row.
create or replace function webhook_endpoint_change(
  p_tenant int, p_id uuid, p_url text, p_types jsonb, p_description text, p_status text,
  p_actor text
) returns setof webhook_endpoints language plpgsql as $$
declare v_now webhook_endpoints;
begin
  perform set_tenants(array[p_tenant]);
  update webhook_endpoints h
    set url = p_url, event_types = p_types, description = p_description, status = p_status,
        disabled_reason = case when p_status = 'disabled'
                               then coalesce(h.disabled_reason, 'by_hand') end,
        failures = 0, failing_since = null, held_until = null, updated_at = now()
    where h.id = p_id and h.tenant_id = p_tenant and h.status <> 'deleted'
    returning h.* into v_now;
  if not found then return; end if;
  insert into audit_log (tenant_id, actor, action, subject, detail)
    values (p_tenant, p_actor, 'webhook_endpoint.changed', 'whe_' || p_id,
            jsonb_build_object('status', p_status, 'event_types', p_types));
  return next v_now;
end $$;

-- Takes: tenant, id, the version that was read, secrets sealed anew, until when the one before
-- signs too, who does it. Gives: the endpoint, or no row when it has another version or is gone.
-- Locks: its row.
create or replace function webhook_endpoint_rotate(
  p_tenant int, p_id uuid, p_from int, p_key_id text, p_box text, p_until timestamptz, p_actor text
) returns setof webhook_endpoints language plpgsql as $$
declare v_now webhook_endpoints;
begin
  perform set_tenants(array[p_tenant]);
  update webhook_endpoints h
    set key_id = p_key_id, box = p_box, previous_secret_until = p_until, version = h.version + 1,
        updated_at = now()
    where h.id = p_id and h.tenant_id = p_tenant and h.status <> 'deleted' and h.version = p_from
    returning h.* into v_now;
  if not found then return; end if;
  insert into audit_log (tenant_id, actor, action, subject, detail)
    values (p_tenant, p_actor, 'webhook_endpoint.rotated', 'whe_' || p_id,
            jsonb_build_object('previous_secret_until', p_until));
  return next v_now;
end $$;

-- Takes: tenant, id, who does it. Gives: whether there was one. Its secrets and its address are
-- gone; what it was sent stays on record. Locks: its row.
create or replace function webhook_endpoint_delete(p_tenant int, p_id uuid, p_actor text)
returns boolean language plpgsql as $$
begin
  perform set_tenants(array[p_tenant]);
  update webhook_endpoints h
    set status = 'deleted', disabled_reason = null, url = '', key_id = null, box = null,
        version = h.version + 1, updated_at = now()
    where h.id = p_id and h.tenant_id = p_tenant and h.status <> 'deleted';
  if not found then return false; end if;
  insert into audit_log (tenant_id, actor, action, subject)
    values (p_tenant, p_actor, 'webhook_endpoint.deleted', 'whe_' || p_id);
  return true;
end $$;
