// `npm run prove:limits`: attacks coupon limits and judges by the ledger's rows whether one was
// ever exceeded. See docs/prove-limits.md.
// Invariant: the exit code is 0 only when every attack ran to its end and nothing was over.
import { parseArgs } from 'node:util';
import { Arena, type Attack, type Result } from './arena.ts';
import { attacks } from './attacks.ts';
import { disasters } from './disasters.ts';
import { ForeignGround } from './foreign.ts';
import { ownGround } from './ground.ts';
import { tableOf } from './report.ts';
import { Stage } from './stage.ts';

export interface Plan {
  /** Of load in each attack. */
  milliseconds: number;
  seed: number;
  clients: number;
  ingresses: number;
  workers: number;
  /** Parts of names; all where there are none. */
  only: readonly string[];
  /** Somebody's stack, of which no process is killed; null starts one. */
  target: { url: string; key: string } | null;
}

const all: readonly Attack[] = [...attacks, ...disasters];

export async function prove(plan: Plan, say: (line: string) => void): Promise<Result[]> {
  const possible = plan.target ? attacks : all;
  const chosen = possible.filter(
    ({ name }) => plan.only.length === 0 || plan.only.some((part) => name.includes(part)),
  );
  if (chosen.length === 0) throw new Error(`no such attack; there are: ${namesOf(possible)}`);
  const random = seeded(plan.seed);
  const { target } = plan;
  const stage = target ? null : await Stage.open(plan.ingresses, plan.workers);
  const ground = stage ? ownGround(stage) : new ForeignGround(target!.url, target!.key);
  try {
    const results: Result[] = [];
    for (const attack of chosen) {
      say(`${attack.name}: ${attack.about}`);
      const arena = new Arena(ground, stage, random, plan, attack);
      await attack.run(arena);
      const result = await arena.reckon();
      for (const wrong of new Set(result.wrong)) say(`  wrong: ${wrong}`);
      results.push(result);
    }
    return results;
  } finally {
    await stage?.close();
  }
}

function namesOf(some: readonly Attack[]): string {
  return some.map(({ name }) => name).join(', ');
}

/** The same attacks for the same seed, as far as processes and the network let them be. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const USAGE = `npm run prove:limits -- [options]

Starts Postgres, Redis, three ingress processes and two workers, attacks coupon limits in
${all.length} ways and prints what the ledger says became of them. Exit code 1 when anything is off.

  --seconds N   of load in each attack; 5 by default
  --clients N   buyers at once; 300 by default
  --seed N      repeats the choices of an earlier run
  --only NAME   attacks whose name has this in it; may be given several times
  --json        the results as JSON, for scripts
  --url, --key  attacks this stack, in the ${attacks.length} ways that need no more than HTTP; the
                key needs coupons:write, coupons:redeem and balances:read
  --help        this text

Attacks: ${namesOf(all)}`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '5' },
      clients: { type: 'string', default: '300' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 1e6)) },
      only: { type: 'string', multiple: true, default: [] },
      json: { type: 'boolean', default: false },
      url: { type: 'string' },
      key: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const { url, key } = values;
  if ((url === undefined) !== (key === undefined)) throw new Error('--url and --key go together');
  const target = url !== undefined && key !== undefined ? { url, key } : null;
  const seed = Number(values.seed);
  const say = (line: string): void => console.error(line);
  say(`seed ${seed}`);
  const plan: Plan = {
    ...{ milliseconds: Number(values.seconds) * 1_000, seed, clients: Number(values.clients) },
    ...{ ingresses: 3, workers: 2, only: values.only, target },
  };
  const results = await prove(plan, say);
  const ok = results.every((result) => result.ok);
  console.log(values.json ? JSON.stringify({ ok, seed, results }) : tableOf(results));
  return ok ? 0 : 1;
}

if (import.meta.main) process.exit(await main());
