-- API keys, as the ingress asks about them. Making and revoking them is for the command line.

-- Runs before a tenant is known. Takes: SHA-256 hashes as hex. Gives: a row for each that is a key
-- and not revoked, with the limits its tenant has set.
drop function if exists system_resolve_keys(text[]);
create function system_resolve_keys(p_hashes text[])
returns table (hash text, id text, tenant_id int, scopes text, publishable boolean, limits jsonb)
language sql stable security definer set search_path = tallyrace, pg_temp as $$
  select encode(k.hash, 'hex'), k.id::text, k.tenant_id, array_to_string(k.scopes, ' '),
         k.publishable, coalesce(t.settings -> 'limits', '{}')
  from api_keys k join tenants t on t.id = k.tenant_id
  where k.hash = any (array(select decode(h, 'hex') from unnest(p_hashes) h))
    and k.revoked_at is null
$$;
