// tallyrace webhooks: an operator sees what fails, and sends again what was given up. What else
// holds of secrets holds here too: replacing the key of secrets seals endpoints again.
import { expect, test } from 'bun:test';
import { openVault } from '../../src/store/secrets.ts';
import { getEndpoint, openSecrets } from '../../src/store/webhook-endpoints.ts';
import { eventually } from '../processes.ts';
import { openWebhookWorld } from './world.ts';

const world = await openWebhookWorld('hooks_command');
const { stack, tenant } = world;
const receiver = world.receiver();
const { id, secret } = await world.endpoint(`${receiver.url}?token=zq9path`);
const failing = (sinceMs: number) =>
  stack.run('webhooks', 'redeliver', id, '--failed-since', new Date(sinceMs).toISOString());

test('what was given up is listed and sent again, one by one or since a time', async () => {
  await world.tell([{}, {}, {}]);
  await eventually('all have come', () => receiver.received.length === 3);
  await eventually('all are settled', async () =>
    (await world.deliveries(id)).every(({ status }) => status === 'done'),
  );
  await stack.owner`update effects set status = 'given_up'`;
  const listed = await stack.run('webhooks', 'deliveries', id, '--status', 'failed', '--json');
  const found = JSON.parse(listed.stdout) as { id: string }[];
  expect(found).toHaveLength(3);
  const one = await stack.run('webhooks', 'redeliver', id, found[0]!.id);
  expect(one).toMatchObject({ exitCode: 0, stdout: '1 will be sent again\n' });
  await eventually('it has come again', () => receiver.received.length === 4);
  expect(receiver.received[3]!.id).toBe(found[0]!.id);
  expect((await failing(Date.now() + 60_000)).stdout).toBe('0 will be sent again\n');
  expect((await failing(Date.now() - 60_000)).stdout).toBe('2 will be sent again\n');
  await eventually('the others have', () => receiver.received.length === 6);
  const rows = await stack.owner`select actor from audit_log where action = 'webhook.redelivered'`;
  expect(rows.map(({ actor }) => /^cli:/.test(actor as string))).toEqual([true, true, true]);
});

test('the list names endpoints by their hosts, and no secret', async () => {
  const text = await stack.run('webhooks', 'list');
  expect(text.stdout).toMatch(new RegExp(`^hooks_command  ${id}  enabled  0 waiting  127.0.0.1:`));
  const json = await stack.run('webhooks', 'list', '--tenant', 'hooks_command', '--json');
  expect(JSON.parse(json.stdout)).toMatchObject([{ id, status: 'enabled' }]);
  expect((await stack.run('webhooks', 'list', '--tenant', 'nobody')).stdout).toBe('');
  for (const { stdout, stderr } of [text, json])
    for (const word of ['zq9path', secret.slice(6)]) expect(stdout + stderr).not.toContain(word);
});

test('wrong usage is said, and changes nothing', async () => {
  const unknown = `whe_${Bun.randomUUIDv7()}`;
  const cases = [
    [2, 'deliveries', 'nobody'],
    [2, 'deliveries', id, '--status', 'lost'],
    [2, 'redeliver', id],
    [2, 'redeliver', id, '--failed-since', 'yesterday'],
    [1, 'deliveries', unknown],
    [1, 'redeliver', id, `ntc_${crypto.randomUUID()}`],
  ] as const;
  const runs = cases.map(([, ...args]) => stack.run('webhooks', ...args));
  for (const [index, { exitCode, stderr }] of (await Promise.all(runs)).entries()) {
    expect([cases[index], exitCode]).toEqual([cases[index], cases[index]![0]]);
    expect(stderr).not.toBe('');
  }
});

test('a new key of secrets seals endpoints again, and their secrets stay as they are', async () => {
  const old = stack.environment['TALLYRACE_SECRETS_KEY']!;
  const next = Buffer.alloc(32, 'n').toString('base64');
  Object.assign(stack.environment, {
    TALLYRACE_SECRETS_KEY: next,
    TALLYRACE_SECRETS_KEY_PREVIOUS: old,
  });
  const rotated = await stack.run('gateways', 'rotate-key');
  expect(rotated.stdout).toMatch(/^sealed 1 again/);
  const name = { tenant, id };
  const { sealed } = (await getEndpoint(stack.sql, name))!;
  expect(await openSecrets(await openVault(next, null), name, sealed)).toMatchObject({ secret });
});
