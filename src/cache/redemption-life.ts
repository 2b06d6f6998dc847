// When the counters in Redis may be used. A Redis that was emptied, restarted, restored or failed
// over to may not know all that the ledger knows, so the counters are opened anew for each of its
// reigns, by the workers and all at once, since one redemption may have codes of several
// partitions: drained of what was read before; then they go on as they are, or, where the ledger
// is ahead of them, wait until it has everything and are rebuilt from its rows.
// Invariant: open counters know every redemption that is or will be in the ledger, or know nothing.
import type { Redis } from 'ioredis';
import type { Log } from '../io/log.ts';
import { PARTITIONS } from '../stream/topology.ts';
import { LIFE_PARTS, lifeKey, lifeKeys } from './redemption-keys.ts';
import { type RebuildParts, warmReserved } from './redemption-rebuild.ts';
import type { RedemptionScripts } from './redemption-scripts.ts';

const PARTS = LIFE_PARTS.length;
const ASLEEP = LIFE_PARTS.indexOf('asleep');
const GIVEN = LIFE_PARTS.indexOf('given');
const KEYS_PAGE = 1_000;
const POLL_MS = 25;

const allKeys = Array.from({ length: PARTITIONS }, (_, partition) => lifeKeys(partition)).flat();
const allLives = Array.from({ length: PARTITIONS }, (_, partition) => lifeKey(partition));

/** A stream of redemptions that this worker owns. */
export interface Holding {
  partition: number;
  settled: number;
  /** Ids of the entries in memory, between Redis and Postgres. */
  held(): string[];
  holdsAny(ids: readonly string[]): boolean;
}

export interface LifeParts extends RebuildParts {
  /** Drops the connection that streams are read through: no reply from before comes after it. */
  dropReads(): void;
  log: Log;
}

interface Partition {
  life: string | null;
  drained: string | null;
  offset: number;
  asleep: boolean;
}

interface Lives {
  reign: string;
  partitions: Partition[];
}

export class RedemptionLife {
  /** What was in memory when the counters were found closed, by partition. */
  private closing: { reign: string; held: Map<number, string[]> } | null = null;

  constructor(private readonly parts: LifeParts) {}

  /** Call again and again. Gives whether the counters are open. */
  async tend(owned: readonly Holding[]): Promise<boolean> {
    let lives = await livesIn(this.parts.scripts);
    if (!isOpen(lives)) {
      await this.drain(lives, owned);
      lives = await livesIn(this.parts.scripts);
      if (!(await this.open(lives))) return false;
      lives = await livesIn(this.parts.scripts);
    }
    this.closing = null;
    await this.wake(lives, owned);
    return true;
  }

  private async drain({ reign, partitions }: Lives, owned: readonly Holding[]): Promise<void> {
    const { scripts, dropReads, log } = this.parts;
    if (this.closing?.reign !== reign) {
      log.warn(
        { reign },
        'counters of coupons are closed: Redis is not the one they were opened in',
      );
      dropReads();
      this.closing = { reign, held: new Map(owned.map((one) => [one.partition, one.held()])) };
    }
    for (const holding of owned) {
      const { partition } = holding;
      if (partitions[partition]!.drained === reign) continue;
      if (holding.holdsAny(this.closing.held.get(partition) ?? [])) continue;
      const keys = lifeKeys(partition).slice(0, 3);
      const args = [reign, holding.settled];
      const forgotten = Number(await scripts.run('drain', keys, args));
      if (forgotten > 0)
        log.error({ partition, forgotten }, 'Redis lost its tail: it forgot settled redemptions');
    }
  }

  private async open(lives: Lives): Promise<boolean> {
    if (isOpen(lives)) return true;
    const { scripts, sql, log } = this.parts;
    const { reign, partitions } = lives;
    if (partitions.some(({ drained }) => drained !== reign)) return false;
    const before = partitions[0]!.life;
    if (before !== null && partitions.every(({ life }) => life === before))
      return await this.openAs(before.split(' ')[0]!, reign, before);
    if (partitions.some(({ life }) => life !== null)) {
      // One partition is behind the ledger: no code of any may be used until all are rebuilt.
      await scripts.redis.del(allLives);
      return false;
    }
    if (!(await this.forget(lives))) return false;
    const [row] = await sql`select system_redemptions_exist() as history`;
    log.info({ reign }, 'counters of coupons are rebuilt from the ledger');
    return await this.openAs(row!['history'] ? 'with_history' : 'without_history', reign, '');
  }

  private async openAs(history: string, reign: string, goesOn: string): Promise<boolean> {
    const life = `${history} ${reign} ${crypto.randomUUID()}`;
    return Number(await this.parts.scripts.run('open', allKeys, [life, goesOn])) === 1;
  }

  /** False while rows are missing that events on the streams will write. */
  private async forget({ partitions }: Lives): Promise<boolean> {
    const { scripts, sql } = this.parts;
    const rows = await sql`select * from redemption_positions()`;
    const settled = new Map(rows.map((row) => [row['stream'] as string, Number(row['settled'])]));
    const behind = partitions.some(({ offset }, n) => offset > (settled.get(`coupons.${n}`) ?? 0));
    if (behind) return false;
    let cursor = '0';
    do {
      cursor = String(await scripts.run('forget', allLives, [cursor, KEYS_PAGE]));
      if (cursor === '') return false;
    } while (cursor !== '0');
    return true;
  }

  /** Reservations that only the rows know are put back, so that they expire. */
  private async wake({ partitions }: Lives, owned: readonly Holding[]): Promise<void> {
    const asleep = owned.filter(({ partition }) => partitions[partition]!.asleep);
    if (asleep.length === 0) return;
    const numbers = asleep.map(({ partition }) => partition);
    await warmReserved(this.parts, new Set(numbers));
    await this.parts.scripts.redis.del(numbers.map((partition) => lifeKeys(partition)[ASLEEP]!));
  }
}

async function livesIn(scripts: RedemptionScripts): Promise<Lives> {
  const reply = (await scripts.run('life', allKeys, [])) as [string, (string | null)[]];
  const [reign, values] = reply;
  const partitions = Array.from({ length: PARTITIONS }, (_, partition): Partition => {
    const [life, drained, offset, asleep] = values.slice(partition * PARTS);
    return {
      life: life ?? null,
      drained: drained ?? null,
      offset: Number(offset ?? 0),
      asleep: asleep !== null,
    };
  });
  return { reign, partitions };
}

function isOpen({ reign, partitions }: Lives): boolean {
  return partitions.every(({ life }) => life?.split(' ')[1] === reign);
}

/** Has the workers rebuild them from the ledger, as if Redis had lost them. */
export async function closeCounters({ redis }: RedemptionScripts): Promise<void> {
  await redis.del(allLives);
}

const waiting = new WeakMap<Redis, Promise<boolean>>();

/** Whether the counters are open within a moment; however many ask, Redis is asked by one. */
export function untilOpen(scripts: RedemptionScripts): Promise<boolean> {
  let running = waiting.get(scripts.redis);
  if (!running) {
    running = poll(scripts).finally(() => waiting.delete(scripts.redis));
    waiting.set(scripts.redis, running);
  }
  return running;
}

async function poll(scripts: RedemptionScripts): Promise<boolean> {
  if (isOpen(await livesIn(scripts))) return true;
  const given = [...scripts.given];
  const keys = given.map(([partition]) => lifeKeys(partition)[GIVEN]!);
  if (given.length > 0)
    await scripts.run(
      'given',
      keys,
      given.map(([, offset]) => offset),
    );
  await Bun.sleep(POLL_MS);
  return false;
}
