-- The audit log, as far as rules write it.

-- Takes: who did what to which subject. Written in the statement of ledger_write, which set the
-- tenants.
create or replace function audit_write(p_rows jsonb) returns void language sql as $$
  insert into audit_log (tenant_id, actor, action, subject, detail)
  select r.tenant_id, r.actor, r.action, r.subject, r.detail
  from jsonb_to_recordset(p_rows) r (tenant_id int, actor text, action text, subject text,
    detail jsonb)
$$;
