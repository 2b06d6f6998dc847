// Payments all the way: events, rules, calls, the sandbox, news, books; with a gateway that is
// away, methods that take their time, and answers that do not come.
import { afterAll, expect, test } from 'bun:test';
import type { EventDefinition } from '../../schemas/events.ts';
import {
  CaptureRequested,
  PaymentInitiated,
  RefundRequested,
} from '../../schemas/payments-events.ts';
import type { GatewayName } from '../../schemas/payments.ts';
import { openGatewayLanes } from '../../src/effects/gateway-lanes.ts';
import { laneMetrics } from '../../src/effects/metrics.ts';
import { reporter } from '../../src/effects/report.ts';
import { createLog } from '../../src/io/log.ts';
import { Metrics } from '../../src/io/metrics.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { effectStore } from '../../src/store/effects.ts';
import { putAccount, razorpayChange, stripeChange } from '../../src/store/gateway-accounts.ts';
import { openVault } from '../../src/store/secrets.ts';
import { Appender } from '../../src/stream/append.ts';
import { encodeEvent } from '../../src/stream/codec.ts';
import { partitionOf } from '../../src/stream/topology.ts';
import { startLedger } from '../coupons/ledger.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';
import { sandboxWorld } from './sandbox-world.ts';

const sandbox = await sandboxWorld();
const stack = await openStack('payments_through');
const { id: tenant } = await stack.createTenant('payments_through');
const vault = await openVault(stack.environment['TALLYRACE_SECRETS_KEY']!, null);
await putAccounts();
const redis = producerClient(stack.redisUrl, 'payments through');
await redisReady(redis);
const log = createLog('payments through', 'silent');
const appender = new Appender(redis, { bytesWaitingMax: 1e8, entryEventsMax: 1_000 });
const ledger = await startLedger(stack);
const { lanes, stop } = await openGatewayLanes({
  ...{ redis, sql: stack.sql, vault, log },
  urls: { stripeUrl: sandbox.urls.stripe, razorpayUrl: sandbox.urls.razorpay },
  shared: { store: effectStore(stack.sql), report: reporter(appender, Date.now), log },
  metricsOf: (lane) => laneMetrics(new Metrics(), lane),
});
for (const lane of lanes) lane.start();
afterAll(async () => {
  await Promise.all(lanes.map((lane) => lane.stop()));
  await stop();
  await ledger.stop();
  redis.disconnect();
  await sandbox.stop();
}, 30_000);

async function putAccounts(): Promise<void> {
  const target = { tenant, actor: 'test' };
  const stripe = { secret_key: 'sk_test_through', webhook_secret: 'whsec_through' };
  const razorpay = {
    ...{ key_id: 'rzp_test_through', key_secret: 'through_it', webhook_secret: 'through_it' },
    ...{ email: 'payments@shop.example', contact: '+919900000000' },
  };
  await putAccount(stack.sql, vault, { ...target, name: 'stripe' }, stripeChange(stripe));
  await putAccount(stack.sql, vault, { ...target, name: 'razorpay' }, razorpayChange(razorpay));
}

async function send(definition: EventDefinition, id: string, data: object): Promise<void> {
  const header = { tenant, id, acceptedAt: Date.now(), traceparent: null };
  const orderKey = definition.orderKey(data as Record<string, unknown>);
  const tuple = encodeEvent(definition, { ...header, data });
  await appender.append(definition.topic, partitionOf(tenant, orderKey), tuple);
}

interface Body {
  status: string;
  attempt: number;
  captured: number;
  refunds: Record<string, { status: string }>;
}

async function initiate(gateways: readonly GatewayName[], token: string, more: object = {}) {
  const id = `pay_${Bun.randomUUIDv7()}`;
  await send(PaymentInitiated, id, {
    payment_id: id,
    amount: { amount: 4_999, currency: 'INR' },
    customer_id: 'c_1',
    method: { type: 'card', token },
    capture: 'automatic',
    gateways,
    risk: { score: 1, decision: 'allow' },
    actor: 'test',
    initiated_at: new Date().toISOString(),
    ...more,
  });
  return id;
}

async function payment(id: string): Promise<Body | null> {
  const [row] = await stack.owner`select body from payments where id = ${id.slice(4)}`;
  return (row?.['body'] as Body | undefined) ?? null;
}

async function becomes(id: string, status: string): Promise<Body> {
  await eventually(`${id} is ${status}`, async () => (await payment(id))?.status === status);
  return (await payment(id))!;
}

/** What a gateway owes is what the books say that it owes. */
async function expectBooks(name: GatewayName): Promise<void> {
  const lines = (await sandbox.settlement()).filter(({ gateway }) => gateway === name);
  const owed = lines.reduce((sum, { net }) => sum + Number(net), 0);
  const [row] = await stack.owner`
    select balance::text from balances
    where tenant_id = ${tenant} and account = ${`gateway:${name}:clearing`} and unit = 'INR'`;
  expect({ name, owed }).toEqual({ name, owed: 0 - Number(row?.['balance'] ?? 0) });
}

const set = (settings: object) => sandbox.control('PATCH', '/settings', settings);

test('a charge is captured, a refusal of the bank is final', async () => {
  const [good, bad] = await Promise.all([
    initiate(['stripe', 'razorpay'], 'pm_card_visa'),
    initiate(['stripe', 'razorpay'], 'pm_card_visa_chargeDeclined'),
  ]);
  expect(await becomes(good, 'captured')).toMatchObject({ captured: 4_999, attempt: 1 });
  expect(await becomes(bad, 'failed')).toMatchObject({ attempt: 1 });
});

test('held, captured in part, refunded', async () => {
  const id = await initiate(['stripe'], 'pm_card_visa', { capture: 'manual' });
  await becomes(id, 'authorized');
  const asked = { payment_id: id, actor: 'test', requested_at: new Date().toISOString() };
  await send(CaptureRequested, `evt_${Bun.randomUUIDv7()}`, { ...asked, amount: 3_000 });
  expect(await becomes(id, 'captured')).toMatchObject({ captured: 3_000 });
  const refund = `rfd_${Bun.randomUUIDv7()}`;
  await send(RefundRequested, refund, { ...asked, refund_id: refund, amount: 1_000 });
  const { refunds } = await becomes(id, 'partially_refunded');
  expect(refunds[refund]).toMatchObject({ status: 'succeeded' });
});

test('a gateway that is away is failed over, at once and with its breaker open', async () => {
  await set({ stripe: { down: 'refused' } });
  const ids = [];
  for (let n = 0; n < 20; n++) ids.push(await initiate(['stripe', 'razorpay'], 'pm_card_visa'));
  for (const id of ids) expect(await becomes(id, 'captured')).toMatchObject({ attempt: 2 });
  await set({ stripe: { down: null } });
});

test('an answer that does not come is looked up, and nobody is charged twice', async () => {
  await set({ razorpay: { faults: { reset_after: 0.15 } } });
  const ids = [];
  for (let n = 0; n < 12; n++) ids.push(await initiate(['razorpay'], 'pm_card_visa'));
  for (const id of ids) await becomes(id, 'captured');
  await set({ razorpay: { faults: { reset_after: 0 } } });
});

test('a charge that was not decided is asked for again', async () => {
  await set({ razorpay: { pending_ms: 300 } });
  const id = await initiate(['razorpay'], 'success@razorpay');
  await eventually('the call is done', async () => {
    const [row] = await stack.owner`select status from effects where key = ${`${id}:charge:1`}`;
    return row?.['status'] === 'done';
  });
  expect(await payment(id)).toMatchObject({ status: 'processing' });
  const reopen = async (afterMs: number): Promise<number> => {
    const [row] = await stack.sql`select system_charges_reopen(${afterMs}, 10) as n`;
    return row!['n'] as number;
  };
  // Not yet: a minute has not passed.
  expect(await reopen(60_000)).toBe(0);
  await eventually('it is captured', async () => {
    await reopen(10);
    for (const lane of lanes) lane.nudge();
    return (await payment(id))!.status === 'captured';
  });
  expect(await reopen(0)).toBe(0);
});

test('in the end each gateway owes what the books say', async () => {
  await expectBooks('stripe');
  await expectBooks('razorpay');
  const [rows] = await stack.owner`select count(*)::int as waiting from effects
    where status <> 'done'`;
  expect(rows!['waiting']).toBe(0);
});
