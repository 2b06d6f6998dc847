// Lists and rules over HTTP: who is on a list and what that does, what is refused, and that
// addresses, tokens and other tenants' settings are seen by nobody.
import { describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { Client } from '../client.ts';
import { openDoor } from '../http/door.ts';
import { card } from '../payments/payment-stack.ts';
import { putDocuments } from '../../src/store/documents.ts';
import { eventually } from '../processes.ts';
import { createKey } from '../tenants.ts';

const door = await openDoor('risk_settings', { ledger: true });
const { owner } = door.stack;
const client = new Client(door.url, door.key);
const stranger = new Client(door.url, (await door.stack.createTenant('risk_stranger')).key);
const clerk = new Client(door.url, await createKey(owner, door.tenant, ['coupons:check']));

async function pay(more: object = {}): Promise<{ id: string; status: string }> {
  const headers = { 'Idempotency-Key': crypto.randomUUID(), Prefer: 'wait=ledger' };
  const { status, body } = await client.post('/v1/payments', card(more), headers);
  expect({ status, body }).toMatchObject({ status: 202 });
  return body as { id: string; status: string };
}

const riskOf = async (id: string) => (await client.get(`/v1/payments/${id}/risk`)).body;

const rule = {
  name: 'large',
  when: [{ signal: 'amount', at_least: 50_000 }],
  points: 900,
  reason: 'The amount is {amount}.',
};
const rules = { about: 'Large ones.', thresholds: { review: 1_000, block: 1_000 }, rules: [rule] };
expect((await client.put('/v1/risk/rules', rules)).status).toBe(200);

describe('lists', () => {
  const entry = { list: 'deny', subject: 'device', value: 'd_stolen', reason: 'Reported.' };

  test('who is denied is blocked, who is allowed is let through', async () => {
    const { status, body } = await client.post('/v1/risk/lists', entry);
    expect({ status, body }).toMatchObject({ status: 201, body: { ...entry, expires_at: null } });
    const device = { device_id: 'd_stolen' };
    const blocked = await eventually('it is denied', async () => {
      const made = await pay(device);
      return made.status === 'failed' ? made : null;
    });
    expect(await riskOf(blocked.id)).toMatchObject({
      score: 1_000,
      summary: 'Blocked: the device is on the deny list.',
    });
    await client.post('/v1/risk/lists', {
      ...entry,
      list: 'allow',
      subject: 'user',
      value: 'c_vip',
    });
    const let_in = await eventually('it is allowed', async () => {
      const made = await pay({ customer_id: 'c_vip', amount: { amount: 95_000, currency: 'USD' } });
      return made.status === 'processing' ? made : null;
    });
    expect(await riskOf(let_in.id)).toMatchObject({
      ...{ decision: 'allow', score: 900 },
      summary: 'Let through: the customer is on the allow list.',
    });
    expect((await pay({ customer_id: 'c_vip', ...device })).status).toBe('failed');
  });

  test('addresses and tokens go in, and their values do not come out', async () => {
    const secret = { ...entry, subject: 'token', value: 'tok_Zq8Kd_4242' };
    const added = await client.post('/v1/risk/lists', secret);
    const address = { ...entry, subject: 'ip', value: '203.0.113.77' };
    await client.post('/v1/risk/lists', address);
    const listed = await client.get<{ data: object[] }>('/v1/risk/lists');
    expect(listed.body.data).toContainEqual(added.body);
    expect(JSON.stringify(listed.body)).not.toMatch(/Zq8Kd|203\.0\.113\.77/);
    const [row] = await owner`select string_agg(t::text, ' ') as all from (
      select body::text from documents union all select body::text from document_versions
      union all select subject || detail::text from audit_log) t`;
    expect(row!['all']).not.toMatch(/Zq8Kd|203\.0\.113\.77/);
  });

  test('a server names the address of its buyer, and that one counts', async () => {
    const address = { list: 'deny', subject: 'ip', value: '2001:db8:1:2:3::4', reason: 'Bot.' };
    expect((await client.post('/v1/risk/lists', address)).body['value']).toBe('2001:db8:1…');
    const blocked = await eventually('its network is denied', async () => {
      const made = await pay({ customer_ip: '2001:0db8:1:2::9' });
      return made.status === 'failed' ? made : null;
    });
    expect((await riskOf(blocked.id))['signals']).not.toHaveProperty('device_1m');
    expect((await pay({ customer_ip: '2001:db8:1:3::9' })).status).toBe('processing');
    const headers = { 'Idempotency-Key': crypto.randomUUID() };
    const refused = await client.post('/v1/payments', card({ customer_ip: 'home' }), headers);
    expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer: '/customer_ip' }] } });
  });

  test('the same value replaces its entry; taken off, it holds no more', async () => {
    const again = await client.post('/v1/risk/lists', { ...entry, reason: 'Once more.' });
    expect(again).toMatchObject({ status: 200, body: { reason: 'Once more.' } });
    const path = `/v1/risk/lists/${String(again.body['id'])}`;
    expect((await stranger.get(path)).status).toBe(404);
    expect((await stranger.send('DELETE', path)).status).toBe(404);
    expect((await client.get(path)).body).toEqual(again.body);
    expect((await client.send('DELETE', `${path}?reason=Found.`)).status).toBe(200);
    expect((await client.get(path)).status).toBe(404);
    expect((await client.send('DELETE', path)).status).toBe(404);
    await eventually('it is let in', async () => {
      return (await pay({ device_id: 'd_stolen' })).status === 'processing';
    });
    const [row] = await owner`
      select v.actor, v.body->>'removed_reason' as reason from document_versions v
      where v.kind = 'risk_lists' and v.key = ${String(again.body['id'])}
      order by version desc limit 1`;
    expect(row!['reason']).toBe('Found.');
    expect(row!['actor']).toStartWith('key:');
  });

  test('lists end somewhere, and what is on them can still be changed', async () => {
    const entries = Array.from({ length: 10_000 }, (_, n) => ({
      key: `deny.user.${String(n).padStart(22, 'f')}`,
      body: { ...entry, shown: 'x', expires_at: null, added_at: entry.reason, removed: false },
    }));
    const full = await door.stack.createTenant('risk_full');
    const known = new Client(door.url, full.key);
    await known.post('/v1/risk/lists', entry);
    await putDocuments(door.stack.sql, full.id, 'risk_lists', entries.slice(1), 'test');
    const one = { ...entry, value: 'd_one_more' };
    expect((await known.post('/v1/risk/lists', one)).body).toMatchObject({ code: 'list_full' });
    expect((await known.post('/v1/risk/lists', entry)).status).toBe(200);
    const seen = (await known.get<{ data: object[] }>('/v1/risk/lists?limit=200')).body.data;
    expect(seen).toHaveLength(200);
  });

  test.each([
    ['no address', { subject: 'ip', value: 'nowhere' }, '/value'],
    ['an id that is too long', { value: 'd'.repeat(129) }, '/value'],
    ['already over', { expires_at: '2020-01-01T00:00:00Z' }, '/expires_at'],
    ['a card number', { subject: 'token', value: '4242424242424242' }, '/value'],
    ['a card number in words', { reason: 'Card 4242 4242 4242 4242' }, '/reason'],
    ['another list', { list: 'grey' }, '/list'],
    ['something more', { colour: 'red' }, '/colour'],
  ])('%s is refused', async (_, more, pointer) => {
    const { status, body } = await client.post('/v1/risk/lists', { ...entry, ...more });
    expect({ status, errors: body['errors'] }).toMatchObject({
      status: 422,
      errors: [{ pointer }],
    });
    expect(JSON.stringify(body)).not.toContain('4242');
  });
});

describe('rules that cannot be evaluated are refused', () => {
  const condition = (more: object) => ({ rules: [{ ...rule, when: [more] }] });

  test.each([
    ['thresholds out of order', { thresholds: { review: 500, block: 499 } }, '/thresholds/block'],
    ['a name twice', { rules: [rule, rule] }, '/rules/1/name'],
    ['an unknown signal', condition({ signal: 'mood' }), '/rules/0/when/0/signal'],
    [
      'bounds that exclude each other',
      condition({ signal: 'amount', at_least: 2, at_most: 1 }),
      '/rules/0/when/0/at_most',
    ],
    [
      'a count beyond counting',
      condition({ signal: 'ip_1m', at_least: 1_001 }),
      '/rules/0/when/0/at_least',
    ],
    [
      'a reason with an unknown signal',
      { rules: [{ ...rule, reason: 'Is {mood}.' }] },
      '/rules/0/reason',
    ],
    ['no condition', { rules: [{ ...rule, when: [] }] }, '/rules/0/when'],
    ['a card number', { about: '4242424242424242' }, '/about'],
  ])('%s', async (_, more, pointer) => {
    for (const path of ['/v1/risk/rules', '/v1/risk/rules/shadow']) {
      const { status, body } = await client.put(path, { ...rules, ...more });
      expect({ status, errors: body['errors'] }).toMatchObject({
        ...{ status: 422, errors: [{ pointer }] },
      });
    }
  });

  test('and what was there holds on', async () => {
    expect((await client.get('/v1/risk/rules')).body).toMatchObject({ version: 1, rules });
    expect((await client.get('/v1/risk/rules/shadow')).status).toBe(404);
    expect((await stranger.get('/v1/risk/rules')).body).toMatchObject({ version: 0 });
  });
});

test('a stranger sees nothing of a payment, and a key without the scope neither', async () => {
  const { id } = await pay();
  expect((await stranger.get(`/v1/payments/${id}/risk`)).status).toBe(404);
  for (const path of [`/v1/payments/${id}/risk`, '/v1/reviews', '/v1/risk/rules', '/v1/risk/lists'])
    expect([path, (await clerk.get(path)).status]).toEqual([path, 403]);
});

describe('on the command line', () => {
  const run = (...args: string[]) => door.stack.run('risk', ...args, '--tenant', 'risk_settings');

  async function fileOf(text: string): Promise<string> {
    const file = join(door.stack.home, `rules-${crypto.randomUUID()}.json`);
    await Bun.write(file, text);
    return file;
  }

  test('rules are set from a file, read back, and compared', async () => {
    const shadow = { ...rules, about: 'From a file.' };
    const set = await run('rules', '--shadow', '--set', await fileOf(JSON.stringify(shadow)));
    expect(set).toMatchObject({ exitCode: 0 });
    const shown = await run('rules', '--shadow', '--json');
    expect(JSON.parse(shown.stdout)).toEqual(shadow);
    await eventually(
      'it is tried',
      async () => (await riskOf((await pay()).id))['shadow'] !== null,
    );
    const compared = await run('compare', '--days', '1');
    expect(compared.stdout).toMatch(/^allow \(rules 1\), would be allow \(shadow \d+\): \d+, paid/);
    const [row] = await owner`
      select actor from audit_log where action = 'risk_rules.put' and subject = 'shadow' limit 1`;
    expect(row!['actor']).toStartWith('cli:');
  });

  test('lists are shown', async () => {
    const entry = { list: 'deny', subject: 'user', value: 'c_shown', reason: 'Seen here.' };
    await client.post('/v1/risk/lists', entry);
    expect((await run('lists')).stdout).toContain('deny   user    c_shown  until removed');
  });

  test.each([
    ['no JSON', '{', /is not JSON/],
    ['no rules', '{}', /\/thresholds/],
    [
      'rules that cannot hold',
      JSON.stringify({ ...rules, rules: [rule, rule] }),
      /\/rules\/1\/name/,
    ],
    ['a card number', JSON.stringify({ ...rules, about: '4242424242424242' }), /card number/],
  ])('%s is refused', async (_, text, says) => {
    const { exitCode, stderr } = await run('rules', '--set', await fileOf(text));
    expect([exitCode, stderr]).toEqual([2, expect.stringMatching(says)]);
    expect(stderr).not.toContain('4242');
  });
});
