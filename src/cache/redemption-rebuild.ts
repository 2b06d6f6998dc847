// Puts counters back that Redis does not have, from the rows in Postgres.
// Invariant: as long as a code's counters are missing, no script changes its redemptions, so what
// is read here cannot be overtaken; and everything is put only where nothing is.
import { type Document, getDocument } from '../store/documents.ts';
import type { Sql } from '../io/postgres.ts';
import { AppendRefused } from '../stream/append.ts';
import { PARTITIONS, offsetKey, partitionOf, settledKey } from '../stream/topology.ts';
import { COUPON_KIND } from './coupon-table.ts';
import {
  couponKey,
  customersKey,
  expiriesKey,
  lifeKey,
  orderKey,
  partitionOfRedemption,
  redemptionKey,
} from './redemption-keys.ts';
import {
  type RedemptionRow,
  type StoredRedemption,
  redemptionsOf,
  textOf,
} from './redemption-record.ts';
import {
  ORDER_MEMORY_MS,
  type RedemptionScripts,
  SETTLED_MEMORY_MS,
  orAppendRefused,
} from './redemption-scripts.ts';
import { usageRows } from './coupon-usage-read.ts';

const PAGE = 1_000;
const NO_ID = '00000000-0000-0000-0000-000000000000';

export interface RebuildParts {
  scripts: RedemptionScripts;
  sql: Sql;
}

const warming = new WeakMap<RedemptionScripts, Map<string, Promise<void>>>();

/** However many ask for a code at once, its rows are read once. */
export function warmCoupon(parts: RebuildParts, tenant: number, code: string): Promise<void> {
  let running = warming.get(parts.scripts);
  if (!running) warming.set(parts.scripts, (running = new Map()));
  const name = couponKey(tenant, code);
  let warmed = running.get(name);
  if (!warmed) {
    warmed = seedCoupon(parts, tenant, code).finally(() => running.delete(name));
    running.set(name, warmed);
  }
  return warmed;
}

/** Redemptions first: the counters are what makes a code usable. */
async function seedCoupon(parts: RebuildParts, tenant: number, code: string): Promise<void> {
  const { scripts, sql } = parts;
  const partition = partitionOf(tenant, code);
  const life = await lifeOf(scripts, partition);
  await seedOpenRedemptions(parts, life, tenant, code);
  const [usage] = await usageRows(sql, [{ tenant, code }]);
  const terms: Document | null = await getDocument(sql, tenant, COUPON_KIND, code);
  const { reserved, redeemed, budgetUsed } = usage!;
  const counted = reserved + redeemed === 0 ? 'all' : 'none';
  await scripts.put(
    'seedCoupon',
    [lifeKey(partition), couponKey(tenant, code)],
    [life, terms?.version ?? 0, reserved, redeemed, budgetUsed, counted],
  );
}

/** Asked for before rows are read: what was read in one life is not put into another. */
async function lifeOf({ redis }: RedemptionScripts, partition: number): Promise<string> {
  const life = await orAppendRefused(redis.get(lifeKey(partition)));
  if (life === null) throw new AppendRefused('redis_unavailable');
  return life;
}

async function seedOpenRedemptions(
  { scripts, sql }: RebuildParts,
  life: string,
  tenant: number,
  code: string,
): Promise<void> {
  const since = new Date(Date.now() - ORDER_MEMORY_MS);
  let after = NO_ID;
  for (;;) {
    const rows = await sql`
      select * from coupon_open_redemptions(${tenant}, ${code}, ${since}, ${after}, ${PAGE})`;
    const redemptions = redemptionsOf(rows as unknown as RedemptionRow[]);
    await Promise.all(redemptions.map((redemption) => putRedemption(scripts, life, redemption)));
    if (redemptions.length < PAGE) return;
    after = redemptions.at(-1)!.id.slice('rdm_'.length);
  }
}

async function putRedemption(
  scripts: RedemptionScripts,
  life: string,
  redemption: StoredRedemption,
): Promise<void> {
  const { id, status, record } = redemption;
  const orders = record.uses.map(({ code }) => orderKey(record.tenant, code, record.order));
  const partition = partitionOfRedemption(id);
  await scripts.put(
    'seedRedemption',
    [lifeKey(partition), redemptionKey(id), expiriesKey(partition), ...orders],
    [life, status, record.expiresAt, textOf(redemption), SETTLED_MEMORY_MS, ORDER_MEMORY_MS],
  );
}

/** One that Redis has forgotten. What befell it before may be on a stream still, so the rows are
 * read when the ledger has that. Null where they do not have it either. */
export async function warmRedemption(
  { scripts, sql }: RebuildParts,
  tenant: number,
  id: string,
): Promise<StoredRedemption | null> {
  const life = await lifeOf(scripts, partitionOfRedemption(id));
  await allSettled(scripts);
  const found = await redemptionInRows(sql, tenant, id);
  if (found) await putRedemption(scripts, life, found);
  return found;
}

export async function redemptionInRows(
  sql: Sql,
  tenant: number,
  id: string,
): Promise<StoredRedemption | null> {
  const uuid = id.slice('rdm_'.length);
  const rows = await sql`select * from redemption_get(${tenant}, ${uuid})`;
  return redemptionsOf(rows as unknown as RedemptionRow[])[0] ?? null;
}

/** Codes with reservations that only the rows know. */
export async function warmReserved(
  parts: RebuildParts,
  partitions: ReadonlySet<number>,
): Promise<void> {
  let [tenant, code] = [0, ''];
  for (;;) {
    const rows = await parts.sql`select * from system_reserved_codes(${tenant}, ${code}, ${PAGE})`;
    for (const row of rows) {
      tenant = row['tenant_id'] as number;
      code = row['code'] as string;
      if (partitions.has(partitionOf(tenant, code))) await warmCoupon(parts, tenant, code);
    }
    if (rows.length < PAGE) return;
  }
}

/** Waits for the ledger: the customer's uses may be on a stream still. False: count again. */
export async function warmCustomer(
  { scripts, sql }: RebuildParts,
  tenant: number,
  code: string,
  customer: string,
  moves: string,
): Promise<boolean> {
  const partition = partitionOf(tenant, code);
  const life = await lifeOf(scripts, partition);
  await allSettled(scripts);
  const [row] = await sql`
    select coupon_customer_uses(${tenant}, ${code}, ${customer}) as uses`;
  return scripts.put(
    'seedCustomer',
    [lifeKey(partition), couponKey(tenant, code), customersKey(tenant, code)],
    [life, customer, String(row!['uses']), moves],
  );
}

const SETTLE_WAIT_MS = 2_000;

/** Resolves when every redemption event appended before the call is in Postgres. */
async function allSettled({ redis }: RedemptionScripts): Promise<void> {
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition);
  const read = (keys: string[]) => orAppendRefused(redis.mget(keys));
  const appended = await read(partitions.map((partition) => offsetKey('coupons', partition)));
  const deadline = Date.now() + SETTLE_WAIT_MS;
  for (;;) {
    const settled = await read(partitions.map((partition) => settledKey('coupons', partition)));
    if (partitions.every((index) => Number(settled[index] ?? 0) >= Number(appended[index] ?? 0)))
      return;
    if (Date.now() > deadline) throw new AppendRefused('too_many_waiting');
    await Bun.sleep(20);
  }
}
