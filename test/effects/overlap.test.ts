// Calls that take longer than their claims: requests reach the gateways late, out of order and
// twice, from two workers at once, and still everybody is charged once.
import { afterAll, expect, test } from 'bun:test';
import { type GatewayName, gatewayNames } from '../../schemas/payments.ts';
import { gatewayHandler, gatewayLane } from '../../src/effects/gateway-lane.ts';
import { Lane } from '../../src/effects/lane.ts';
import { laneMetrics } from '../../src/effects/metrics.ts';
import { reporter } from '../../src/effects/report.ts';
import { GatewayAccounts } from '../../src/gateways/accounts.ts';
import { gatewayOpener } from '../../src/gateways/open.ts';
import { createLog } from '../../src/io/log.ts';
import { Metrics } from '../../src/io/metrics.ts';
import { effectStore } from '../../src/store/effects.ts';
import { openPayments } from '../gateways/payments-stage.ts';
import { eventually } from '../processes.ts';

const stage = await openPayments('effects_overlap');
const { stack, initiate, becomes, taken } = stage;
const log = createLog('overlap', 'silent');
const accounts = new GatewayAccounts(stack.sql, stage.vault, () => {});
await accounts.ready;
const lanes = ['one', 'another'].flatMap(() => gatewayNames.map((name) => startLane(name)));
afterAll(async () => {
  await Promise.all(lanes.map((lane) => lane.stop()));
  await accounts.stop();
  await stage.close();
}, 30_000);

function startLane(name: GatewayName): Lane {
  const { stripe: stripeUrl, razorpay: razorpayUrl } = stage.sandbox.urls;
  const opener = gatewayOpener(accounts, name, { stripeUrl, razorpayUrl });
  const lane = new Lane(
    {
      store: effectStore(stack.sql),
      report: reporter(stage.appender, Date.now),
      handler: gatewayHandler(name, opener, log),
      metrics: laneMetrics(new Metrics(), name),
      log,
    },
    {
      ...gatewayLane(name),
      ...{ timeoutMs: 300, settleMs: 60, backoff: { baseMs: 20, maxMs: 200 } },
      breaker: { failures: 1_000_000, openMs: 1 },
    },
  );
  lane.start();
  return lane;
}

test('late, out of order and twice: everybody is charged once', async () => {
  const slow = { latency_median_ms: 50, latency_p99_ms: 600, fault_scope: 'all' };
  const faults = { timeout_after: 0.03, reset_after: 0.03 };
  await stage.set({ stripe: { ...slow, faults }, razorpay: { ...slow, faults } });
  const ids = [];
  for (let n = 0; n < 40; n++)
    ids.push(await initiate(n % 2 === 0 ? ['stripe', 'razorpay'] : ['razorpay', 'stripe']));
  for (const id of ids) await becomes(id, 'captured', 40_000);
  await eventually('nothing is left to do', async () => {
    const [row] = await stack.owner`
      select count(*) filter (where status = 'waiting')::int as waiting,
        sum(attempts)::int as tries from effects`;
    const { waiting, tries } = row as unknown as { waiting: number; tries: number };
    // Else nothing came late.
    return waiting === 0 && tries > ids.length;
  });
  for (const id of ids) expect({ id, taken: await taken(id) }).toEqual({ id, taken: [4_999] });
  for (const name of gatewayNames) {
    const { bySandbox, byBooks } = await stage.owed(name);
    expect({ name, owed: byBooks }).toEqual({ name, owed: bySandbox });
  }
});
