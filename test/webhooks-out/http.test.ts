// Endpoints and deliveries as a tenant meets them over HTTP: made, changed, rotated, deleted; bad
// input, other tenants' ids and keys without the scope are refused; secrets are shown once.
import { describe, expect, test } from 'bun:test';
import { openVault } from '../../src/store/secrets.ts';
import { getEndpoint, openSecrets } from '../../src/store/webhook-endpoints.ts';
import { createKey } from '../tenants.ts';
import { type Reply, openDoor } from '../http/door.ts';

const door = await openDoor('hooks_http', {
  env: { WEBHOOKS_PRIVATE_ALLOWED: '10.7.0.0/16' },
});
const { stack, tenant } = door;
const base = '/v1/webhook-endpoints';
const url = 'https://shop.example/hooks?channel=zq9path';
const secrets: string[] = [];
const other = await createKey(stack.owner, (await stack.createTenant('other')).id, ['admin']);

interface Shown {
  id: string;
  status: string;
  event_types: string[];
  secret?: string;
}
const shown = (reply: Reply) => reply.body as unknown as Shown;

async function make(body: object = {}): Promise<Shown> {
  const reply = await door.call('POST', base, { body: { url, ...body } });
  expect([reply.text, reply.status]).toEqual([reply.text, 201]);
  secrets.push(shown(reply).secret!);
  return shown(reply);
}

async function deliver(endpoint: string, subject: string): Promise<string> {
  const values = { type: 'payment.captured', subject, data: {}, occurred_ms: 0, key: subject };
  const row = { ...values, tenant_id: tenant, event_key: Bun.randomUUIDv7() };
  await stack.owner`select notices_write(${JSON.stringify([row])}::text::jsonb)`;
  const { body } = await door.call('GET', `${base}/${endpoint}/deliveries?limit=1`);
  return (body['data'] as { id: string }[])[0]!.id;
}

test('an endpoint is made, shown, changed and deleted; its secret is shown once', async () => {
  const made = await make({ event_types: ['payment.captured'], description: 'Orders' });
  expect(made.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  expect(made).toMatchObject({ status: 'enabled', event_types: ['payment.captured'] });
  const path = `${base}/${made.id}`;
  const read = await door.call('GET', path);
  const listed = await door.call('GET', base);
  for (const reply of [read, listed]) {
    expect([reply.status, reply.text.includes('whsec_')]).toEqual([200, false]);
    expect(reply.text).toContain(made.id);
  }
  const change = { url, event_types: ['*'], description: '', status: 'disabled' };
  const changed = await door.call('PUT', path, { body: change });
  expect(changed.body).toMatchObject({ status: 'disabled', disabled_reason: 'by_hand' });
  expect((await door.call('DELETE', path)).body).toEqual({ id: made.id });
  for (const method of ['GET', 'DELETE']) expect((await door.call(method, path)).status).toBe(404);
  const rows = await stack.owner`
    select actor, action, detail::text from audit_log where subject = ${made.id} order by id`;
  expect(rows.map(({ action }) => action)).toEqual(
    ['created', 'changed', 'deleted'].map((what) => `webhook_endpoint.${what}`),
  );
  for (const { actor, detail } of rows) {
    expect(actor).toStartWith('key:');
    // An address may be a secret itself.
    expect(detail).not.toContain('zq9path');
  }
});

test('a rotation gives another secret, once, and says until when the old one signs', async () => {
  const { id, secret } = await make();
  const rotate = (body: object) => door.call('POST', `${base}/${id}/rotate-secret`, { body });
  const first = await rotate({});
  expect(first.status).toBe(200);
  secrets.push(shown(first).secret!);
  expect(shown(first).secret).not.toBe(secret);
  const until = Date.parse(String(first.body['previous_secret_until']));
  expect(until - Date.now()).toBeGreaterThan(23 * 3_600_000);
  expect((await rotate({ overlap_s: 0 })).body['previous_secret_until']).toBeNull();
  expect((await rotate({ overlap_s: -1 })).status).toBe(422);
  const both = await Promise.all([rotate({ overlap_s: 60 }), rotate({ overlap_s: 60 })]);
  expect(both.map(({ status }) => status)).toEqual([200, 200]);
  // The later one took the secret of the other for the one before, not one of both took.
  const vault = await openVault(stack.environment['TALLYRACE_SECRETS_KEY']!, null);
  const name = { tenant, id };
  const signing = await openSecrets(vault, name, (await getEndpoint(stack.sql, name))!.sealed);
  const given = both.map((reply) => shown(reply).secret!);
  expect([signing.secret, signing.previous!.secret].toSorted()).toEqual(given.toSorted());
  await door.call('DELETE', `${base}/${id}`);
});

describe('what cannot be called is refused at once', () => {
  const bad = [
    ...['', 'shop.example', 'ftp://shop.example', 'https://', 'https:///'],
    ...['https://user:pw@shop.example/', 'https://shop.example/#a', 'https://a b.example/'],
    ...['https://127.0.0.1/', 'https://0x7f.1/', 'https://2130706433/', 'https://[::1]/'],
    ...['https://[::ffff:10.0.0.1]/', 'https://169.254.169.254/', 'https://10.8.0.1/'],
    ...['https://100.64.0.1/', 'https://[fe80::1]/', 'https://0/', 'http://8.8.8.8/'],
    'https://shop.example/4242424242424242/',
  ];
  test.each(bad)('%p', async (each) => {
    const refused = await door.call('POST', base, { body: { url: each } });
    expect(refused.status).toBe(422);
    if (each !== '') expect(refused.text).not.toContain(each);
  });

  test('a network that the operator has named is not, over http either', async () => {
    for (const each of ['http://10.7.1.1/', 'https://10.7.1.1:8443/x', 'http://hooks.internal/']) {
      const { id } = await make({ url: each });
      await door.call('DELETE', `${base}/${id}`);
    }
  });

  test('http is refused where no network is named', async () => {
    const bare = await door.openAnother({ WEBHOOKS_PRIVATE_ALLOWED: '' });
    const reply = await bare.call('POST', base, { body: { url: 'http://shop.example' } });
    expect([reply.status, reply.body['errors']]).toEqual([
      422,
      [{ pointer: '/url', detail: 'Only https.' }],
    ]);
  });

  test('types that are none, twice the same, unknown properties, long texts', async () => {
    for (const body of [
      { event_types: [] },
      { event_types: ['payment.exploded'] },
      { event_types: ['*', '*'] },
      { description: 'x'.repeat(201) },
      { description: '4242 4242 4242 4242' },
      { secret: 'whsec_mine' },
      { url: `https://shop.example/${'x'.repeat(2_000)}` },
    ])
      expect((await door.call('POST', base, { body: { url, ...body } })).status).toBe(422);
    for (const id of ['whe_1', 'nobody', 'pay_019c0f6a-7b1e-7c3d-9f00-8a1b2c3d4e07'])
      expect((await door.call('GET', `${base}/${id}`)).status).toBe(422);
    expect((await door.call('GET', `${base}?cursor=MTphYmM`)).status).toBe(400);
  });
});

test('another tenant finds nothing under the ids, and changes nothing', async () => {
  const { id } = await make();
  const delivery = await deliver(id, 'pay_theirs');
  const change = { url, event_types: ['*'], description: '', status: 'disabled' };
  const attempts: [string, string, object?][] = [
    ['GET', ''],
    ['PUT', '', change],
    ['DELETE', ''],
    ['POST', '/rotate-secret', {}],
    ['GET', '/deliveries'],
    ['GET', `/deliveries/${delivery}`],
    ['POST', `/deliveries/${delivery}/redeliver`],
  ];
  for (const [method, path, body] of attempts) {
    const reply = await door.call(method, `${base}/${id}${path}`, {
      key: other,
      ...(body && { body }),
    });
    expect([method, path, reply.status]).toEqual([method, path, 404]);
  }
  const theirs = await door.call('GET', base, { key: other });
  expect(theirs.body).toEqual({ data: [], next_cursor: null });
  expect((await door.call('GET', `${base}/${id}`)).body['status']).toBe('enabled');
  await door.call('DELETE', `${base}/${id}`);
});

test('a key without the scope is let in nowhere', async () => {
  const weak = await createKey(stack.owner, tenant, ['payments:write', 'events:write']);
  expect((await door.call('GET', base, { key: weak })).status).toBe(403);
  expect((await door.call('POST', base, { key: weak, body: { url } })).status).toBe(403);
});

test('deliveries are listed page by page, by status, and sent again by hand', async () => {
  const { id } = await make();
  const path = `${base}/${id}/deliveries`;
  const ids: string[] = [];
  for (let n = 0; n < 5; n++) ids.push(await deliver(id, `pay_${n}`));
  await stack.owner`
    update effects set status = 'given_up', settled_at = now(), attempts = 9
    where key like ${`${ids[0]}%`}`;
  const seen: string[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const query: string = cursor === '' ? '' : `&cursor=${cursor}`;
    const { body } = await door.call('GET', `${path}?limit=2${query}`);
    seen.push(...(body['data'] as Shown[]).map((each) => each.id));
    cursor = body['next_cursor'] as string | null;
  }
  expect(seen).toEqual(ids.toReversed());
  const failed = await door.call('GET', `${path}?status=failed`);
  expect(failed.body['data']).toMatchObject([{ id: ids[0], status: 'failed', attempts: 9 }]);
  const again = await door.call('POST', `${path}/${ids[0]}/redeliver`);
  expect([again.status, again.body['status'], again.body['attempts']]).toEqual([202, 'waiting', 0]);
  expect((await door.call('GET', `${path}?status=failed`)).body['data']).toEqual([]);
  const [audited] = await stack.owner`
    select actor from audit_log
    where action = 'webhook.redelivered' and subject like ${`${ids[0]}%`}`;
  expect(audited!['actor']).toStartWith('key:');
  const unknown = `ntc_${crypto.randomUUID()}`;
  expect((await door.call('POST', `${path}/${unknown}/redeliver`)).status).toBe(404);
  const off = { url, event_types: ['*'], description: '', status: 'disabled' };
  await door.call('PUT', `${base}/${id}`, { body: off });
  const disabled = await door.call('POST', `${path}/${ids[0]}/redeliver`);
  expect([disabled.status, disabled.body['code']]).toEqual([409, 'endpoint_disabled']);
  expect((await door.call('GET', `${path}?cursor=MTphYmM`)).status).toBe(400);
  await door.call('DELETE', `${base}/${id}`);
});

test('a tenant has sixteen at most, however many it asks for at once', async () => {
  const replies = await Promise.all(
    Array.from({ length: 24 }, () => door.call('POST', base, { body: { url } })),
  );
  const made = replies.filter(({ status }) => status === 201);
  for (const reply of made) secrets.push(shown(reply).secret!);
  expect(made).toHaveLength(16);
  for (const reply of replies.filter(({ status }) => status !== 201))
    expect([reply.status, reply.body['code']]).toEqual([409, 'too_many_endpoints']);
});

test('without a key of secrets on the server none is made', async () => {
  const bare = await door.openAnother({ TALLYRACE_SECRETS_KEY: '' });
  const reply = await bare.call('POST', base, { body: { url } });
  expect([reply.status, reply.body['code']]).toEqual([503, 'secrets_key_missing']);
});

test('no table holds a secret that can be read', async () => {
  expect(secrets.length).toBeGreaterThan(20);
  for (const table of ['webhook_endpoints', 'audit_log', 'effects', 'notices']) {
    const [row] = await stack.owner.unsafe(`select string_agg(t::text, ' ') as a from ${table} t`);
    expect(row!['a']).toBeString();
    for (const secret of secrets) expect(row!['a']).not.toContain(secret.slice(6));
  }
});
