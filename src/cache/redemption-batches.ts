// Reservations and settlements on their way to Redis: what comes in while calls are under way is
// sent together, one call of a script for each partition, since starting a script, appending an
// entry and reading a code's counters cost about as much for many as for one.
// Invariant: each item is answered as if it had been sent alone.
import type { Redis } from 'ioredis';
import { Packr } from 'msgpackr';
import { replicated } from '../io/replicas.ts';
import { offsetKey, streamKey } from '../stream/topology.ts';
import { changedKey, changesKey, expiriesKey, givenKey, lifeKey } from './redemption-keys.ts';

/** A script call that takes a batch: its command, and what all items share. */
export interface BatchScript {
  command: string;
  args: readonly (string | number)[];
}

export interface BatchItem {
  /** Whose stream the events go to. */
  partition: number;
  /** Partitions of its codes, one for each. */
  places: readonly number[];
  events: readonly Buffer[];
  /** What else the script takes of it. */
  values: readonly unknown[];
}

type BatchReply = readonly (readonly [word: string, first: unknown])[];

interface Batch {
  script: BatchScript;
  partition: number;
  items: BatchItem[];
  waiters: { resolve(reply: unknown): void; reject(error: unknown): void }[];
  codes: number;
}

/** Bounds for how long Redis serves nobody else: some 5 ms. */
const CODES_MAX = 256;
/** With one under way Redis would be idle while we read its answer. */
const WRITES_MAX = 2;

// No records and no extensions: Redis unpacks it. Nor bytes, which its msgpack does not know.
const packr = new Packr({ useRecords: false, moreTypes: false });

export class RedemptionBatches {
  private readonly open = new Map<string, Batch>();
  private readonly full: Batch[] = [];
  private scheduled = false;
  private underWay = 0;
  /** The last offset that Redis has given us, by partition. */
  readonly given = new Map<number, number>();

  constructor(private readonly redis: Redis) {}

  add(script: BatchScript, item: BatchItem): Promise<unknown> {
    const name = `${script.command} ${item.partition}`;
    let batch = this.open.get(name);
    if (!batch) {
      batch = { script, partition: item.partition, items: [], waiters: [], codes: 0 };
      this.open.set(name, batch);
    }
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    batch.items.push(item);
    batch.waiters.push({ resolve, reject });
    batch.codes += item.places.length;
    if (batch.codes >= CODES_MAX) {
      this.open.delete(name);
      this.full.push(batch);
    }
    this.schedule();
    return promise;
  }

  private schedule(): void {
    if (this.scheduled || this.underWay >= WRITES_MAX) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      const batches = [...this.full.splice(0), ...this.open.values()];
      this.open.clear();
      if (batches.length > 0) void this.send(batches);
    });
  }

  private async send(batches: readonly Batch[]): Promise<void> {
    this.underWay++;
    try {
      const pipeline = this.redis.pipeline();
      const commands = pipeline as unknown as Record<string, (...args: unknown[]) => unknown>;
      for (const batch of batches)
        commands[batch.script.command]!(...callOf(batch, this.given.get(batch.partition)));
      const replies = (await replicated(this.redis, pipeline.exec())) ?? [];
      batches.forEach(({ partition, waiters }, index) => {
        const [error, reply] = replies[index]!;
        if (!error) this.learn(partition, reply as BatchReply);
        waiters.forEach(({ resolve, reject }, item) => {
          if (error) reject(error);
          else resolve((reply as unknown[])[item]);
        });
      });
    } catch (error) {
      for (const { waiters } of batches) for (const { reject } of waiters) reject(error);
    } finally {
      this.underWay--;
      if (this.open.size > 0 || this.full.length > 0) this.schedule();
    }
  }

  private learn(partition: number, replies: BatchReply): void {
    let last = this.given.get(partition) ?? 0;
    for (const [word, first] of replies)
      if (word === 'reserved' || word === 'settled') last = Math.max(last, Number(first));
    this.given.set(partition, last);
  }
}

/** The arguments of a script that takes a batch, as batch.lua reads them. `known` is an offset that
 * was given out. */
export function callOf(
  { script, partition, items }: Pick<Batch, 'script' | 'partition' | 'items'>,
  known = 0,
) {
  const places = new Set(items.flatMap((item) => item.places));
  const keys = [streamKey('coupons', partition), offsetKey('coupons', partition)];
  const packed = packr.pack([
    [...places].map((place) => [place, lifeKey(place), changesKey(place), changedKey(place)]),
    items.map(({ events, values }) => [events.length, bytesOf(events), ...values]),
    known,
  ]);
  const events = Buffer.concat(items.flatMap((item) => item.events));
  keys.push(expiriesKey(partition), givenKey(partition));
  return [keys.length, ...keys, packed, events, ...script.args] as const;
}

function bytesOf(events: readonly Buffer[]): number {
  return events.reduce((sum, { byteLength }) => sum + byteLength, 0);
}
