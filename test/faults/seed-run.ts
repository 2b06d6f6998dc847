// One run: a fresh database and an empty Redis, several processes, clients that load them, the
// faults of the seed, then healing, and judgement.
// Invariant: what it started is gone when it resolves, whatever happened.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { type Sql, connectPostgres } from '../../src/io/postgres.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { Client } from '../client.ts';
import { mixedPartners } from '../mixed-events.ts';
import { eventually } from '../processes.ts';
import { createTenant } from '../tenants.ts';
import { ROOT } from '../services.ts';
import { auditRun } from './audit-run.ts';
import { coupons, termsOf } from './coupon-client.ts';
import { Crowd } from './crowd.ts';
import { Dice } from './dice.ts';
import { Fleet } from './fleet.ts';
import { Proxy } from './proxy.ts';
import { History } from './history.ts';
import type { Field } from './nemesis.ts';
import { postMortem } from './post-mortem.ts';
import { carryOut, scheduleOf } from './schedule.ts';
import { settle } from './settling.ts';
import { type Sighting, Sights } from './sightings.ts';
import type { Slot } from './slot.ts';

export interface RunOptions {
  loadMs: number;
  /** Redis's log is cut behind what it had acknowledged. */
  cuts: boolean;
  /** Load and faults go on until these were met, or `insistMs` are over. */
  insist?: readonly Sighting[];
  insistMs?: number;
}

export interface Verdict {
  seed: number;
  seconds: number;
  counts: History['counts'];
  faults: string[];
  sights: Sighting[];
  problems: string[];
}

const LEASE_MS = 800;
/** The machine may have other things to do. */
const UP_WITHIN_MS = 60_000;
const partners = mixedPartners(6);

export async function runSeed(seed: number, slot: Slot, options: RunOptions): Promise<Verdict> {
  const startedAt = performance.now();
  const run = new Run(seed, slot, options);
  const problems: string[] = [];
  try {
    await run.prepare();
    await run.load();
    problems.push(...(await run.judge()));
  } catch (error) {
    problems.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  if (problems.length > 0 || run.history.violations.length > 0) await run.explain();
  await run.close();
  const { history, faults, sights } = run;
  return {
    seed,
    seconds: (performance.now() - startedAt) / 1_000,
    counts: history.counts,
    faults,
    sights: sights?.all ?? [],
    problems: [...history.violations, ...problems],
  };
}

class Run {
  readonly history = new History();
  faults: string[] = [];
  sights: Sights | null = null;
  private readonly dice: Dice;
  private readonly home: string;
  private readonly database: string;
  private databaseUrl = '';
  private fleet: Fleet | null = null;
  private owner: Sql | null = null;
  private redis: Redis | null = null;
  /** Of whoever writes to Redis and is none of the fleet. */
  private side: Proxy | null = null;
  private tenant = { id: 0, key: '' };

  constructor(
    seed: number,
    private readonly slot: Slot,
    private readonly options: RunOptions,
  ) {
    this.dice = new Dice(seed);
    this.home = join(slot.dir, `seed-${seed}`);
    this.database = `seed_${seed}`;
  }

  async prepare(): Promise<void> {
    const { slot, dice } = this;
    mkdirSync(this.home, { recursive: true });
    await slot.redis.stop();
    slot.redis.wipe();
    await slot.redis.start();
    this.databaseUrl = await slot.postgres.createDatabase(this.database);
    this.owner = connectPostgres(this.databaseUrl, { max: 3, name: 'auditor', asOwner: true });
    this.redis = producerClient(slot.redis.url, 'auditor');
    this.tenant = await createTenant(this.owner, 'faults');
    const skew = dice.fork('clocks');
    this.fleet = await Fleet.make(
      { ingress: 2, worker: dice.between(2, 3) },
      {
        home: this.home,
        databaseUrl: this.databaseUrl,
        redisUrl: slot.redis.url,
        environment: {
          LEASE_MS: String(LEASE_MS),
          LEASE_RENEW_MS: '200',
          BATCH_EVENTS_MAX: '60',
          DATABASE_CONNECTIONS_MAX: '4',
          DRAIN_MS: '3000',
        },
      },
      dice,
      () => (skew.chance(0.3) ? skew.between(-90_000, 90_000) : 0),
    );
    this.fleet.start();
    const { hostname: host, port } = new URL(slot.redis.url);
    this.side = await Proxy.open({ host, port: Number(port) }, dice.fork('side'));
    await redisReady(this.redis);
    await this.putTerms();
  }

  async load(): Promise<void> {
    const { slot, history, dice, options } = this;
    const fleet = this.fleet!;
    const field: Field = {
      fleet,
      redis: slot.redis,
      redisProxies: [this.side!, ...fleet.members.map((member) => member.redis)],
      postgres: slot.postgres,
      databaseUrl: this.databaseUrl,
      history,
      dice: dice.fork('nemesis'),
      lostReplies: { append: 0, write: 0, read: 0, http: 0 },
      leaseMs: LEASE_MS,
    };
    this.sights = new Sights(this.home, this.owner!, history, field.lostReplies);
    const crowd = new Crowd({
      urls: fleet.of('ingress').map(({ url }) => url),
      key: this.tenant.key,
      tenant: this.tenant.id,
      redisUrl: this.side!.inFrontOf(slot.redis.url),
      owner: this.owner!,
      history,
      dice,
    });
    await crowd.start();
    const schedule = scheduleOf(dice.fork('schedule'), options.loadMs, options.cuts);
    const [met] = await Promise.all([carryOut(schedule, field), Bun.sleep(options.loadMs)]);
    this.faults = met;
    if (options.insist)
      await this.sights.insist(options.insist, field, Date.now() + (options.insistMs ?? 0));
    await this.heal();
    await crowd.stop();
  }

  /** What is wrong, in words. */
  async judge(): Promise<string[]> {
    const { history } = this;
    const fleet = this.fleet!;
    const owner = this.owner!;
    const open = await settle(this.redis!, owner);
    await this.sights!.look();
    if (open) return [open, ...fleet.deaths];
    const problems = [...(await this.verify()), ...(await auditRun(owner, history, partners))];
    await fleet.stop();
    for (const { name, exits } of fleet.members)
      if (exits.at(-1) !== 0)
        problems.push(`${name} was asked to stop and ended with ${exits.at(-1)}`);
    return [...problems, ...fleet.deaths];
  }

  /** Leaves what is needed to understand a failure beside the logs. */
  async explain(): Promise<void> {
    if (!this.redis || !this.owner) return;
    await Bun.write(join(this.home, 'post-mortem.txt'), await postMortem(this.redis, this.owner));
  }

  async close(): Promise<void> {
    this.redis?.disconnect();
    await this.fleet?.close();
    await this.healServers().catch(() => {});
    this.side?.close();
    await this.owner?.end({ timeout: 1 }).catch(() => {});
    await this.slot.postgres.dropDatabase(this.database).catch(() => {});
  }

  private async heal(): Promise<void> {
    await this.healServers();
    this.fleet?.heal();
  }

  private async healServers(): Promise<void> {
    const { postgres, redis } = this.slot;
    postgres.thaw();
    redis.thaw();
    await postgres.disk?.empty();
    await Promise.all([postgres.start(), redis.start()]);
  }

  private async putTerms(): Promise<void> {
    const [ingress] = this.fleet!.of('ingress');
    const client = new Client(ingress!.directUrl, this.tenant.key);
    const isUp = async (): Promise<boolean> =>
      (
        await Promise.all(
          this.fleet!.of('ingress').map(({ directUrl }) => fetch(`${directUrl}/readyz`)),
        )
      ).every(({ ok }) => ok);
    await eventually('the stack is up', isUp, UP_WITHIN_MS);
    const put = (path: string, terms: object) =>
      eventually(path, async () => (await client.put(path, terms)).status < 300, UP_WITHIN_MS);
    await Promise.all([
      ...partners.map(({ id, ...terms }) => put(`/v1/partners/${id}`, terms)),
      ...coupons.map((coupon) => put(`/v1/coupons/${coupon.code}`, termsOf(coupon))),
    ]);
  }

  /** By the product itself; a lost log is what it must name, and nothing else. */
  private async verify(): Promise<string[]> {
    const child = Bun.spawn([process.execPath, join(ROOT, 'src/main.ts'), 'verify', '--json'], {
      env: {
        ...process.env,
        DATABASE_URL: this.databaseUrl,
        REDIS_URL: this.slot.redis.url,
        TALLYRACE_HOME: this.home,
      },
      stdout: 'pipe',
      stderr: 'pipe',
    });
    const [printed, errors] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    if (!printed.startsWith('{')) return [`verify said ${printed}${errors}`];
    const report = JSON.parse(printed) as { problems: { check: string; detail: string }[] };
    const known = this.history.losses.length > 0 ? ['lost'] : [];
    return report.problems
      .filter(({ check }) => !known.includes(check))
      .map(({ check, detail }) => `verify: ${check}: ${detail}`);
  }
}
