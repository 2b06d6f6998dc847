// Stalls: how long one request keeps all others of its process waiting. What it takes is CPU of one
// thread, nearly all in one go, so its CPU time bounds what it adds to the wait of the others.
// `npm run bench -- stalls [--times 50]`
import type { CouponTerms } from '../schemas/coupons.ts';
import type { Stack } from '../test/services.ts';
import { readOptions } from './lib/arguments.ts';
import { putCoupons } from './lib/coupons.ts';
import { markdownTable } from './lib/goals.ts';
import { describeMachine, machineText, usageOf } from './lib/machine.ts';
import { saveJson, saveText } from './lib/results.ts';
import { type LoadedServer, withProduct } from './lib/servers.ts';
import { couponCode } from './lib/workloads.ts';

const CODES = 10_000;
const ITEMS = 1_000;
const BODY_BYTES = 4_000_000;
const WARM_UP = 10;
const TERMS: CouponTerms = { kind: 'percent', percent_bp: 1_000, status: 'active' };

interface Heavy {
  what: string;
  path: string;
  /** Of the n-th request. */
  body(n: number): string;
}

const total = { amount: 5_000, currency: 'USD' };

const requests: readonly Heavy[] = [
  {
    what: `${ITEMS} events`,
    path: '/v1/events',
    body: (n) => JSON.stringify(Array.from({ length: ITEMS }, (_, index) => event(n, index))),
  },
  {
    what: `${ITEMS} checks`,
    path: '/v1/coupons/validate/batch',
    body: (n) =>
      JSON.stringify({
        checks: Array.from({ length: ITEMS }, (_, index) => ({
          code: couponCode((n * ITEMS + index) % CODES),
          order: { total },
        })),
      }),
  },
  {
    what: '4 MB of members that are not known',
    path: '/v1/events',
    body: () => `{${Array.from({ length: 300_000 }, (_, n) => `"k${n}":1`).join()}}`,
  },
  {
    what: '4 MB of arrays in arrays',
    path: '/v1/events',
    body: () => '['.repeat(BODY_BYTES / 2) + ']'.repeat(BODY_BYTES / 2),
  },
  {
    what: '4 MB of one text',
    path: '/v1/events',
    body: () => `{"id":"${'x'.repeat(BODY_BYTES)}"}`,
  },
];

function event(n: number, index: number): object {
  const data = { user_id: `u_${index}`, kind: 'stall', amount: total, reference: 'r' };
  return { id: `stall-${n}-${index}`, type: 'earning.credited', data };
}

export async function stallsBench(args: readonly string[]): Promise<number> {
  const { times } = readOptions(args, { times: 50 });
  const prepare = (stack: Stack, tenant: number): Promise<void> => {
    // Whoever else uses the machine must not make it refuse.
    stack.environment['QUEUE_WAIT_MS_MAX'] = '3600000';
    return putCoupons(stack, tenant, CODES, TERMS);
  };
  const rows = await withProduct({ prepare }, async ({ server }) => {
    const measured: { what: string; cpuMs: number; answered: number[] }[] = [];
    for (const heavy of requests) {
      await send(server, heavy, 0, WARM_UP);
      const before = usageOf(server.pid).cpuSeconds;
      const answered = await send(server, heavy, WARM_UP, times);
      const cpuMs = ((usageOf(server.pid).cpuSeconds - before) * 1_000) / times;
      measured.push({ what: heavy.what, cpuMs, answered });
    }
    return measured;
  });
  const head = ['one request of', 'CPU of the ingress', 'answered'];
  const cells = rows.map(({ what, cpuMs, answered }) => [
    ...[what, `${cpuMs.toFixed(1)} ms`, answered.join(', ')],
  ]);
  const machine = describeMachine();
  const text = `${markdownTable(head, cells)}\n\n${machineText(machine)}\n`;
  await saveJson('stalls', { machine, rows });
  console.log(`${text}\nsaved in ${await saveText('stalls.md', text)}`);
  return 0;
}

/** One after the other; gives the statuses that came. */
async function send(
  { url, apiKey }: LoadedServer,
  { path, body }: Heavy,
  from: number,
  times: number,
): Promise<number[]> {
  const statuses = new Set<number>();
  for (let n = from; n < from + times; n++) {
    const answer = await fetch(url + path, {
      method: 'POST',
      headers: { Authorization: `Bearer ${apiKey}`, 'Content-Type': 'application/json' },
      body: body(n),
    });
    await answer.text();
    statuses.add(answer.status);
  }
  return [...statuses];
}
