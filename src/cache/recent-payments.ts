// The newest payments of a customer, in Redis for 15 minutes after they were read.
// Invariant: a page is served only under the version it was read under, and a commit that changes a
// payment of the customer raises the version before its position is announced; so whoever has seen
// a position sees what it changed.
import type { Redis } from 'ioredis';
import type { RecordWatcher } from '../stream/ports.ts';
import { hashTag, partitionOf } from '../stream/topology.ts';
import { generationKey } from './balances.ts';
import type { PaymentRow } from '../store/payments.ts';

const TTL_S = 15 * 60;
/** Longer than a page lives, so that no page meets a version that was forgotten and began anew. */
const VERSION_TTL_S = 2 * TTL_S;
/** What is kept of each customer. */
const KEPT = 51;

interface Kept<Body> {
  version: string;
  rows: [id: string, body: Body, updatedAt: string][];
}

export class RecentPayments {
  constructor(private readonly redis: Redis) {}

  /** At most `most` of them; larger pages than are kept come from `read` each time. */
  async of<Body>(
    tenant: number,
    customer: string,
    most: number,
    read: (most: number) => Promise<PaymentRow<Body>[]>,
  ): Promise<PaymentRow<Body>[]> {
    if (most > KEPT) return await read(most);
    const [page, versions, generation] = keysOf(tenant, customer);
    const asked = await this.redis.mget(page, versions, generation).catch(() => null);
    if (!asked) return await read(most);
    const [text, ...marks] = asked;
    const version = marks.map((mark) => mark ?? '0').join('.');
    if (text) {
      const kept = JSON.parse(text) as Kept<Body>;
      if (kept.version === version) return kept.rows.slice(0, most).map(rowOf);
    }
    const rows = await read(KEPT);
    const kept: Kept<Body> = {
      version,
      rows: rows.map(({ id, body, updatedAt }) => [id, body, updatedAt.toISOString()]),
    };
    await this.redis.set(page, JSON.stringify(kept), 'EX', TTL_S).catch(() => {});
    return rows.slice(0, most);
  }

  /** After a commit that changed payments of these customers. Rejects when Redis is away. */
  async changed(customers: readonly { tenant: number; customer: string }[]): Promise<void> {
    if (customers.length === 0) return;
    const pipeline = this.redis.pipeline();
    for (const { tenant, customer } of customers) {
      const [, versions] = keysOf(tenant, customer);
      pipeline.incr(versions);
      pipeline.expire(versions, VERSION_TTL_S);
    }
    for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
  }
}

function rowOf<Body>([id, body, updatedAt]: [string, Body, string]): PaymentRow<Body> {
  return { id, body, updatedAt: new Date(updatedAt) };
}

/** The generation is raised when a worker may have died between its commit and its word to us. */
function keysOf(
  tenant: number,
  customer: string,
): [page: string, version: string, generation: string] {
  const partition = partitionOf(tenant, customer);
  const prefix = `${hashTag(partition)}:payments:${tenant}:${customer}`;
  return [`${prefix}:page`, `${prefix}:version`, generationKey(partition)];
}

/** For a worker: tells the cache of payments that a commit has changed. */
export function paymentWatcher(redis: Redis): RecordWatcher {
  const recent = new RecentPayments(redis);
  return {
    changed: (records) =>
      recent.changed(
        records
          .filter(({ table }) => table === 'payments')
          .map(({ tenant, body }) => ({
            tenant,
            customer: (body as { customer_id: string }).customer_id,
          })),
      ),
  };
}
