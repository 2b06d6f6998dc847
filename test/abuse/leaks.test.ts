// Two tenants under the same ids. One asks random operations of the document with ids, positions,
// cursors and keys of the other: no answer has a byte that only the other knows, and nothing of it
// changes. Then the same past the API, as the role of the application.
// By hand: FUZZ_ROUNDS=1000 FUZZ_SEED=… for 40,000 attempts.
import { beforeAll, describe, expect, test } from 'bun:test';
import fc, { type Arbitrary } from 'fast-check';
import { Client } from '../client.ts';
import { settledReport } from '../ledger-proof.ts';
import { openStack } from '../stack.ts';
import { type Operation, hasHeader, readOperations } from './document.ts';
import { type WireReply, send } from './wire.ts';

const ROUNDS = Number(process.env['FUZZ_ROUNDS'] ?? 18);
const AT_ONCE = 40;
const SEED = Number(process.env['FUZZ_SEED'] ?? 7_214_554);
/** In every value of the victim, and in nothing that the intruder sends. */
const SECRET = 'zq9secret';
/** So are these amounts. */
const [SECRET_TOTAL, SECRET_EARNING] = [7_318_203, 9_127_417];

const stack = await openStack('leaks', async (opened) => {
  const [victim, intruder] = [await opened.createTenant('a'), await opened.createTenant('b')];
  const ingress = await opened.startIngress();
  await opened.startWorker();
  return { victim, intruder, ingress };
});
const { victim, intruder, ingress, owner } = stack;
const operations = (await readOperations(ingress.url)).filter(({ path }) =>
  path.startsWith('/v1/'),
);

/** What the intruder has got hold of. */
const stolen = {
  ids: ['SHARED', 'OWN', 'user:SHARED:earnings', 'user:OWN:earnings', 'coupon:OWN:uses'],
  positions: [] as string[],
  cursors: ['MTow'],
  keys: ['SHARED', 'OWN'],
  requests: ['req-of-a'],
};

async function settle(client: Client, id: string, mark: string, amounts: readonly number[]) {
  const [sold, earned] = amounts.map((amount) => ({ amount, currency: 'USD' }));
  const terms = { share_bp: 5_000, commission_bp: 1_000, currency: 'USD', status: 'active' };
  await client.put(`/v1/partners/${id}`, { ...terms, name: mark });
  const percent = { kind: 'percent', percent_bp: 500, metadata: { mark }, segments: [mark] };
  await client.put(`/v1/coupons/${id}`, percent);
  const order = { id, total: sold };
  const request = { code: id, customer_id: mark, segments: [mark], order };
  const redeemed = await client.post<{ id: string; position: string }>('/v1/redemptions', request, {
    'idempotency-key': id,
    'x-request-id': `req-of-${mark.slice(0, 1)}`,
  });
  expect(redeemed.status).toBe(201);
  const data = { user_id: id, kind: mark, amount: earned, reference: mark };
  const event = { id, type: 'earning.credited', data };
  const sent = await client.post<{ results: { position: string }[] }>('/v1/events', event, {
    prefer: 'wait=ledger',
  });
  expect(sent.status).toBe(200);
  return [redeemed.body.id, redeemed.body.position, sent.body.results[0]!.position];
}

beforeAll(async () => {
  const [theirs, mine] = [
    new Client(ingress.url, victim.key),
    new Client(ingress.url, intruder.key),
  ];
  await settle(mine, 'SHARED', 'plain', [1_000, 2_000]);
  for (const id of ['SHARED', 'OWN']) {
    const made = await settle(theirs, id, SECRET, [SECRET_TOTAL, SECRET_EARNING]);
    stolen.ids.push(made[0]!);
    stolen.positions.push(made[1]!, made[2]!);
  }
  for (const list of ['/v1/coupons', '/v1/partners']) {
    const page = await theirs.get<{ next_cursor: string }>(`${list}?limit=1`);
    stolen.cursors.push(page.body.next_cursor);
  }
  await settledReport(stack);
}, 60_000);

/** Everything that is the tenant's, in every table. */
async function rowsOf(tenant: number): Promise<Record<string, unknown>> {
  const tables = await owner<{ name: string }[]>`
    select c.relname as name from pg_class c join pg_attribute a on a.attrelid = c.oid
    where c.relnamespace = 'tallyrace'::regnamespace and c.relkind in ('r', 'p')
      and not c.relispartition and a.attname = 'tenant_id' and not a.attisdropped order by 1`;
  const found: Record<string, unknown> = {};
  for (const { name } of tables) {
    // When a check was counted does not matter, and a worker may still be writing that.
    if (name === 'coupon_checks') continue;
    const [row] = await owner`
      select jsonb_agg(to_jsonb(t) order by to_jsonb(t)::text) as rows
      from ${owner(name)} t where tenant_id = ${tenant}`;
    found[name] = row!['rows'];
  }
  return found;
}

function bodyOf({ requestBody }: Operation): Arbitrary<string> {
  const [content] = Object.values(requestBody?.content ?? {});
  if (!content) return fc.constant('');
  const examples = Object.values(content.examples ?? {}).map(({ value }) => value);
  // The victim's ids take the place of those in the examples.
  return fc.tuple(fc.constantFrom(...examples), fc.func(fc.nat())).map(([example, draw]) =>
    JSON.stringify(example, (name, value: unknown) => {
      const isId = ['id', 'code', 'customer_id', 'user_id', 'game_id', 'reference'].includes(name);
      return isId ? stolen.ids[draw(name) % 2] : value;
    }),
  );
}

interface Attempt {
  operationId: string;
  method: string;
  target: string;
  headers: (readonly [string, string])[];
  body: string;
}

function attemptOf(operation: Operation): Arbitrary<Attempt> {
  const { operationId, method, path } = operation;
  const pick = fc.func(fc.nat());
  return fc.tuple(pick, fc.boolean(), fc.boolean(), bodyOf(operation)).map((drawn) => {
    const [draw, paged, waits, body] = drawn;
    const of = (list: readonly string[], what: string): string => list[draw(what) % list.length]!;
    const target = path.replace(/\{(\w+)\}/g, (_, name: string) =>
      encodeURIComponent(name === 'policy' ? 'checks' : of(stolen.ids, name)),
    );
    const query = new URLSearchParams();
    const names = operation.parameters
      .filter((each) => each.in === 'query')
      .map((each) => each.name);
    if (paged && names.includes('cursor')) query.set('cursor', of(stolen.cursors, 'cursor'));
    if (waits && names.includes('at_least')) query.set('at_least', of(stolen.positions, 'at'));
    const headers: [string, string][] = [
      ['Authorization', `Bearer ${intruder.key}`],
      ['X-Request-Id', of(stolen.requests, 'request')],
    ];
    if (body !== '') headers.push(['Content-Type', 'application/json']);
    if (hasHeader(operation, 'Idempotency-Key'))
      headers.push(['Idempotency-Key', of(stolen.keys, 'key')]);
    if (waits && hasHeader(operation, 'Prefer'))
      headers.push(['Prefer', 'wait=ledger; timeout=50']);
    const search = query.size > 0 ? `?${query.toString()}` : '';
    return { operationId, method, target: target + search, headers, body };
  });
}

function expectNothingOfTheirs(attempt: Attempt, { raw, status }: WireReply): void {
  const said = `${JSON.stringify(attempt)}\n${raw}`;
  const leaks = [SECRET, String(SECRET_TOTAL), String(SECRET_EARNING)].filter((secret) =>
    raw.includes(secret),
  );
  expect([said, leaks]).toEqual([said, []]);
  expect([said, status < 500 || status === 503]).toEqual([said, true]);
}

const asked = new Map<string, number>();

test('nothing of the other tenant is told, and nothing of it changes', async () => {
  const before = await rowsOf(victim.id);
  expect(JSON.stringify(before)).toContain(SECRET);
  const attempts = fc.array(fc.constantFrom(...operations).chain(attemptOf), {
    minLength: AT_ONCE,
    maxLength: AT_ONCE,
  });
  await fc.assert(
    fc.asyncProperty(attempts, async (together) => {
      await Promise.all(
        together.map(async (attempt) => {
          const reply = await send(ingress.url, attempt);
          expectNothingOfTheirs(attempt, reply);
          const kind = `${attempt.operationId} ${reply.status < 300}`;
          asked.set(kind, (asked.get(kind) ?? 0) + 1);
        }),
      );
    }),
    { numRuns: ROUNDS, seed: SEED, endOnFailure: true },
  );
  expect((await settledReport(stack)).problems).toEqual([]);
  expect(await rowsOf(victim.id)).toEqual(before);
}, 300_000);

test('every operation was asked', () => {
  for (const { operationId } of operations)
    expect([
      operationId,
      asked.has(`${operationId} true`) || asked.has(`${operationId} false`),
    ]).toEqual([operationId, true]);
});

test.each([
  'coupons/SHARED',
  'partners/SHARED',
  'events/SHARED',
  'accounts/user:SHARED:earnings/balance',
  'accounts/user:SHARED:earnings/entries',
])('what both have under one name, each reads as its own: %s', async (path) => {
  const { status, body } = await new Client(ingress.url, intruder.key).get(`/v1/${path}`);
  expect(status).toBe(200);
  expect(JSON.stringify(body)).not.toContain(SECRET);
});

test('an idempotency key of one tenant is free for the other', async () => {
  const order = { id: 'again', total: { amount: 100, currency: 'USD' } };
  const body = { code: 'NOBODY', customer_id: 'c', order };
  const headers = { 'idempotency-key': 'OWN' };
  const fresh = await stack.createTenant('c');
  const reply = await new Client(ingress.url, fresh.key).post('/v1/redemptions', body, headers);
  expect([reply.status, reply.headers.get('idempotency-replayed')]).toEqual([409, null]);
});

interface Right {
  name: string;
  column: string;
}

describe('as the role of the application, in the name of the other tenant,', () => {
  const named = `{${intruder.id}}`;

  async function tables(right: string): Promise<readonly Right[]> {
    return stack.sql<Right[]>`
      select c.relname as name, a.attname as column
      from pg_class c join pg_attribute a on a.attrelid = c.oid
      where c.relnamespace = 'tallyrace'::regnamespace and c.relkind in ('r', 'p')
        and a.attname = 'tenant_id' and has_table_privilege(c.oid, ${right})`;
  }

  async function inTheName(statement: string, tenants = named): Promise<number> {
    return stack.sql.begin(async (sql) => {
      await sql`select set_config('tallyrace.tenants', ${tenants}, true)`;
      const rows = await sql.unsafe(statement);
      return rows.count;
    });
  }

  test('nothing is read, changed or removed, and with nobody named neither', async () => {
    const where = `where tenant_id = ${victim.id}`;
    for (const tenants of [named, '', '{}', '{-1}']) {
      for (const { name } of await tables('select'))
        expect([name, await inTheName(`select 1 from ${name} ${where}`, tenants)]).toEqual([
          name,
          0,
        ]);
      for (const { name } of await tables('update')) {
        const update = `update ${name} set tenant_id = ${intruder.id} ${where}`;
        expect([name, await inTheName(update, tenants)]).toEqual([name, 0]);
      }
      for (const { name } of await tables('delete'))
        expect([name, await inTheName(`delete from ${name} ${where}`, tenants)]).toEqual([name, 0]);
    }
    expect((await tables('select')).length).toBeGreaterThan(8);
  });

  test('no row can be put under the victim', async () => {
    for (const { name } of await tables('insert')) {
      const copy = `insert into ${name} overriding system value
        select (jsonb_populate_record(t, jsonb_build_object('tenant_id', ${victim.id}))).*
        from ${name} t limit 1`;
      const rows = await inTheName(`select 1 from ${name} limit 1`);
      if (rows > 0) await expect(inTheName(copy)).rejects.toMatchObject({ code: '42501' });
    }
  });
});

test('a function that sees every tenant is named so, and fixes its search path', async () => {
  const rows = await owner<{ name: string; config: string[] | null }[]>`
    select proname as name, to_json(proconfig)::jsonb as config from pg_proc
    where pronamespace = 'tallyrace'::regnamespace and prosecdef order by 1`;
  expect(rows.length).toBeGreaterThan(10);
  for (const { name, config } of rows) {
    expect(name).toMatch(/^(system_\w+|ledger_write|ensure_entry_partitions)$/);
    expect([name, config?.[0]]).toEqual([name, 'search_path=tallyrace, pg_temp']);
  }
});

test('no role but that of the application may enter the schema', async () => {
  const [row] = await owner`
    select has_schema_privilege('public', 'tallyrace', 'usage') as public_may,
           has_schema_privilege('tallyrace_app', 'tallyrace', 'create') as app_creates`;
  expect(row).toEqual({ public_may: false, app_creates: false });
});
