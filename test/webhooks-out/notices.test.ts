// What is told, to whom: notices are kept and expanded in the transaction that writes them, once,
// for endpoints of their own tenant that want them.
import { describe, expect, test } from 'bun:test';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { type NoticeType, noticeBody, noticeTypeNames } from '../../schemas/notices.ts';
import { paymentStatuses } from '../../schemas/payments.ts';
import { PaymentInitiated, SettlementPaid, newsKinds } from '../../schemas/payments-events.ts';
import { rules } from '../../consumers/index.ts';
import type { Row, State } from '../../src/ledger/decision.ts';
import { PaymentLedger, type Step } from '../domains/payments-ledger.ts';
import { changeEndpoint } from '../../src/store/webhook-endpoints.ts';
import { openWebhookWorld } from './world.ts';

const payment_id = 'pay_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e05';
const amount = { amount: 5_000, currency: 'USD' };

function initiated(more: object = {}): Step {
  const [example] = PaymentInitiated.examples;
  return { type: 'payment.initiated', data: { ...example, payment_id, amount, ...more } };
}

function news(kind: string, more: object = {}): Step {
  const common = { payment_id, news: kind, gateway: 'stripe', attempt: 1, reference: 'pi_1' };
  return { type: 'payment.reported', data: { ...common, amount: 5_000, ...more } };
}

/** The notices of a life, in order, each checked against its schema. */
function toldOf(steps: readonly Step[]): string[] {
  const ledger = new PaymentLedger();
  return steps.flatMap((step) => {
    const decision = ledger.play(step);
    return decision.verdict === 'post' ? (decision.rows ?? []).flatMap(typeOf) : [];
  });
}

function typeOf({ table, values }: Row): string[] {
  if (table !== 'notices') return [];
  const { type, subject, data } = values as { type: NoticeType; subject: string; data: object };
  const id = 'ntc_5b0f7a52-1c9b-3c1e-8f6a-2f7d9c1b0e44';
  const timestamp = '2026-01-31T12:00:00.000Z';
  const body = { id, type, version: 1, timestamp, subject, sequence: 1, data };
  expect([...TypeCompiler.Compile(noticeBody(type)).Errors(body)]).toEqual([]);
  return [type];
}

const refund = (kind: string, sum: number, subject: string) =>
  news(`refund_${kind}`, { amount: sum, subject });
const dispute = (kind: string) => news(`dispute_${kind}`, { subject: 'dp_1', fee: 1_500 });

describe('a payment tells', () => {
  test.each<[string, Step[], string[]]>([
    ['nothing while it is processed', [initiated()], []],
    [
      'that it waits for review',
      [initiated({ risk: { score: 700, decision: 'review' } })],
      ['payment.requires_review'],
    ],
    [
      'that it was blocked',
      [initiated({ risk: { score: 990, decision: 'block' } })],
      ['payment.failed'],
    ],
    [
      'of hold and capture, each once',
      [initiated(), news('authorized'), news('captured'), news('captured'), news('authorized')],
      ['payment.authorized', 'payment.captured'],
    ],
    [
      'that it was cancelled',
      [initiated(), news('authorized'), news('cancelled')],
      ['payment.authorized', 'payment.cancelled'],
    ],
    [
      'of refunds and what they make of it',
      [
        ...[initiated(), news('captured'), refund('succeeded', 1_000, 'rfd_a')],
        ...[refund('failed', 1_000, 'rfd_a'), refund('succeeded', 5_000, 'rfd_b')],
      ],
      [
        ...['payment.captured', 'payment.partially_refunded', 'refund.succeeded'],
        ...['refund.failed', 'payment.refunded', 'refund.succeeded'],
      ],
    ],
    [
      'of a dispute, and not that it is captured again when it is won',
      [initiated(), news('captured'), dispute('opened'), dispute('opened'), dispute('won')],
      ['payment.captured', 'payment.disputed', 'dispute.opened', 'dispute.won'],
    ],
    [
      'that a dispute was lost',
      [initiated(), news('captured'), dispute('opened'), dispute('lost')],
      ['payment.captured', 'payment.disputed', 'dispute.opened', 'dispute.lost'],
    ],
    [
      'of a failure, and of the late news that it was captured after all',
      [initiated(), news('failed', { decline_reason: 'card_declined' }), news('captured')],
      ['payment.failed', 'payment.captured'],
    ],
  ])('%s', (_, steps, told) => {
    expect(toldOf(steps)).toEqual(told);
  });

  test('nothing twice, whatever comes again', () => {
    const starts = [[initiated()], [initiated(), news('captured')], [initiated(), news('failed')]];
    for (const start of starts)
      for (const kind of newsKinds) {
        const step = news(kind, { subject: 'x_1' });
        const once = toldOf([...start, step]);
        expect(toldOf([...start, step, step, step])).toEqual(once);
      }
  });

  test('every status that is told has a type, and the type a status', () => {
    const told = noticeTypeNames.filter((type) => type.startsWith('payment.'));
    const statuses = paymentStatuses.filter((status) => status !== 'processing');
    expect(told.toSorted()).toEqual(
      statuses.map((status) => `payment.${status}` as const).toSorted(),
    );
  });
});

test('a settlement tells that it was paid', () => {
  const [data] = SettlementPaid.examples;
  const state: State = { balance: () => 0, documents: () => [], record: () => null };
  const event = { tenant: 1, id: 'e', type: 'settlement.paid', acceptedAt: 1, data };
  const decision = rules.get('settlement.paid')!.decide(event as never, state);
  expect(decision.verdict === 'post' && (decision.rows ?? []).flatMap(typeOf)).toEqual([
    'settlement.paid',
  ]);
});

const world = await openWebhookWorld('hooks_notices');
const { stack, tenant } = world;

async function count(table: 'notices' | 'effects' | 'webhook_attempts', of = tenant) {
  const [row] = await stack.owner`
    select count(*)::int as n from ${stack.owner(table)} where tenant_id = ${of}`;
  return row!['n'] as number;
}

test('nothing is kept for a tenant that nobody listens to', async () => {
  await world.tell([{}, {}]);
  expect([await count('notices'), await count('effects')]).toEqual([0, 0]);
});

test('each notice goes to the endpoints that want its type, of its own tenant only', async () => {
  const { id: other } = await stack.createTenant('other');
  const receiver = world.receiver();
  const [all, some, off] = [
    await world.endpoint(receiver.url),
    await world.endpoint(receiver.url, ['payment.failed', 'refund.failed']),
    await world.endpoint(receiver.url),
  ];
  const change = { url: receiver.url, event_types: ['*' as const], description: '' };
  const name = { tenant, id: off.id };
  await changeEndpoint(stack.sql, name, { ...change, status: 'disabled' }, 'test');
  const theirs = await world.endpoint(receiver.url, ['*'], other);
  await world.tell([{ type: 'payment.captured' }, { type: 'payment.failed' }]);
  const counts = await Promise.all(
    [all, some, off, theirs].map(async ({ id }) => (await world.deliveries(id)).length),
  );
  expect(counts).toEqual([2, 1, 0, 0]);
});

test('the same event tells once; the notices of a subject are numbered in order', async () => {
  const before = [await count('notices'), await count('effects')];
  const rows = [{ subject: 'pay_s' }, { subject: 'pay_s' }, { subject: 'pay_t' }];
  const event = await world.tell(rows);
  await world.tell(rows, tenant, event);
  expect(await count('notices')).toBe(before[0]! + 3);
  await world.tell([{ subject: 'pay_s' }]);
  const found = await stack.owner`
    select subject, sequence::int, data->>'n' as n from notices
    where subject in ('pay_s', 'pay_t') order by subject, sequence`;
  expect(found.map(({ subject, sequence }) => [subject, sequence])).toEqual([
    ['pay_s', 1],
    ['pay_s', 2],
    ['pay_s', 3],
    ['pay_t', 1],
  ]);
  expect(found.slice(0, 2).map(({ n }) => n)).toEqual(['0', '1']);
});

test('what is old goes, with its deliveries; what still waits stays', async () => {
  const receiver = world.receiver();
  receiver.answer = () => new Response('', { status: 500 });
  const { id } = await world.endpoint(receiver.url, ['settlement.paid']);
  await world.tell([{ type: 'settlement.paid', subject: 'po_wait' }]);
  await stack.owner`update effects set status = 'done', settled_at = now()
    where data->>'endpoint' <> ${id.slice(4)} and status = 'waiting'`;
  await stack.owner`update notices set written_at = now() - interval '31 days'`;
  await stack.sql`select system_notices_prune(30, 10000)`;
  const left = await stack.owner`select subject from notices`;
  expect(left.map(({ subject }) => subject)).toEqual(['po_wait']);
  const [orphans] = await stack.owner`
    select count(*)::int as n from effects e
    where not exists (select from notices n where n.id = (e.data->>'notice')::uuid)`;
  expect(orphans!['n']).toBe(0);
});
