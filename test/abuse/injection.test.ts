// Text that means something to whoever handles it next: header lines, log lines, SQL, Lua, names in
// Redis, pages. It comes back as it was sent, or not at all, and means nothing on its way.
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { Client } from '../client.ts';
import { settledReport } from '../ledger-proof.ts';
import { openStack } from '../stack.ts';
import { send, sendText } from './wire.ts';

const stack = await openStack('injection', async ({ createTenant, startIngress, startWorker }) => {
  const { key, id } = await createTenant('injection');
  const ingress = await startIngress({ LOG_LEVEL: 'info' });
  await startWorker();
  return { ingress, key, tenant: id, client: new Client(ingress.url, key) };
});
const { ingress, key, tenant, client } = stack;
const usd = (amount: number) => ({ amount, currency: 'USD' });

const carriers = ['X-Request-Id', 'traceparent', 'Idempotency-Key', 'Prefer', 'ce-id', 'Origin'];
const breaks = [
  '\r\nX-Injected: 1',
  '\nX-Injected: 1',
  '\rX-Injected: 1',
  '\u0000',
  '%0d%0aX-Injected:1',
];

test.each(carriers)('%s cannot begin a line of the answer', async (carrier) => {
  for (const odd of breaks) {
    const request =
      `POST /v1/redemptions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n` +
      `Authorization: Bearer ${key}\r\nContent-Type: application/json\r\n` +
      `Content-Length: 2\r\n${carrier}: a${odd}\r\n\r\n{}`;
    const { headers, status } = await sendText(ingress.url, request);
    expect(headers.get('x-injected')).toBeNull();
    expect(status).toBeWithin(400, 500);
  }
});

test('no parameter of a path or a query gets into a header', async () => {
  for (const target of [
    '/v1/coupons/a%0d%0aX-Injected:1',
    '/problems/a%0d%0aX-Injected:%201',
    '/?a=%0d%0aX-Injected:1',
  ])
    for (const method of ['GET', 'OPTIONS', 'DELETE']) {
      const headers = [['Authorization', `Bearer ${key}`]] as const;
      const reply = await send(ingress.url, { method, target, headers, body: '' });
      expect(reply.headers.get('x-injected')).toBeNull();
    }
});

test('a page is found by its name only, and never by a path', async () => {
  const names = [
    '../package.json',
    '..%2f..%2fpackage.json',
    '%2e%2e%2fpackage.json',
    '....//package.json',
    '/etc/passwd',
    '%2fetc%2fpasswd',
    'start.js%00.css',
    'START.JS',
    'constructor',
    '__proto__',
    'swagger-ui-bundle.js.map',
    'C:%5cWindows',
    'start.js%2f..%2fstart.js',
  ];
  for (const folder of ['/docs/', '/problems/'])
    for (const name of names) {
      const reply = await send(ingress.url, {
        method: 'GET',
        target: folder + name,
        headers: [],
        body: '',
      });
      expect([name, reply.status]).toEqual([name, 404]);
      expect(reply.headers.get('content-type')).toBe('application/problem+json');
    }
});

test('pages run nothing but what we serve, in no frame, and are what they say', async () => {
  for (const path of [
    '/docs',
    '/docs/start.js',
    '/docs/swagger-ui.css',
    '/problems/rate_limited',
  ]) {
    const { status, headers } = await fetch(`${ingress.url}${path}`);
    expect([path, status]).toEqual([path, 200]);
    const policy = headers.get('content-security-policy') ?? '';
    for (const rule of [
      "default-src 'none'",
      "script-src 'self'",
      "frame-ancestors 'none'",
      "base-uri 'none'",
    ])
      expect(policy.split('; ')).toContain(rule);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-frame-options')).toBe('DENY');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
  }
  const page = await (await fetch(`${ingress.url}/docs`)).text();
  expect(page).not.toMatch(/<script>|\son\w+=|https?:\/\//);
  const start = await (await fetch(`${ingress.url}/docs/start.js`)).text();
  // A key that was typed in is gone with the page.
  expect(start).toContain('persistAuthorization: false');
});

/** What Postgres keeps and JSON can say. */
const text = fc
  .oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }),
    fc.constantFrom(
      "'; drop table tenants; --",
      '$1',
      '$$',
      'E\\\\x00',
      '{NULL,"a"}',
      '\\',
      '\\N',
      '"',
      '{}',
      'null',
      '-- ',
      '/*',
      "'||(select 1)||'",
      ']]=]',
      '") redis.call("FLUSHALL")',
      '%s%n',
      '\u2028',
      '{p00}:events',
      '__proto__',
      '\ufeff',
      '=1+1',
      '\u202e',
    ),
  )
  .map((each) => each.replaceAll('\u0000', '').toWellFormed().replaceAll('\ufffd', ''))
  .filter((each) => each.length > 0 && each.length <= 100);

test('any text of a field comes back as it was sent', async () => {
  const terms = { share_bp: 1, commission_bp: 1, currency: 'USD', status: 'active' };
  let count = 0;
  await fc.assert(
    fc.asyncProperty(text, async (name) => {
      const id = `t_${count++}`;
      const put = await client.put(`/v1/partners/${id}`, { ...terms, name });
      expect([name, put.status]).toEqual([name, 201]);
      expect((await client.get(`/v1/partners/${id}`)).body['name']).toBe(name);
      const coupon = { kind: 'percent', percent_bp: 1, metadata: { a: name, ['__proto__']: name } };
      expect((await client.put(`/v1/coupons/${id}`, coupon)).status).toBe(201);
      const { metadata } = (await client.get<{ metadata: object }>(`/v1/coupons/${id}`)).body;
      expect(Object.entries(metadata).toSorted()).toEqual(
        Object.entries(coupon.metadata).toSorted(),
      );
    }),
    { numRuns: 40, examples: [["'; drop table tenants; --"], ['{NULL,"a"}'], ['\\']] },
  );
});

/** Every character that an id may have, where it is part of names in Redis and of accounts. */
const visible = Array.from({ length: 0x5e }, (_, at) => String.fromCharCode(0x21 + at)).join('');
const withoutColon = visible.replace(':', '');

test('ids of every visible character are themselves, wherever they go', async () => {
  const code = withoutColon;
  expect(
    (
      await client.put(`/v1/coupons/${encodeURIComponent(code)}`, {
        kind: 'fixed',
        value: usd(10),
        limits: { global: 5, per_customer: 5 },
      })
    ).status,
  ).toBe(201);
  const order = { id: visible, total: usd(1_000) };
  const request = { code, customer_id: visible, order };
  const once = { 'idempotency-key': visible.replaceAll('"', '').replace('\\', '') };
  const made = await client.post<{ id: string }>('/v1/redemptions', request, once);
  expect([made.status, made.body]).toMatchObject([201, { codes: [{ code }] }]);
  const other = { ...request, order: { ...order, id: `${visible}:customers` } };
  const second = await client.post<{ id: string }>('/v1/redemptions', other, {
    'idempotency-key': 'b',
  });
  expect(second.body.id).not.toBe(made.body.id);
  const { usage } = (await client.get<{ usage: object }>(`/v1/coupons/${encodeURIComponent(code)}`))
    .body;
  expect(usage).toMatchObject({ reserved: 2 });

  const data = { user_id: withoutColon, kind: 'test', amount: usd(7), reference: visible };
  const event = { id: visible, type: 'earning.credited', data };
  const sent = await client.post<object>('/v1/events', event, { prefer: 'wait=ledger' });
  expect(sent.body).toMatchObject({ results: [{ id: visible, outcome: { verdict: 'posted' } }] });
  const journey = await client.get(`/v1/events/${encodeURIComponent(visible)}`);
  expect(journey.body).toMatchObject({ id: visible, status: 'posted' });
  const account = encodeURIComponent(`user:${withoutColon}:earnings`);
  expect((await client.get(`/v1/accounts/${account}/balance`)).body['balance']).toEqual(usd(7));
});

test('the tables are all there, and the books are right', async () => {
  expect(await settledReport(stack)).toMatchObject({ ok: true, problems: [] });
  const [row] =
    await stack.owner`select count(*)::int as n from documents where tenant_id = ${tenant}`;
  expect(row!['n']).toBeGreaterThan(80);
});

test('each line of the log is one object, whatever was sent', async () => {
  for (const id of ['"}\\n{"level":"fatal"', '</script>', '%0a%0d', '{"a":1}'])
    await client.send('GET', '/v1/partners', undefined, { 'X-Request-Id': id.replace('\\n', '') });
  for (const line of ingress.output().trimEnd().split('\n')) {
    const { level, process } = JSON.parse(line) as Record<string, unknown>;
    expect([level, process]).toEqual(['info', 'ingress-1']);
    expect(line).not.toContain(key);
    expect(line).not.toMatch(/drop table/);
  }
});
