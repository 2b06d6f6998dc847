// A large ledger in minutes: rows as the worker would have left them, written by SQL from numbers.
// Uniform users, the platform's account in every event, months before now.
// Invariant: what is filled verifies; filling again goes on where it ended.
import type { Redis } from 'ioredis';
import { progress } from '../../src/cli/progress.ts';
import type { Sql } from '../../src/io/postgres.ts';
import { PARTITIONS, offsetKey, settledKey } from '../../src/stream/topology.ts';
import { LEGS } from './earnings.ts';

const USERS = 100_000;
const STEP_EVENTS = 250_000;
/** Events of one batch have one time; at this pace 25,000,000 take some nine days. */
const BATCH_EVENTS = 500;
const BATCHES_PER_SECOND = 0.0625;

/** Up to so many entries in all. `sinceDays`: when the first was posted. */
export async function fillLedger(
  owner: Sql,
  redis: Redis,
  entries: number,
  sinceDays = 20,
): Promise<void> {
  const events = Math.ceil(entries / LEGS / PARTITIONS) * PARTITIONS;
  const [row] = await owner<{ n: number }[]>`
    select coalesce(sum(posted), 0)::int as n from streams where stream like 'events.%'`;
  await owner`set synchronous_commit = off`;
  const bar = progress('entries', (events - row!.n) * LEGS);
  for (let from = row!.n; from < events; from += STEP_EVENTS) {
    const to = Math.min(from + STEP_EVENTS, events);
    await owner.unsafe(FILL, [from, to, sinceDays]);
    bar.add((to - from) * LEGS);
  }
  bar.end();
  await owner`set synchronous_commit = on`;
  for (let partition = 0; partition < PARTITIONS; partition++) {
    await redis.set(offsetKey('events', partition), events / PARTITIONS);
    await redis.set(settledKey('events', partition), events / PARTITIONS);
  }
}

/** Takes: the first event, the one after the last, days before now of the first of all. */
const FILL = `
  with event as materialized (
    select i, md5('e' || i)::uuid as key,
      -- As ledger_write: never into time that verification has shut.
      greatest(date_trunc('day', now()) - $3::int * interval '1 day'
          + (i / ${BATCH_EVENTS}) / ${BATCHES_PER_SECOND} * interval '1 second',
        (select shut_until from verified_point)
          + (i - $1) / ${BATCH_EVENTS} * interval '1 millisecond') as at
    from generate_series($1::bigint, $2::bigint - 1) i
  ), outcome as (
    insert into outcomes (event_key, stream_offset, fingerprint, accepted_at, posted_at, tenant_id,
                          verdict, event_id, type, stream, body)
    select key, i / ${PARTITIONS} + 1, i, at, at, 1, 1, 'fill-' || i, 'earning.credited',
           'events.' || i % ${PARTITIONS}, decode(md5(i::text) || md5(i::text) || md5('b'), 'hex')
    from event
  ), entry as (
    insert into entries (account_key, sequence, posted_at, amount, balance_after, event_key,
                         tenant_id)
    select case leg when 0 then md5('u' || i % ${USERS})::uuid else md5('platform')::uuid end,
           case leg when 0 then i / ${USERS} + 1 else i + 1 end, at,
           case leg when 0 then 125 else -125 end,
           case leg when 0 then 125 * (i / ${USERS} + 1) else -125 * (i + 1) end, key, 1
    from event cross join generate_series(0, 1) leg order by i / ${BATCH_EVENTS}, 1, 2
  ), account as (
    insert into balances as b (account_key, balance, sequence, floor, tenant_id, account, unit)
    select md5('u' || i % ${USERS})::uuid, 125 * count(*), count(*), 0, 1,
           'user:filled_' || i % ${USERS} || ':earnings', 'USD'
    from event group by i % ${USERS}
    union all
    select md5('platform')::uuid, -125 * count(*), count(*), null, 1, 'platform:filled', 'USD'
    from event
    on conflict (account_key) do update set balance = b.balance + excluded.balance,
      sequence = b.sequence + excluded.sequence
  )
  insert into streams as s (stream, settled, posted)
  select 'events.' || i % ${PARTITIONS}, count(*), count(*) from event group by i % ${PARTITIONS}
  on conflict (stream) do update set settled = s.settled + excluded.settled,
    posted = s.posted + excluded.posted`;
