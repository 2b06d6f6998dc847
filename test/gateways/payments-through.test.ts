// Payments all the way: events, rules, calls, the sandbox, news, books; with a gateway that is
// away, methods that take their time, and answers that do not come.
import { afterAll, expect, test } from 'bun:test';
import { CaptureRequested, RefundRequested } from '../../schemas/payments-events.ts';
import { gatewayNames } from '../../schemas/payments.ts';
import { openGatewayLanes } from '../../src/effects/gateway-lanes.ts';
import { laneMetrics } from '../../src/effects/metrics.ts';
import { reporter } from '../../src/effects/report.ts';
import { createLog } from '../../src/io/log.ts';
import { Metrics } from '../../src/io/metrics.ts';
import { effectStore } from '../../src/store/effects.ts';
import { eventually } from '../processes.ts';
import { openPayments } from './payments-stage.ts';

const stage = await openPayments('payments_through');
const { stack, initiate, payment, becomes, send, set } = stage;
const log = createLog('payments through', 'silent');
const { lanes, stop } = await openGatewayLanes({
  ...{ redis: stage.redis, sql: stack.sql, vault: stage.vault, log },
  urls: { stripeUrl: stage.sandbox.urls.stripe, razorpayUrl: stage.sandbox.urls.razorpay },
  shared: { store: effectStore(stack.sql), report: reporter(stage.appender, Date.now), log },
  metricsOf: (lane) => laneMetrics(new Metrics(), lane),
});
for (const lane of lanes) lane.start();
afterAll(async () => {
  await Promise.all(lanes.map((lane) => lane.stop()));
  await stop();
  await stage.close();
}, 30_000);

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

test('one that the ledger hears of late is looked for first, and goes nowhere else', async () => {
  const fault = { gateway: 'stripe', method: 'POST', path: '/v1/payment_intents' };
  const fail = () =>
    stage.sandbox.control('POST', '/faults', { ...fault, fault: 'server_error', times: 1 });
  await fail();
  const young = await initiate(['stripe', 'razorpay']);
  expect(await becomes(young, 'captured')).toMatchObject({ attempt: 2 });
  await fail();
  const old = await initiate(['stripe', 'razorpay'], 'pm_card_visa', {}, Date.now() - 600_000);
  expect(await becomes(old, 'captured')).toMatchObject({ attempt: 1 });
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
  for (const name of gatewayNames) {
    const { bySandbox, byBooks } = await stage.owed(name);
    expect({ name, owed: byBooks }).toEqual({ name, owed: bySandbox });
  }
  const [rows] = await stack.owner`select count(*)::int as waiting from effects
    where status <> 'done'`;
  expect(rows!['waiting']).toBe(0);
});
