// `npm run prove:payments`: many payments against the sandbox, in trouble all the while, judged by
// what the gateways' own bank says. See docs/payments.md.
// Invariant: the exit code is 0 only when all came to rest and nothing was found wrong.
import { parseArgs } from 'node:util';
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
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
    allowNegative: true,
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const plan: Plan = {
    ...{ payments: Number(values.payments), seed: Number(values.seed) },
    ...{ clients: Number(values.clients), kill: values.kill ? 'all' : 'none' },
    ...{ webhooks: values.webhooks, leftOut: values.webhooks ? [] : toldByWebhook },
    ...{ downMs: DOWN_MS, holdMs: HOLD_MS },
  };
  console.error(`seed ${plan.seed}`);
  const result = await provePayments(plan, (line) => console.error(line));
  console.log(values.json ? JSON.stringify(result) : textOf(result));
  return result.ok ? 0 : 1;
}

if (import.meta.main) process.exit(await main());
