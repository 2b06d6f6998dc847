// The limit of T3: the rows that the ledger writes for the same events, by bare SQL from arrays
// built beforehand, two batches in flight on one connection. No decoding, no decision, no floor, no
// lease, no row-level security.
import type { Sql } from '../../src/io/postgres.ts';
import { accountKey, eventKey, fingerprint } from '../../src/ledger/identity.ts';
import { bytesColumn, numberArray, textArray } from '../../src/store/columns.ts';
import type { Earning } from '../lib/earnings.ts';

const TENANT = 1;
const STREAM = 'events.0';

const WRITE = `
with outcome as (
  insert into outcomes (event_key, stream_offset, fingerprint, accepted_at, posted_at, tenant_id,
                        verdict, event_id, type, stream, reason, body)
  select o.key, o.at, o.fingerprint, now(), now(), ${TENANT}, 1, o.id, 'earning.credited',
         '${STREAM}', null, substring(o.bodies from o.start for o.length)
  from (select unnest($1::text::uuid[]) as key, unnest($2::text::bigint[]) as at,
               unnest($3::text::bigint[]) as fingerprint, unnest($4::text::text[]) as id,
               unnest($6::text::int[]) as start, unnest($7::text::int[]) as length, b.bodies
        from (select $5::text::bytea as bodies offset 0) b) o
), balance as (
  insert into balances as b (account_key, balance, sequence, floor, tenant_id, account, unit)
  select unnest($8::text::uuid[]), unnest($9::text::bigint[]), unnest($10::text::bigint[]), null,
         ${TENANT}, unnest($11::text::text[]), 'USD'
  on conflict (account_key) do update
    set balance = b.balance + excluded.balance, sequence = b.sequence + excluded.sequence
)
insert into entries (account_key, sequence, posted_at, amount, balance_after, event_key, tenant_id)
select unnest($12::text::uuid[]), unnest($13::text::bigint[]), now(), unnest($14::text::bigint[]),
       unnest($15::text::bigint[]), unnest($16::text::uuid[]), ${TENANT}`;

interface Account {
  key: string;
  name: string;
  balance: number;
  sequence: number;
}

/** Parameters of WRITE for every batch; sequences and balances run on from batch to batch. */
export function buildBatches(events: readonly Earning[], batchEvents: number): string[][] {
  const accounts = new Map<string, Account>();
  const account = (name: string): Account => {
    let found = accounts.get(name);
    if (!found) {
      found = { key: accountKey(TENANT, name, 'USD'), name, balance: 0, sequence: 0 };
      accounts.set(name, found);
    }
    return found;
  };
  const batches: string[][] = [];
  for (let from = 0; from < events.length; from += batchEvents)
    batches.push(buildBatch(events.slice(from, from + batchEvents), from, account));
  return batches;
}

function buildBatch(
  events: readonly Earning[],
  from: number,
  account: (name: string) => Account,
): string[] {
  const bodies: Buffer[] = [];
  const changes = new Map<Account, { delta: number; count: number }>();
  const legs: { account: Account; sequence: number; amount: number; after: number; key: string }[] =
    [];
  const keys = events.map((event) => eventKey(TENANT, event.id));
  const fingerprints = events.map((event, index) => {
    const bytes = Buffer.from(`${event.user} video_completed ${event.amount} USD video_9`);
    bodies.push(bytes);
    for (const [name, amount] of [
      ['platform:earnings', -event.amount],
      [`user:${event.user}:earnings`, event.amount],
    ] as const) {
      const side = account(name);
      const change = changes.get(side) ?? { delta: 0, count: 0 };
      changes.set(side, { delta: change.delta + amount, count: change.count + 1 });
      side.balance += amount;
      side.sequence += 1;
      const { sequence, balance: after } = side;
      legs.push({ account: side, sequence, amount, after, key: keys[index]! });
    }
    return fingerprint('earning.credited', bytes);
  });
  // Neighbours in the index go to it one after the other, as the product sends them.
  legs.sort((a, b) =>
    a.account === b.account ? a.sequence - b.sequence : a.account.key < b.account.key ? -1 : 1,
  );
  const sorted = [...changes].toSorted(([a], [b]) => (a.key < b.key ? -1 : 1));
  return [
    numberArray(keys),
    numberArray(events.map((_, index) => from + index + 1)),
    numberArray(fingerprints),
    textArray(events.map((event) => event.id)),
    ...bytesColumn(bodies),
    numberArray(sorted.map(([side]) => side.key)),
    numberArray(sorted.map(([, change]) => change.delta)),
    numberArray(sorted.map(([, change]) => change.count)),
    textArray(sorted.map(([side]) => side.name)),
    numberArray(legs.map((leg) => leg.account.key)),
    numberArray(legs.map((leg) => leg.sequence)),
    numberArray(legs.map((leg) => leg.amount)),
    numberArray(legs.map((leg) => leg.after)),
    numberArray(legs.map((leg) => leg.key)),
  ];
}

/** Two statements in flight, so that the server never waits for the client. */
export async function writeBatches(
  sql: Sql,
  batches: readonly string[][],
  onWritten: (ms: number) => void = () => {},
): Promise<void> {
  let before: Promise<unknown> = Promise.resolve();
  for (const batch of batches) {
    const startMs = performance.now();
    const written = sql
      .unsafe(WRITE, batch, { prepare: true })
      .execute()
      .then(() => onWritten(performance.now() - startMs));
    await before;
    before = written;
  }
  await before;
}
