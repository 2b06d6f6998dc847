-- Documents: terms of coupons, partners and the like, with versions and a change log.

-- Takes: tenant, kind, keys and bodies side by side, who does it. Gives: per key its version,
-- whether it is new, and its change number. Locks: the head row, until commit, so that changes are
-- numbered in commit order. Safe to repeat: a body that is already there keeps its version.
drop function if exists documents_put(int, text, text[], jsonb, text);
create function documents_put(
  p_tenant int, p_kind text, p_keys text[], p_bodies jsonb, p_actor text
) returns table (o_key text, o_version int, o_created boolean, o_change bigint,
                 o_created_at timestamptz, o_updated_at timestamptz)
language plpgsql as $$
declare v_change bigint;
begin
  perform set_tenants(array[p_tenant]);
  insert into document_heads as h (tenant_id, kind, change)
    values (p_tenant, p_kind, cardinality(p_keys))
    on conflict (tenant_id, kind) do update set change = h.change + excluded.change
    returning h.change - cardinality(p_keys) into v_change;
  return query
    with given as (
      -- Side by side, not indexed: reading the nth element of a jsonb array costs n.
      select k.key, k.body, v_change + k.i as change
      from rows from (unnest(p_keys), jsonb_array_elements(p_bodies))
        with ordinality k (key, body, i)
    ), put as (
      insert into documents as d (tenant_id, kind, key, version, change, body)
      select p_tenant, p_kind, g.key, 1, g.change, g.body from given g
      on conflict (tenant_id, kind, key) do update
        set version = d.version + 1, change = excluded.change, body = excluded.body,
            updated_at = now()
        where d.body is distinct from excluded.body
      returning d.key, d.version, d.change, d.created_at, d.updated_at, d.body
    ), kept as (
      insert into document_versions (tenant_id, kind, key, version, actor, body)
      select p_tenant, p_kind, put.key, put.version, p_actor, put.body from put
    ), audited as (
      insert into audit_log (tenant_id, actor, action, subject, detail)
      select p_tenant, p_actor, p_kind || '.put', put.key,
             jsonb_build_object('version', put.version)
      from put
    )
    select g.key, coalesce(put.version, d.version), coalesce(put.version = 1, false),
           coalesce(put.change, d.change), coalesce(put.created_at, d.created_at),
           coalesce(put.updated_at, d.updated_at)
    from given g
    left join put on put.key = g.key
    left join documents d on d.key = g.key and d.kind = p_kind and d.tenant_id = p_tenant;
  perform pg_notify('tallyrace_documents', p_kind || ' ' || p_tenant);
end $$;

-- Takes: tenant, kind, key. Gives: the document, or no row.
drop function if exists document_get(int, text, text);
create function document_get(p_tenant int, p_kind text, p_key text)
returns table (key text, version int, body jsonb, created_at timestamptz, updated_at timestamptz)
language plpgsql as $$
begin
  perform set_tenants(array[p_tenant]);
  return query select d.key, d.version, d.body, d.created_at, d.updated_at from documents d
    where d.key = p_key and d.kind = p_kind and d.tenant_id = p_tenant;
end $$;

-- Takes: tenant, kind, the last key of the page before ('' for the first), how many. Gives: a page
-- in key order.
drop function if exists documents_list(int, text, text, int);
create function documents_list(p_tenant int, p_kind text, p_after text, p_limit int)
returns table (key text, version int, body jsonb, created_at timestamptz, updated_at timestamptz)
language plpgsql as $$
begin
  perform set_tenants(array[p_tenant]);
  return query select d.key, d.version, d.body, d.created_at, d.updated_at from documents d
    where d.tenant_id = p_tenant and d.kind = p_kind and d.key > p_after
    order by d.key limit p_limit;
end $$;

-- For followers, which serve every tenant. Takes: kind. Gives: the last change of each tenant.
create or replace function system_document_heads(p_kind text)
returns table (tenant_id int, change bigint)
language sql stable security definer set search_path = tallyrace, pg_temp as $$
  select h.tenant_id, h.change from document_heads h where h.kind = p_kind
$$;

-- For followers. Takes: tenant, kind, the last change seen, how many. Gives: later changes in
-- order. A document changed twice appears once, at its last change.
create or replace function system_documents_since(
  p_tenant int, p_kind text, p_change bigint, p_limit int
) returns table (key text, version int, change bigint, body jsonb)
language sql stable security definer set search_path = tallyrace, pg_temp as $$
  select d.key, d.version, d.change, d.body from documents d
  where d.tenant_id = p_tenant and d.kind = p_kind and d.change > p_change
  order by d.change limit p_limit
$$;
