-- Webhooks from gateways, one row each; their bodies stay with their outcomes. And the way from a
-- gateway's reference to the payment, for what carries no label of ours.
-- Invariant: a row is written by the statement that settles its event, and never changes.

create table webhook_events (
  event_key         uuid primary key,
  tenant_id         int not null,
  gateway           text not null,
  endpoint          text not null,
  gateway_event_id  text not null,
  type              text not null,
  result            text not null,
  payment_id        text,
  received_at       timestamptz not null
);
create index webhook_events_by_time on webhook_events (tenant_id, received_at desc, event_key desc);
create index webhook_events_by_type
  on webhook_events (type, tenant_id, received_at desc, event_key desc);
call protect('webhook_events');
grant select, insert on webhook_events to tallyrace_app;

alter table payments add column reference text;
update payments set reference = body->>'reference';
create index payments_by_reference on payments (reference) where reference is not null;

-- Captured by methods that take their time, of which the gateway's webhook did not tell the fee.
create index payments_without_fee on payments (tenant_id)
  where status in ('captured', 'partially_refunded', 'refunded', 'disputed')
    and body->>'fee' = '0' and body->'method'->>'type' <> 'card' and body->>'gateway' = 'stripe';
