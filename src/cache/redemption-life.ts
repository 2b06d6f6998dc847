// The life of a partition in Redis: from when Redis was empty until it is again. While it lasts, a
// code whose counters are missing was not touched in it, so that the rows in Postgres, written in
// the life before, say all there is.
// Invariant: a partition is opened only when those rows are complete.
import { partitionOf } from '../stream/topology.ts';
import { lifeKey } from './redemption-keys.ts';
import { type RebuildParts, warmCoupon } from './redemption-rebuild.ts';

const CODES_PAGE = 1_000;
/** What a batch of the Redis before may still be writing is in Postgres after this time. */
const QUARANTINE_MS = 500;

const emptySince = new Map<string, number>();

/** True where nothing was ever redeemed: then nobody needs to be waited for. */
export async function openIfUnused({ scripts, sql }: RebuildParts, partition: number) {
  const [row] = await sql`select system_redemptions_exist() as history`;
  if (row!['history'] as boolean) return false;
  await scripts.redis.set(lifeKey(partition), 'without_history', 'NX');
  return true;
}

/**
 * Redis holds nothing of this partition: it is new, or lost what it had. Where redemptions were
 * recorded before, those still reserved are put back, so that they expire; codes that nobody holds
 * are put back when somebody asks for them. Called by the worker that owns the partition, again and
 * again until it is open.
 */
export async function openPartition(parts: RebuildParts, partition: number): Promise<void> {
  if (await openIfUnused(parts, partition)) return;
  if (!quarantined(partition)) return;
  await warmReserved(parts, partition);
  await parts.scripts.redis.set(lifeKey(partition), 'with_history', 'NX');
  emptySince.delete(lifeKey(partition));
}

function quarantined(partition: number): boolean {
  const key = lifeKey(partition);
  const since = emptySince.get(key) ?? Date.now();
  emptySince.set(key, since);
  return Date.now() - since >= QUARANTINE_MS;
}

async function warmReserved(parts: RebuildParts, partition: number): Promise<void> {
  let [tenant, code] = [0, ''];
  for (;;) {
    const rows = await parts.sql`
      select * from system_reserved_codes(${tenant}, ${code}, ${CODES_PAGE})`;
    for (const row of rows) {
      tenant = row['tenant_id'] as number;
      code = row['code'] as string;
      if (partitionOf(tenant, code) === partition) await warmCoupon(parts, tenant, code);
    }
    if (rows.length < CODES_PAGE) return;
  }
}
