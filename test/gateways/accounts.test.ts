// Accounts with gateways: secrets go in and come out nowhere, webhooks find their tenant and both
// of its secrets, keys can be replaced while all runs.
import { afterAll, describe, expect, test } from 'bun:test';
import { GatewayAccounts } from '../../src/gateways/accounts.ts';
import { getDocument } from '../../src/store/documents.ts';
import { ensureDemoGateways } from '../../src/supervisor/demo-gateways.ts';
import { readSecrets } from '../../src/store/gateway-accounts.ts';
import { type Sealed, VaultError, openVault } from '../../src/store/secrets.ts';
import { openDoor } from '../http/door.ts';
import { createKey } from '../tenants.ts';

const keyOf = (letter: string): string => Buffer.alloc(32, letter).toString('base64');

describe('a vault', () => {
  test('opens what it sealed, for the same owner only', async () => {
    const vault = await openVault(keyOf('a'), null);
    const sealed = await vault.seal('gateway:1:stripe', 'sk_test_1');
    expect(sealed.box).not.toContain('sk_test');
    expect(await vault.open('gateway:1:stripe', sealed)).toBe('sk_test_1');
    await expect(vault.open('gateway:2:stripe', sealed)).rejects.toThrow(VaultError);
  });

  test('seals the same differently each time, and nothing that was changed opens', async () => {
    const vault = await openVault(keyOf('a'), null);
    const [one, two] = [await vault.seal('o', 'same'), await vault.seal('o', 'same')];
    expect(one.box).not.toBe(two.box);
    const bytes = Buffer.from(one.box, 'base64');
    bytes[bytes.length - 1]! ^= 1;
    const changed: Sealed = { keyId: one.keyId, box: bytes.toString('base64') };
    await expect(vault.open('o', changed)).rejects.toThrow(VaultError);
  });

  test('opens with the key before too, and seals with the present one', async () => {
    const old = await openVault(keyOf('a'), null);
    const sealed = await old.seal('o', 'text');
    const both = await openVault(keyOf('b'), keyOf('a'));
    expect(await both.open('o', sealed)).toBe('text');
    expect((await both.seal('o', 'text')).keyId).not.toBe(sealed.keyId);
    const next = await openVault(keyOf('b'), null);
    await expect(next.open('o', sealed)).rejects.toThrow(/which is not set/);
  });
});

const door = await openDoor('gateway_accounts');
const { stack, tenant } = door;
const key = stack.environment['TALLYRACE_SECRETS_KEY']!;
const vault = await openVault(key, null);
const accounts = new GatewayAccounts(stack.sql, vault, () => {});
await accounts.ready;
afterAll(() => accounts.stop());

const stripe = { secret_key: 'sk_test_51_Zq8Kd_4242', webhook_secret: 'whsec_Zq8Kd_first' };
const razorpay = {
  key_id: 'rzp_test_Zq8Kd',
  key_secret: 'Zq8Kd_razorpay_secret',
  webhook_secret: 'Zq8Kd_razorpay_hook',
  email: 'payments@shop.example',
  contact: '+919900000000',
};

test('what is answered names secrets by their last four characters', async () => {
  const made = await door.call('PUT', '/v1/gateways/stripe', { body: stripe });
  expect(made.status).toBe(201);
  expect(made.body).toMatchObject({ gateway: 'stripe', secret_key: '…4242' });
  expect((await door.call('PUT', '/v1/gateways/razorpay', { body: razorpay })).status).toBe(201);
  const shown = [made, await door.call('GET', '/v1/gateways/stripe')];
  shown.push(await door.call('GET', '/v1/gateways'));
  for (const { text } of shown) expect(text).not.toContain('Zq8Kd');
  const { text } = await door.call('PUT', '/v1/gateways/stripe', { body: { ...stripe, more: 1 } });
  expect(text).not.toContain('Zq8Kd');
});

test('no table holds a secret that can be read', async () => {
  const tables = ['gateway_secrets', 'documents', 'document_versions', 'audit_log'];
  for (const table of tables) {
    const [row] = await stack.owner.unsafe(
      `select string_agg(t::text, ' ') as all from ${table} t`,
    );
    expect(row!['all']).toBeString();
    expect(row!['all']).not.toContain('Zq8Kd');
  }
  const [audited] = await stack.owner`
    select actor from audit_log where action = 'gateways.put' and subject = 'stripe'`;
  expect(audited!['actor']).toStartWith('key:');
});

test('another tenant sees nothing of it, and sets its own', async () => {
  const { id } = await stack.createTenant('other');
  const other = await createKey(stack.owner, id, ['admin']);
  expect((await door.call('GET', '/v1/gateways', { key: other })).body).toEqual({ data: [] });
  expect((await door.call('DELETE', '/v1/gateways/stripe', { key: other })).status).toBe(404);
  expect(await readSecrets(stack.sql, vault, id, 'stripe')).toBeNull();
});

test('a webhook finds its tenant; for a day its secret and the one before both hold', async () => {
  const { body } = await door.call('GET', '/v1/gateways/stripe');
  const endpoint = String(body['webhook_path']).split('/').at(-1)!;
  await accounts.refresh();
  const secrets = [stripe.webhook_secret];
  expect(await accounts.endpointOf(endpoint)).toEqual({ tenant, gateway: 'stripe', secrets });
  const next = { ...stripe, webhook_secret: 'whsec_Zq8Kd_second' };
  await door.call('PUT', '/v1/gateways/stripe', { body: next });
  await door.call('PUT', '/v1/gateways/stripe', { body: next });
  await accounts.refresh();
  expect((await accounts.endpointOf(endpoint))!.secrets).toEqual([
    'whsec_Zq8Kd_second',
    'whsec_Zq8Kd_first',
  ]);
  expect(await accounts.endpointOf('whi_0000')).toBeNull();
  expect(accounts.namesOf(tenant)).toEqual(['stripe', 'razorpay']);
});

test('changes at once all count: the last secret but one is the one before', async () => {
  const put = (n: number) =>
    door.call('PUT', '/v1/gateways/stripe', {
      body: { ...stripe, webhook_secret: `whsec_Zq8Kd_race_${n}` },
    });
  const statuses = (await Promise.all([put(1), put(2), put(3)])).map(({ status }) => status);
  expect(statuses).toEqual([200, 200, 200]);
  const { webhookSecret, previousWebhookSecret } = (await readSecrets(
    stack.sql,
    vault,
    tenant,
    'stripe',
  ))!;
  expect(webhookSecret).toStartWith('whsec_Zq8Kd_race_');
  expect(previousWebhookSecret!.secret).toStartWith('whsec_Zq8Kd_race_');
  expect(previousWebhookSecret!.secret).not.toBe(webhookSecret);
});

test('the key of secrets is replaced by a verb; an old key that is gone is said', async () => {
  stack.environment['TALLYRACE_SECRETS_KEY'] = keyOf('n');
  const refused = await stack.run('gateways', 'rotate-key');
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain('TALLYRACE_SECRETS_KEY_PREVIOUS');
  stack.environment['TALLYRACE_SECRETS_KEY_PREVIOUS'] = key;
  const rotated = await stack.run('gateways', 'rotate-key');
  expect(rotated).toMatchObject({ exitCode: 0 });
  expect(rotated.stdout).toMatch(/^sealed 2 again/);
  const next = await openVault(keyOf('n'), null);
  const read = await readSecrets(stack.sql, next, tenant, 'razorpay');
  expect(read!.credentials['keySecret']).toBe(razorpay.key_secret);
  const listed = await stack.run('gateways', 'list');
  expect(listed.stdout).toContain(next.keyId);
  expect(`${listed.stdout}${listed.stderr}${rotated.stdout}`).not.toContain('Zq8Kd');
});

test('a deleted account has no secrets left and no endpoint', async () => {
  const { body } = await door.call('GET', '/v1/gateways/razorpay');
  const endpoint = String(body['webhook_path']).split('/').at(-1)!;
  expect((await door.call('DELETE', '/v1/gateways/razorpay')).status).toBe(200);
  expect((await door.call('GET', '/v1/gateways/razorpay')).status).toBe(404);
  await accounts.refresh();
  expect(await accounts.endpointOf(endpoint)).toBeNull();
  expect(accounts.namesOf(tenant)).toEqual(['stripe']);
  const [row] = await stack.owner`
    select count(*)::int as n from gateway_secrets where name = 'razorpay'`;
  expect(row!['n']).toBe(0);
});

test('the demo tenant gets accounts with the sandbox, and keeps those it has', async () => {
  const { id } = await stack.createTenant('demo');
  const first = await ensureDemoGateways(stack.owner, vault, 'demo');
  expect(first.stripe).toMatch(/^\/v1\/webhooks\/stripe\/whi_[0-9a-f]{40}$/);
  expect(await ensureDemoGateways(stack.owner, vault, 'demo')).toEqual(first);
  const { version } = (await getDocument(stack.sql, id, 'gateways', 'stripe'))!;
  expect(version).toBe(1);
  const read = await readSecrets(stack.sql, vault, id, 'razorpay');
  expect(read).toMatchObject({ credentials: { keyId: 'rzp_test_sandbox' } });
});
