// Where one attack takes place: its codes, its buyers and its time, and the reckoning afterwards:
// what the ledger says was given away, whether it has what was acknowledged, and whether the slots
// that are left can be had.
import type { CouponTerms } from '../../schemas/coupons.ts';
import { type Finding, type Limits, audit } from './audit.ts';
import { Buyers, type Purchase, type Tally, emptyTally } from './buyer.ts';
import type { Ground } from './ground.ts';
import type { Stage } from './stage.ts';

export interface Attack {
  name: string;
  /** What a reader should know of it. */
  about: string;
  /** Redis loses what it acknowledged: not our doing, but it must be told. */
  mayLose?: boolean;
  run(arena: Arena): Promise<void>;
}

export interface Result {
  name: string;
  tally: Tally;
  limit: string;
  most: number;
  over: number;
  doubled: number;
  /** Acknowledged, and not in the ledger. */
  lost: number;
  /** Buyers refused though there was room. */
  lockedOut: number;
  /** Decided by terms older than those already stored when they were asked for. */
  stale: number;
  /** Whether Redis was made to lose what it acknowledged. */
  mayLose: boolean;
  ok: boolean;
  wrong: string[];
}

const PROBES_MAX = 400;
const EXPIRY_WITHIN_MS = 15_000;

export class Arena {
  readonly buyers: Buyers;
  readonly clients: number;
  readonly milliseconds: number;
  /** Codes that are judged, with the limit that they end with. */
  private readonly codes = new Map<string, CouponTerms>();
  private readonly stored: {
    code: string;
    version: number;
    at: number;
    terms: CouponTerms;
  }[] = [];
  private numbers = 0;
  private readonly run = crypto.randomUUID().slice(0, 8);

  /** `own`: null where processes are somebody else's. */
  constructor(
    private readonly ground: Ground,
    private readonly own: Stage | null,
    readonly random: () => number,
    plan: { clients: number; milliseconds: number },
    private readonly attack: Attack,
  ) {
    this.clients = plan.clients;
    this.milliseconds = plan.milliseconds;
    this.buyers = new Buyers(() => ground.urls(), ground.key, random);
  }

  private get names(): string[] {
    return [...this.codes.keys()];
  }

  /** Whether what was acknowledged may be gone. */
  get mayLose(): boolean {
    return this.attack.mayLose === true;
  }

  /** The processes, for attacks on them. */
  get stage(): Stage {
    if (!this.own) throw new Error('these processes are not ours to kill');
    return this.own;
  }

  /** A name that no other attack has. */
  code(word: string): string {
    return `${word}-${this.run}`;
  }

  nextOrder(): string {
    return `${this.run}-${++this.numbers}`;
  }

  chance(share: number): boolean {
    return this.random() < share;
  }

  pick(upTo: number): number {
    return Math.floor(this.random() * upTo);
  }

  /** A coupon that no other attack has; gives its code. */
  async make(word: string, terms: CouponTerms): Promise<string> {
    const code = this.code(word);
    await this.put(code, terms);
    return code;
  }

  async put(code: string, terms: CouponTerms): Promise<void> {
    const reply = await this.buyers.send('PUT', `/v1/coupons/${code}`, terms);
    if (!reply || reply.status >= 300) throw new Error(`${code}: ${JSON.stringify(reply)}`);
    this.codes.set(code, terms);
    const version = Number(reply.body['version']);
    this.stored.push({ code, version, at: Date.now(), terms });
  }

  /** Many at once, again and again until the time is over. */
  async crowd(one: () => Promise<unknown>, clients = this.clients): Promise<void> {
    const until = Date.now() + this.milliseconds;
    const worker = async (): Promise<void> => {
      while (Date.now() < until) await one();
    };
    await Promise.all(Array.from({ length: clients }, worker));
  }

  /** Something that happens now and then while `during` runs. */
  async meanwhile(
    during: Promise<void>,
    pauseMs: number,
    happen: () => Promise<void>,
  ): Promise<void> {
    let over = false;
    const done = during.finally(() => (over = true));
    while (!over) {
      await Promise.race([done, Bun.sleep(pauseMs * (0.5 + this.random()))]);
      if (!over) await happen();
    }
    await done;
  }

  async reckon(): Promise<Result> {
    await this.quiet();
    const { tally } = this.buyers;
    const room = await this.probe();
    await this.ground.settled(this.names);
    const findings = await this.findings();
    const all = [...findings.values()];
    const sum = (of: (finding: Finding) => number): number =>
      all.reduce((total, finding) => total + of(finding), 0);
    const lost = await this.lost();

    const result = {
      name: this.attack.name,
      tally,
      ...this.headline(findings),
      over: sum(({ over, negative }) => over + negative),
      doubled: sum(({ doubled }) => doubled),
      ...{ lost, lockedOut: room, stale: await this.stale() },
      mayLose: this.mayLose,
      wrong: tally.wrong,
    };
    const { over, doubled, lockedOut, stale, wrong } = result;
    const none = over + doubled + lockedOut + stale + wrong.length + tally.unresolved === 0;
    return { ...result, ok: none && (lost === 0 || result.mayLose) };
  }

  /** Until the ledger has everything and nothing waits to expire. */
  private async quiet(): Promise<void> {
    for (const deadline = Date.now() + EXPIRY_WITHIN_MS; ; await Bun.sleep(100)) {
      await this.ground.settled(this.names);
      const due = await this.ground.due(this.names, this.buyers.purchases);
      if (due === 0) return;
      if (Date.now() > deadline)
        return this.buyers.wrong(`${due} reservations did not expire in time`);
    }
  }

  /** What is left by the ledger must be had, by so many new buyers at once; then no more. Gives how
   * many were refused though there was room. */
  private async probe(): Promise<number> {
    let lockedOut = 0;
    const kept = this.buyers.tally;
    const findings = await this.findings();
    for (const [code, terms] of this.codes) {
      const limit = terms.limits?.global;
      if (limit === undefined || terms.status === 'disabled') continue;
      const room = Math.max(0, limit - findings.get(code)!.usesHeld);
      const asked = Math.min(room, PROBES_MAX);
      this.buyers.tally = emptyTally();
      const buy = (): Promise<Purchase> =>
        this.buyers.buy({ codes: [code], order: this.nextOrder(), commit: true });
      const got = await Promise.all(Array.from({ length: asked }, buy));
      lockedOut += got.filter(({ id }) => id === null).length;
      if (asked === room && (await buy()).id !== null)
        kept.wrong.push(`${code}: one more than its limit was accepted`);
      kept.wrong.push(...this.buyers.tally.wrong);
    }
    this.buyers.tally = kept;
    return lockedOut;
  }

  private async findings(): Promise<Map<string, Finding>> {
    const steps = await this.ground.steps(this.names, this.buyers.purchases);
    return new Map([...steps].map(([code, all]) => [code, audit(all, this.limitsOf(code))]));
  }

  private limitsOf(code: string): Map<number, Limits> {
    const stored = this.stored.filter((one) => one.code === code);
    return new Map(
      stored.map(({ version, terms }) => {
        const { global = null, per_customer: perCustomer = null, budget } = terms.limits ?? {};
        const money = terms.kind === 'gift_balance' ? terms.value : budget;
        return [version, { global, perCustomer, budget: money?.amount ?? null }];
      }),
    );
  }

  /** The code that matters most, in words and figures. */
  private headline(findings: ReadonlyMap<string, Finding>): { limit: string; most: number } {
    const [code, terms] = [...this.codes][0]!;
    const { usesMost, budgetMost, customerMost } = findings.get(code)!;
    const { per_customer: perCustomer, budget } = terms.limits ?? {};
    const money = terms.kind === 'gift_balance' ? terms.value : budget;
    if (money) return { limit: `${money.amount} ${money.currency}`, most: budgetMost };
    if (perCustomer) return { limit: `${perCustomer} a customer`, most: customerMost };
    return { limit: this.globalLimits(code), most: usesMost };
  }

  /** The one, or from the lowest to the highest that was set. */
  private globalLimits(code: string): string {
    const set = this.stored.flatMap((one) =>
      one.code === code ? (one.terms.limits?.global ?? []) : [],
    );
    const [low, high] = [Math.min(...set), Math.max(...set)];
    return low === high ? String(low) : `${low} to ${high}`;
  }

  private async lost(): Promise<number> {
    const statuses = await this.ground.statuses(this.names);
    return this.buyers.purchases.filter(({ id, status }) => {
      const recorded = statuses.get(id!);
      if (recorded === undefined) return true;
      return status === 'committed'
        ? recorded === 'reserved'
        : status === 'released' && recorded !== status;
    }).length;
  }

  private async stale(): Promise<number> {
    const steps = await this.ground.steps(this.names, this.buyers.purchases);
    const askedAt = new Map(this.buyers.purchases.map(({ id, askedAt: at }) => [id!, at]));
    let stale = 0;
    for (const [code, all] of steps)
      for (const { id, taken, version } of all) {
        const asked = askedAt.get(id);
        if (!taken || asked === undefined) continue;
        const known = this.stored.filter((one) => one.code === code && one.at < asked);
        if (known.some((one) => one.version > version)) stale++;
      }
    return stale;
  }
}
