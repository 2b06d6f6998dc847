// `npm run prove:payments`: many payments against the sandbox, in trouble all the while, judged by
// what the gateways' own bank says. See docs/payments.md.
// Invariant: the exit code is 0 only when all came to rest and nothing was found wrong.
import { parseArgs } from 'node:util';
import { openServices } from '../services.ts';
import { isExact, race, races } from './limit-race.ts';
import { textOf } from './report.ts';
import { type Plan, provePayments } from './run.ts';
import { toldByWebhook } from './wishes.ts';

const USAGE = `npm run prove:payments -- [options]

Starts Postgres, Redis, two ingress processes, a worker, the effects process and the sandbox of both
gateways, pays, captures, cancels, refunds and disputes while requests go unanswered and gateways
go away, and compares the books with the gateways' settlement files. Exit code 1 when anything is
off.

  --payments N    20000 by default
  --seed N        repeats the choices of an earlier run
  --clients N     buyers at once; 200 by default
  --kill          kill -9 of effects, worker, ingress, Redis and Postgres meanwhile
  --no-webhooks   the gateways tell nothing; what is not answered is asked for
  --limits        instead: the limits of payments, raced for at two ingress processes at once
  --json          the result as JSON, for scripts
  --help          this text`;

/** As long as a request to a gateway may take, and longer. */
const HOLD_MS = 10_000;
const DOWN_MS = 12_000;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      payments: { type: 'string', default: '20000' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 1e6)) },
      clients: { type: 'string', default: '200' },
      kill: { type: 'boolean', default: false },
      webhooks: { type: 'boolean', default: true },
      limits: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
    allowNegative: true,
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  if (values.limits) return await proveLimits();
  const plan: Plan = {
    ...{ payments: Number(values.payments), seed: Number(values.seed) },
    ...{ clients: Number(values.clients), kill: values.kill ? 'all' : 'none' },
    ...{ webhooks: values.webhooks, leftOut: values.webhooks ? [] : toldByWebhook },
    ...{ downMs: DOWN_MS, holdMs: HOLD_MS, pendingMs: 2_000 },
  };
  console.error(`seed ${plan.seed}`);
  const result = await provePayments(plan, (line) => console.error(line));
  console.log(values.json ? JSON.stringify(result) : textOf(result));
  return result.ok ? 0 : 1;
}

async function proveLimits(): Promise<number> {
  const stack = await openServices('payment_limits');
  try {
    const settings = { TRUSTED_PROXY_HOPS: '1', QUEUE_WAIT_MS_MAX: '3600000' };
    const ingresses = [await stack.startIngress(settings), await stack.startIngress(settings)];
    const urls = ingresses.map(({ url }) => url);
    let isEvery = true;
    for (const plan of races) {
      const result = await race(stack, urls, plan);
      const { admitted, quota, subject, subjects, asks } = result;
      const [least, most] = [Math.min(...admitted), Math.max(...admitted)];
      console.log(
        `${subject.padEnd(8)} ${subjects} × ${asks} asked, limit ${quota}: ` +
          `${least} to ${most} admitted ${isExact(result) ? '' : 'BROKEN'}`,
      );
      isEvery &&= isExact(result);
    }
    return isEvery ? 0 : 1;
  } finally {
    await stack.close();
  }
}

if (import.meta.main) process.exit(await main());
