// What a gateway's webhook costs at the door, and how long its answer takes: signed, checked,
// appended, answered, over HTTP, one after another and many at once.
// `npm run bench -- webhooks-in [--times 6000] [--bytes 4000]`
import { type Stack, openServices } from '../test/services.ts';
import { Client } from '../test/client.ts';
import { eventually } from '../test/processes.ts';
import { readOptions } from './lib/arguments.ts';
import { markdownTable } from './lib/goals.ts';
import { Histogram } from './lib/histogram.ts';
import { describeMachine, machineText, usageOf } from './lib/machine.ts';
import { saveJson, saveText } from './lib/results.ts';

/** Of the issue: an answer takes less. */
const GOAL_MS = 50;
const SECRET = 'whsec_bench';

interface Door {
  url: string;
  pids: { ingress: number; redis: number };
  times: number;
  bytes: number;
}

export async function webhooksInBench(args: readonly string[]): Promise<number> {
  const { times, bytes } = readOptions(args, { times: 6_000, bytes: 4_000 });
  const stack = await openServices('bench');
  try {
    const door = { ...(await openDoor(stack)), times, bytes };
    await measure({ ...door, times: 1_000 }, 8);
    const rows = [await measure(door, 1), await measure(door, 16), await measure(door, 64)];
    return await report(rows, bytes);
  } finally {
    await stack.close();
  }
}

async function openDoor(stack: Stack): Promise<Omit<Door, 'times' | 'bytes'>> {
  const { key } = await stack.createTenant('bench');
  const ingress = await stack.startIngress();
  const client = new Client(ingress.url, key);
  const account = { secret_key: 'sk_test_bench', webhook_secret: SECRET };
  const { body } = await client.put('/v1/gateways/stripe', account);
  const url = `${ingress.url}${String(body['webhook_path'])}`;
  await client.put('/v1/limits/webhooks', null);
  await eventually('the account is known', async () => (await send(url, 100)).status === 202);
  return { url, pids: { ingress: ingress.pid, redis: stack.redisPid } };
}

let sent = 0;

async function send(url: string, bytes: number): Promise<Response> {
  const object = { filler: 'x'.repeat(bytes) };
  const text = JSON.stringify({ id: `evt_${sent++}`, type: 'bench.sent', data: { object } });
  const time = Math.floor(Date.now() / 1_000);
  const hmac = new Bun.CryptoHasher('sha256', SECRET).update(`${time}.${text}`).digest('hex');
  const headers = {
    'content-type': 'application/json',
    'stripe-signature': `t=${time},v1=${hmac}`,
  };
  return await fetch(url, { method: 'POST', headers, body: text });
}

async function measure({ url, pids, times, bytes }: Door, together: number) {
  const histogram = new Histogram();
  const cpu = (): [number, number] => [
    usageOf(pids.ingress).cpuSeconds,
    usageOf(pids.redis).cpuSeconds,
  ];
  const [ingressBefore, redisBefore] = cpu();
  let left = times;
  const caller = async (): Promise<void> => {
    while (left-- > 0) {
      const startMs = performance.now();
      const answer = await send(url, bytes);
      await answer.arrayBuffer();
      if (answer.status !== 202) throw new Error(`answered ${answer.status}`);
      histogram.record(performance.now() - startMs);
    }
  };
  await Promise.all(Array.from({ length: together }, caller));
  const [ingress, redis] = cpu();
  const { p50Ms, p95Ms, p99Ms } = histogram.summary();
  return {
    ...{ together, p50Ms, p95Ms, p99Ms },
    ingressUs: ((ingress - ingressBefore) / times) * 1e6,
    redisUs: ((redis - redisBefore) / times) * 1e6,
  };
}

async function report(
  rows: readonly Awaited<ReturnType<typeof measure>>[],
  bytes: number,
): Promise<number> {
  const head = ['at once', 'p50', 'p95', 'p99', 'CPU of the ingress', 'of Redis'];
  const cells = rows.map(({ together, p50Ms, p95Ms, p99Ms, ingressUs, redisUs }) => [
    String(together),
    ...[p50Ms, p95Ms, p99Ms].map((ms) => `${ms.toFixed(1)} ms`),
    ...[ingressUs, redisUs].map((us) => `${us.toFixed(0)} µs`),
  ]);
  const machine = describeMachine();
  const what = `Webhooks of ${bytes} bytes, signed as Stripe does; the caller shares the machine.`;
  const text = `${what}\n\n${markdownTable(head, cells)}\n\n${machineText(machine)}\n`;
  await saveJson('webhooks-in', { machine, bytes, rows });
  console.log(`${text}\nsaved in ${await saveText('webhooks-in.md', text)}`);
  const slowest = Math.max(...rows.map(({ p99Ms }) => p99Ms));
  if (slowest >= GOAL_MS) console.log(`p99 ${slowest.toFixed(1)} ms is not within ${GOAL_MS} ms`);
  return 0;
}
