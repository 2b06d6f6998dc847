// A tenant sees its own rows and nobody else's: over every read route that the API document lists,
// and in every table that has a tenant, where a connection that named no tenant sees nothing.
import { beforeAll, describe, expect, test } from 'bun:test';
import { Client } from '../client.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';

/** In every name that the first tenant chooses, so that a leak can be recognised. */
const MARK = 'zq9secret';

const stack = await openStack('tenants', async (opened) => {
  const [mine, theirs] = [await opened.createTenant('mine'), await opened.createTenant('theirs')];
  const ingress = await opened.startIngress();
  await opened.startWorker();
  return { mine, theirs, ingress };
});
const { mine, theirs, ingress } = stack;
const me = new Client(ingress.url, mine.key);
const stranger = new Client(ingress.url, theirs.key);
const document = (await me.get<{ paths: Record<string, Record<string, unknown>> }>('/openapi.json'))
  .body;

const parameters: Record<string, string> = { account: `user:${MARK}:earnings` };
const total = { amount: 5_000, currency: 'USD' };

/** Routes that ask for something beyond their path. */
const queries: Record<string, string> = { '/v1/payments': `?customer_id=${MARK}` };

interface Made {
  redemption: string;
  payment: string;
  listed: string;
}

async function populate(client: Client, mark: string): Promise<Made> {
  const terms = { name: mark, share_bp: 5_000, commission_bp: 1_000, currency: 'USD' };
  await client.put(`/v1/partners/${mark}`, { ...terms, status: 'active' });
  const secrets = { secret_key: `sk_test_${mark}`, webhook_secret: `whsec_${mark}` };
  await client.put('/v1/gateways/stripe', secrets);
  await client.put(`/v1/coupons/${mark}`, { kind: 'percent', percent_bp: 500 });
  await eventually('the coupon is known', async () => {
    const reply = await client.post('/v1/coupons/validate', { code: mark, order: { total } });
    return reply.body['valid'] === true;
  });
  const redemption = await client.post<{ id: string }>(
    '/v1/redemptions',
    { code: mark, customer_id: mark, order: { id: mark, total } },
    { 'idempotency-key': mark },
  );
  const data = { user_id: mark, kind: 'test', amount: total, reference: mark };
  const event = { id: mark, type: 'earning.credited', data };
  const sent = await client.post('/v1/events', event, { prefer: 'wait=ledger' });
  expect(sent.status).toBe(200);
  // The same id with another body, which the ledger keeps as evidence.
  const payment = await client.post<{ id: string }>(
    '/v1/payments',
    { amount: total, customer_id: mark, method: { type: 'card', token: mark }, order_id: mark },
    { 'idempotency-key': mark, prefer: 'wait=ledger' },
  );
  const listed = await putRisk(client, mark);
  return { redemption: redemption.body.id, payment: payment.body.id, listed };
}

async function putRisk(client: Client, mark: string): Promise<string> {
  const rules = { about: mark, thresholds: { review: 1_000, block: 1_000 }, rules: [] };
  await client.put('/v1/risk/rules', rules);
  await client.put('/v1/risk/rules/shadow', rules);
  const entry = { list: 'deny', subject: 'device', value: mark, reason: mark };
  return (await client.post<{ id: string }>('/v1/risk/lists', entry)).body.id;
}

/** Something that a gateway tells of. Gives its id. */
async function hear(client: Client, mark: string): Promise<string> {
  const { body } = await client.get('/v1/gateways/stripe');
  const path = String(body['webhook_path']);
  const text = JSON.stringify({ id: `evt_${mark}`, type: 'a.b', data: { object: { mark } } });
  const time = Math.floor(Date.now() / 1_000);
  const hasher = new Bun.CryptoHasher('sha256', `whsec_${mark}`);
  const signature = hasher.update(`${time}.${text}`).digest('hex');
  await eventually('the account is known', async () => {
    const { status } = await fetch(client.url + path, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'stripe-signature': `t=${time},v1=${signature}`,
        prefer: 'wait=ledger',
      },
      body: text,
    });
    return status === 202;
  });
  return `stripe:${path.split('/').at(-1)!}:evt_${mark}`;
}

/** An endpoint, and something that it was told. */
async function listen(client: Client, tenant: number, mark: string) {
  const endpoints = '/v1/webhook-endpoints';
  const url = `https://shop.example/${mark}`;
  const made = await client.post<{ id: string }>(endpoints, { url, description: mark });
  const values = { type: 'payment.captured', subject: mark, data: { mark }, occurred_ms: 0 };
  const row = { ...values, key: mark, tenant_id: tenant, event_key: Bun.randomUUIDv7() };
  await stack.owner`select notices_write(${JSON.stringify([row])}::text::jsonb)`;
  const list = await client.get<{ data: { id: string }[] }>(
    `${endpoints}/${made.body.id}/deliveries`,
  );
  return { endpoint: made.body.id, id: list.body.data[0]!.id };
}

/** What takes the place of a path's parameter, for the first tenant's own rows. */
function filled(path: string): string {
  const named = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const resource = path.split('/')[2]!;
    const value = parameters[`${resource}.${name}`] ?? parameters[name];
    if (!value) throw new Error(`no row of ${path} is made here: add one`);
    return encodeURIComponent(value);
  });
  return named + (queries[path] ?? '');
}

beforeAll(async () => {
  const { redemption, payment, listed } = await populate(me, MARK);
  parameters['risk.id'] = listed;
  parameters['redemptions.id'] = redemption;
  parameters['payments.id'] = payment;
  // As a gateway's webhook leaves it.
  await stack.owner`
    insert into disputes (id, tenant_id, payment_id, customer_id, gateway, currency, amount, fee,
      status, evidence_status, created_at, updated_at)
    values (${MARK}, ${mine.id}, ${payment}, ${MARK}, 'stripe', 'USD', 1, 0, 'open', 'none', now(),
      now())`;
  parameters['disputes.id'] = MARK;
  for (const resource of ['events', 'partners']) parameters[`${resource}.id`] = MARK;
  parameters['coupons.code'] = MARK;
  parameters['gateways.name'] = 'stripe';
  parameters['limits.policy'] = 'redemptions';
  const delivery = await listen(me, mine.id, MARK);
  parameters['webhook-endpoints.id'] = delivery.endpoint;
  parameters['webhook-endpoints.delivery'] = delivery.id;
  await populate(stranger, 'plain');
  parameters['webhook-events.id'] = await hear(me, MARK);
  await hear(stranger, 'plain');
}, 30_000);

const readRoutes = Object.entries(document.paths)
  .filter(([path, methods]) => path.startsWith('/v1/') && 'get' in methods)
  .map(([path]) => path);

describe.each(readRoutes)('GET %s', (path) => {
  test('shows a tenant what it owns', async () => {
    expect((await me.get(filled(path))).status).toBe(200);
  });

  test('shows a stranger nothing of it', async () => {
    const reply = await stranger.get(filled(path));
    expect(reply.status).toBeOneOf([200, 404]);
    const { instance: _instance, ...shown } = reply.body;
    const asked = JSON.stringify(shown).replaceAll(parameters['account']!, '');
    expect(asked).not.toContain(MARK);
    expect(asked).not.toContain(parameters['redemptions.id']!);
  });

  test('shows nobody anything without a key', async () => {
    expect((await new Client(ingress.url, 'tr_test_nobody').get(filled(path))).status).toBe(401);
  });
});

test('the list of read routes is not empty', () => {
  expect(readRoutes.length).toBeGreaterThanOrEqual(8);
});

test('a stranger can neither commit nor release, and ids of tenants are apart', async () => {
  const id = parameters['redemptions.id']!;
  for (const verb of ['commit', 'release'])
    expect((await stranger.post(`/v1/redemptions/${id}/${verb}`, {})).status).toBe(404);
  expect((await me.get(`/v1/redemptions/${id}`)).body['status']).toBe('reserved');
  const data = { user_id: 'u', kind: 'test', amount: total, reference: 'r' };
  const event = { id: MARK, type: 'earning.credited', data };
  const reply = await stranger.post<{ results: { status: string }[] }>('/v1/events', event, {
    prefer: 'wait=ledger',
  });
  expect(reply.body.results[0]).toMatchObject({ status: 'accepted' });
});

interface TableRow {
  name: string;
  column: string;
  secured: boolean;
}

const tables = await stack.owner<TableRow[]>`
  select c.relname as name, a.attname as column, c.relrowsecurity as secured
  from pg_class c join pg_attribute a on a.attrelid = c.oid
  where c.relnamespace = 'tallyrace'::regnamespace and c.relkind = 'r'
    and (a.attname = 'tenant_id' or (c.relname = 'tenants' and a.attname = 'id'))
    and not a.attisdropped order by 1`;

describe.each([...tables])('table $name', ({ name, column, secured }) => {
  test('has row-level security', () => {
    expect(secured).toBe(true);
  });

  test('shows nothing to a connection that named no tenant', async () => {
    expect(await countAs(name, '')).toBe(0);
  });

  test('shows a tenant its own rows only', async () => {
    const [row] = await stack.owner`
      select count(*)::int as count from ${stack.owner(name)}
      where ${stack.owner(column)} = ${theirs.id}`;
    expect(await countAs(name, `{${theirs.id}}`)).toBe(row!['count'] as number);
  });
});

/** As the application role; null where it has no right to read the table at all. */
async function countAs(table: string, tenants: string): Promise<number> {
  const rows = await stack.sql.begin(async (sql) => {
    await sql`select set_config('tallyrace.tenants', ${tenants}, true)`;
    const [may] = await sql`select has_table_privilege(${`tallyrace.${table}`}, 'select') as may`;
    if (!may!['may']) return tenants === '' ? [{ count: 0 }] : ownRows(table);
    return sql`select count(*)::int as count from ${sql(table)}`;
  });
  return rows[0]!['count'] as number;
}

/** A partition that only its parent may be read through is as secret as can be. */
function ownRows(table: string) {
  return stack.owner<{ count: number }[]>`
    select count(*)::int as count from ${stack.owner(table)} where tenant_id = ${theirs.id}`;
}

test('the tables of the tenant were not empty', async () => {
  for (const table of ['outcomes', 'entries', 'balances', 'documents', 'redemptions'])
    expect([table, await countAs(table, `{${theirs.id}}`)]).not.toEqual([table, 0]);
});

test('the role of the application can neither bypass the policies nor own a table', async () => {
  const [role] = await stack.owner`
    select rolsuper, rolbypassrls from pg_roles where rolname = 'tallyrace_app'`;
  expect(role).toEqual({ rolsuper: false, rolbypassrls: false });
  const owned = await stack.owner`
    select c.relname from pg_class c join pg_roles r on r.oid = c.relowner
    where r.rolname = 'tallyrace_app'`;
  expect(owned).toHaveLength(0);
});

test.each(['outcomes', 'entries', 'balances'])(
  'the role of the application cannot change %s but by ledger_write',
  async (table) => {
    const [may] = await stack.sql`
      select has_any_column_privilege(${`tallyrace.${table}`}, 'insert, update') as change,
             has_table_privilege(${`tallyrace.${table}`}, 'delete, truncate') as remove`;
    expect(may).toEqual({ change: false, remove: false });
  },
);

test('ledger_write refuses a batch with a tenant that was not named', async () => {
  const none = (count: number): string => Array<string>(count).fill(`'{}'`).join(', ');
  const writing = (tenant: number, named: number): string => `select ledger_write('{${named}}',
    ${none(11)}, ${none(8)}, '{00000000000000000000000000000001}', '{${tenant}}', '{stray}',
    '{earning.credited}', '{0}', '{""}', '{events.0}', '{1}', '{0}', '\\x00', '{1}', '{1}',
    ${none(5)})`;
  const strayed = stack.sql.unsafe(writing(theirs.id, theirs.id + 1));
  await expect(strayed).rejects.toMatchObject({ code: '42501' });
  const rows = await stack.owner`select from outcomes where event_id = 'stray'`;
  expect(rows).toHaveLength(0);
  // The same, its tenant named: it was the name that was missing.
  await stack.sql.unsafe(writing(theirs.id, theirs.id));
  await stack.owner`delete from outcomes where event_id = 'stray'`;
});
