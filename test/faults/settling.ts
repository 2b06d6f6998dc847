// After the last fault has healed everything must come to rest, within a bound: streams settled,
// nothing pending anywhere, reservations whose time is up released, no transaction left open.
import type { Redis } from 'ioredis';
import type { Sql } from '../../src/io/postgres.ts';
import { GROUP, PARTITIONS, offsetKey, streamKey } from '../../src/stream/topology.ts';
import { topics } from '../../schemas/events.ts';

/** The worst: a connection that vanished is given up 35 s after its last question. */
const SETTLED_WITHIN_MS = 45_000;
const POLL_MS = 100;

/** Null, or what was still open at the end. */
export async function settle(redis: Redis, owner: Sql): Promise<string | null> {
  for (const deadline = Date.now() + SETTLED_WITHIN_MS; ; await Bun.sleep(POLL_MS)) {
    const open = await stillOpen(redis, owner).catch((error: unknown) => String(error));
    if (open === null) return null;
    if (Date.now() > deadline) return `not settled within ${SETTLED_WITHIN_MS} ms: ${open}`;
  }
}

async function stillOpen(redis: Redis, owner: Sql): Promise<string | null> {
  const rows = await owner<{ stream: string; settled: number; deferred: number }[]>`
    select stream, settled::float8, deferred::float8 from streams`;
  const positions = new Map(rows.map((row) => [row.stream, row]));
  for (const topic of topics)
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const name = `${topic}.${partition}`;
      const appended = Number((await redis.get(offsetKey(topic, partition))) ?? 0);
      const { settled, deferred } = positions.get(name) ?? { settled: 0, deferred: 0 };
      const key = streamKey(topic, partition);
      if (settled !== appended) return `${name}: ${appended} appended, ${settled} settled`;
      if (deferred > 0) return `${name}: ${deferred} deferred`;
      if (!(await redis.exists(key))) continue;
      const [pending] = (await redis.xpending(key, GROUP)) as [number];
      if (pending > 0) return `${name}: ${pending} entries pending`;
    }
  // What runs out while the audit reads would make its reads differ.
  const [left] = await owner<Record<string, number>[]>`
    select (select count(*) from redemptions
            where status = 'reserved'
              and expires_at < now() + interval '1 minute')::int as expiring,
           (select count(*) from outbox)::int as outbox,
           (select count(*) from pg_stat_activity where datname = current_database()
             and state like 'idle in transaction%')::int as transactions`;
  const what = Object.entries(left!).find(([, count]) => count > 0);
  return what ? `${what[1]} of ${what[0]}` : null;
}
