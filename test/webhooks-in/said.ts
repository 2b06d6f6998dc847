// A webhook put to its rule, and what it comes to: the event that follows, or the word of its row.
import { expect } from 'bun:test';
import { Value } from '@sinclair/typebox/value';
import { rules } from '../../consumers/index.ts';
import { eventDefinition } from '../../schemas/index.ts';
import type { GatewayName } from '../../schemas/payments.ts';
import type { Decision, LedgerEvent, State } from '../../src/ledger/decision.ts';

export const payment_id = 'pay_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e05';
export const refund_id = 'rfd_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e06';
export const labels = { payment_id, attempt: '2' };
const rule = rules.get('webhook.received')!;

export function decide(
  gateway: GatewayName,
  payload: string,
  found: object | null = null,
): Decision {
  const endpoint = `whi_${'0'.repeat(40)}`;
  const data = { gateway, endpoint, gateway_event_id: 'evt_1', payload };
  const event: LedgerEvent = {
    ...{ tenant: 1, id: 'stripe:evt_1', type: 'webhook.received', acceptedAt: 1_000, data },
  };
  const named = rule.reads(event).records?.map(({ table, key }) => `${table} ${key}`) ?? [];
  const state: State = {
    balance: () => 0,
    documents: () => [],
    record: <Body>(table: string, key: string) => {
      expect(named).toContain(`${table} ${key}`);
      return found as Body | null;
    },
  };
  return rule.decide(event, state);
}

/** What it comes to: the event that follows, or the word of the row. */
export function told(decision: Decision): unknown {
  if (decision.verdict !== 'post') return decision;
  const [followUp] = decision.followUps ?? [];
  if (!followUp) return decision.rows![0]!.values['result'];
  const { data: shape } = eventDefinition.get(followUp.type)!;
  expect([...Value.Errors(shape, followUp.data)]).toEqual([]);
  return { [followUp.type]: followUp.data };
}

export const stripe = (type: string, object: object, found?: object): unknown =>
  told(decide('stripe', JSON.stringify({ id: 'evt_1', type, data: { object } }), found));
export const razorpay = (
  type: string,
  entities: Record<string, object>,
  found?: object,
): unknown => {
  const payload = Object.fromEntries(
    Object.entries(entities).map(([name, entity]) => [name, { entity }]),
  );
  return told(decide('razorpay', JSON.stringify({ event: type, payload }), found));
};
export const reported = (gateway: GatewayName, data: object) => ({
  'payment.reported': { payment_id, attempt: 2, gateway, ...data },
});
/** A deferral has what is decided otherwise beside it. */
export function expectSaid(heard: unknown, said: unknown): void {
  if (said === unknown) expect(heard).toMatchObject(unknown);
  else expect(heard).toEqual(said);
}

export const known = { payment_id, attempt: 2, currency: 'USD' };
export const unknown = { verdict: 'defer', reason: 'payment_unknown' };
