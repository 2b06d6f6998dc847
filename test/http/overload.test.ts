// An ingress that is asked for more than it can do, in a process of its own.
import { afterAll, expect, test } from 'bun:test';
import { HttpLoad } from '../../bench/lib/http-load.ts';
import { requestMaker } from '../../bench/lib/workloads.ts';
import { LoopWait, type Wait } from '../../src/http/loop-wait.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('overload');
const tenant = await stack.createTenant('overload');

const waits: Wait[] = [];
const loopWait = new LoopWait((wait) => waits.push(wait));
afterAll(() => loopWait.stop());

async function waitAfter(block: () => void): Promise<Wait> {
  const seen = waits.length;
  block();
  return eventually('a wait is told', () => waits[seen]);
}

test('a busy process sees how long its callers wait, and whether it is its own doing', async () => {
  await loopWait.start();
  const busy = await waitAfter(() => {
    for (const endMs = performance.now() + 400; performance.now() < endMs;) Bun.hash('work');
  });
  expect(busy.ms).toBeGreaterThan(300);
  expect(busy.ownMs).toBeLessThanOrEqual(busy.ms);
  const halted = await waitAfter(() => Bun.sleepSync(400));
  expect(halted.ms).toBeGreaterThan(300);
  // Threads of the engine may work meanwhile.
  expect(halted.ownMs).toBeLessThan(halted.ms * 0.8);
});

test('with too many callers it answers some, refuses others, and comes back', async () => {
  const env = { QUEUE_WAIT_MS_MAX: '10', REFUSAL_HOLD_MS: '100' };
  const { url } = await stack.startIngress(env);
  const { hostname: host, port } = new URL(url);
  const target = { host, port: Number(port), apiKey: tenant.key };
  const validate = requestMaker({ name: 'validate', target, keys: 10, batch: 1, run: 'overload' });
  const plan = { ...target, connections: 1_500, seconds: 3, warmUpSeconds: 0, rate: null };
  const { statuses } = await new HttpLoad(plan, validate).run();
  expect(Object.keys(statuses)).toEqual(['200', '503']);

  const metrics = await (await fetch(`${url}/metrics`)).text();
  const refused = /admission_refused_total\{[^}]*reason="queue_wait"[^}]*\} (\d+)/.exec(metrics);
  expect(Number(refused?.[1])).toBeGreaterThan(0);

  const ask = () =>
    fetch(`${url}/v1/coupons/validate`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${tenant.key}`, 'Content-Type': 'application/json' },
      body: '{"code":"NONE","order":{"total":{"amount":1,"currency":"USD"}}}',
    });
  await eventually('it answers again', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, ask));
    return answers.every(({ ok }) => ok);
  });
}, 60_000);
