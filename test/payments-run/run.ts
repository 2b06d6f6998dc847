// One run: so many payments through the whole product against the sandbox, in trouble all the
// while, and the judgement when nothing is left to do.
// Invariant: it gives a verdict only of a product that has come to rest.
import { seededRandom } from '../../bench/lib/zipf.ts';
import type { PaymentFacts } from '../../consumers/payments-facts.ts';
import { gatewayNames } from '../../schemas/payments.ts';
import type { Tally } from '../prove/buyer.ts';
import { type Balance, type Evidence, type Verdict, judge } from './audit.ts';
import { postMortems } from './post-mortem.ts';
import { Shop } from './shop.ts';
import { Stage } from './stage.ts';
import { type TroublePlan, faults, troublesOf, webhookFaults } from './troubles.ts';
import { type WishKind, wishesOf } from './wishes.ts';

export interface Plan extends TroublePlan {
  payments: number;
  seed: number;
  /** Buyers at once. */
  clients: number;
  leftOut: readonly WishKind[];
  /** How long the sandbox holds a request that it does not answer. */
  holdMs: number;
  /** How long it takes over methods that take their time, and over refunds that bounce. */
  pendingMs: number;
}

export interface WebhookCounts {
  /** Things that happened. */
  events: number;
  /** Times that one of them was told. */
  told: number;
  /** Told until the sandbox gave up. */
  lost: number;
}

export interface RunResult extends Verdict {
  tally: Tally;
  webhooks: WebhookCounts | null;
  troubles: string[];
  /** From the first request to the last answer; until nothing was left to do. */
  askedS: number;
  wallS: number;
  ok: boolean;
}

/** More of them undecided, and the buyers wait: a shop has so many open at once, not all. */
const UNDECIDED_MAX = 1_500;
const LOOK_MS = 250;
const REST_WITHIN_MS = 600_000;
/** Longer than anything is on its way. */
const SETTLING_MS = 500;

export async function provePayments(plan: Plan, say: (line: string) => void): Promise<RunResult> {
  const stage = await Stage.open(plan.kill === 'all');
  try {
    return await run(stage, plan, say);
  } finally {
    await stage.close();
  }
}

async function run(stage: Stage, plan: Plan, say: (line: string) => void): Promise<RunResult> {
  const { payments, seed, clients, webhooks, leftOut } = plan;
  if (webhooks) await stage.listenToWebhooks(webhookFaults);
  const trouble = { hold_ms: plan.holdMs, pending_ms: plan.pendingMs, faults };
  await stage.sandbox.set({ seed, stripe: trouble, razorpay: trouble });
  const wishes = wishesOf(payments, seed, leftOut);
  const shop = new Shop(stage, seededRandom(seed));
  const startMs = performance.now();
  let next = 0;
  const pace = new Pace(stage);
  const client = async (): Promise<void> => {
    for (let wish = wishes[next++]; wish; wish = wishes[next++]) {
      await pace.room();
      await shop.serve(wish);
    }
  };
  const troubles: string[] = [];
  const befalling = async (): Promise<void> => {
    for (const { at, name, meet } of troublesOf(plan)) {
      while (next < at * payments) await Bun.sleep(20);
      say(`${Math.min(next, payments)} payments asked for: ${name}`);
      await meet(stage);
      troubles.push(name);
    }
  };
  await Promise.all([befalling(), ...Array.from({ length: clients }, client)]);
  await pace.stop();
  const askedS = (performance.now() - startMs) / 1_000;
  say(`all was asked for in ${askedS.toFixed(1)} s; waiting until nothing is left to do`);
  await atRest(stage, plan.pendingMs + SETTLING_MS, say);
  const wallS = (performance.now() - startMs) / 1_000;
  const verdict = judge(await evidenceOf(stage, shop));
  const { ok: verified, said } = await stage.verify();
  const { deaths } = stage;
  const wrong = [...deaths, ...shop.tally.wrong, ...verdict.wrong, ...(verified ? [] : [said])];
  if (wrong.length > 0) say(await postMortems(stage, wrong));
  const told = webhooks ? await webhookCounts(stage) : null;
  return {
    ...verdict,
    ...{ tally: shop.tally, webhooks: told, troubles, askedS, wallS, wrong },
    ok: wrong.length === 0,
  };
}

/** Holds buyers back while too many payments are undecided. */
class Pace {
  private undecided = 0;
  private stopped = false;
  private readonly looking: Promise<void>;

  constructor(private readonly stage: Stage) {
    this.looking = this.look();
  }

  async room(): Promise<void> {
    while (this.undecided > UNDECIDED_MAX) await Bun.sleep(LOOK_MS / 5);
  }

  private async look(): Promise<void> {
    while (!this.stopped) {
      await Bun.sleep(LOOK_MS);
      // While Postgres is away, what was known last holds.
      const left = await this.stage.left().catch(() => null);
      this.undecided = left?.['undecided'] ?? this.undecided;
    }
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.looking;
  }
}

/** Nothing left for so long: what is on its way between two places, or lies with a bank, comes. */
async function atRest(stage: Stage, forMs: number, say: (line: string) => void): Promise<void> {
  const deadline = Date.now() + REST_WITHIN_MS;
  let before = '';
  for (let emptyAtMs = Infinity; Date.now() < emptyAtMs + forMs; await Bun.sleep(LOOK_MS)) {
    if (stage.deaths.length > 0) throw new Error(stage.deaths.join('\n'));
    const left = Object.entries(await stage.left()).filter(([, count]) => count > 0);
    const now = left.map(([what, count]) => `${count} ${what}`).join(', ');
    emptyAtMs = now === '' ? Math.min(emptyAtMs, Date.now()) : Infinity;
    if (now !== before) say(`  left: ${now || 'nothing'}`);
    before = now;
    if (Date.now() > deadline) throw new Error(`it did not come to rest: ${now}`);
  }
}

async function evidenceOf({ owner, sandbox, tenant }: Stage, shop: Shop): Promise<Evidence> {
  const rows = await owner<{ id: string; body: PaymentFacts }[]>`
    select 'pay_' || id::text as id, body from payments where tenant_id = ${tenant.id}`;
  const balances = await owner<Balance[]>`
    select account, unit, balance::float8 as balance from balances where tenant_id = ${tenant.id}`;
  const charges = await Promise.all(gatewayNames.map((name) => sandbox.all(name, 'charge')));
  return {
    orders: shop.orders,
    payments: new Map(rows.map(({ id, body }) => [id, body])),
    charges: charges.flat(),
    lines: await sandbox.settlement(),
    balances,
  };
}

async function webhookCounts({ sandbox }: Stage): Promise<WebhookCounts> {
  const deliveries = await sandbox.deliveries();
  const events = await Promise.all(gatewayNames.map((name) => sandbox.all(name, 'event')));
  const told = deliveries.reduce((sum, { count }) => sum + count, 0);
  const given = deliveries.filter(({ state }) => state === 'given_up');
  const lost = given.reduce((sum, { count }) => sum + count, 0);
  return { events: events.flat().length, told, lost };
}
