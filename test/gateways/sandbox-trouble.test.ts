// The trouble that the sandbox makes on demand: faults of requests and webhooks, restarts, and that
// what was done and what was not is as it says.
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SANDBOX_PORTS } from '../../src/gateways/sandbox/sandbox.ts';
import { findPortRow } from '../../src/supervisor/ports.ts';
import {
  type Received,
  type World,
  listener,
  refusal,
  sandboxWorld,
  stripeClient,
  until,
} from './sandbox-world.ts';

const main = join(import.meta.dir, '../../src/main.ts');
let world: World;
beforeEach(async () => {
  world = await sandboxWorld();
});
afterEach(() => world.stop());

const set = (settings: object): Promise<unknown> => world.control('PATCH', '/settings', settings);

const create = (key: string, stripe = world.stripe) =>
  stripe.paymentIntents.create(
    {
      amount: 1_000,
      currency: 'usd',
      payment_method: 'pm_card_visa',
      confirm: true,
      metadata: { payment_id: key },
    },
    { idempotencyKey: key },
  );

const charges = async (): Promise<string[]> =>
  (await world.settlement()).map(({ payment_id }) => payment_id).sort();

describe('faults', () => {
  test.each([
    ['reset_before', 0],
    ['reset_after', 1],
    ['timeout_before', 0],
    ['timeout_after', 1],
    ['server_error', 0],
    ['rate_limited', 0],
  ])('%s: done %d times, and once in the end', async (fault, done) => {
    await set({ stripe: { faults: { [fault]: 1 }, hold_ms: 50 } });
    // Not the official client: it asks again by itself when a connection is cut.
    const status = await fetch(`${world.urls.stripe}/v1/payment_intents`, {
      method: 'POST',
      headers: { authorization: 'Bearer sk_test_abcd', 'idempotency-key': 'key-1' },
      body: 'amount=1000&currency=usd&payment_method=pm_card_visa&confirm=true',
    }).then(
      (response) => response.status,
      () => null,
    );
    expect(status).toBe({ server_error: 500, rate_limited: 429 }[fault] ?? null);
    expect(await charges()).toHaveLength(done);
    await set({ stripe: { faults: { [fault]: 0 } } });
    const again = await fetch(`${world.urls.stripe}/v1/payment_intents`, {
      method: 'POST',
      headers: { authorization: 'Bearer sk_test_abcd', 'idempotency-key': 'key-1' },
      body: 'amount=1000&currency=usd&payment_method=pm_card_visa&confirm=true',
    });
    expect(again.headers.has('idempotent-replayed')).toBe(done === 1);
    expect(await charges()).toHaveLength(1);
  });

  test('the same seed brings the same faults, another seed others', async () => {
    const metBy = async (seed: number): Promise<boolean[]> => {
      const another = await sandboxWorld();
      const settings = { seed, stripe: { faults: { server_error: 0.3 } } };
      await another.control('PATCH', '/settings', settings);
      const asked = Array.from({ length: 40 }, (_, index) =>
        create(`key-${index}`, another.stripe).then(
          () => false,
          () => true,
        ),
      );
      const met = await Promise.all(asked);
      await another.stop();
      return met;
    };
    const first = await metBy(7);
    expect(await metBy(7)).toEqual(first);
    expect(await metBy(8)).not.toEqual(first);
    expect(first.filter(Boolean).length).toBeGreaterThan(3);
    expect(first.filter(Boolean).length).toBeLessThan(25);
  });

  test('reading is spared, unless it is not', async () => {
    await set({ stripe: { faults: { server_error: 1 } } });
    expect(await world.stripe.balance.retrieve()).toMatchObject({ object: 'balance' });
    await set({ stripe: { fault_scope: 'all' } });
    expect(await refusal(world.stripe.balance.retrieve())).toMatchObject({ statusCode: 500 });
  });

  test('a client that tries again under its key is charged once, whatever it met', async () => {
    const faults = { reset_before: 0.1, reset_after: 0.1, server_error: 0.1, rate_limited: 0.1 };
    await set({ stripe: { faults: { ...faults, timeout_after: 0.1 }, hold_ms: 10 } });
    const keys = Array.from({ length: 15 }, (_, index) => `key-${index}`);
    const insist = async (key: string): Promise<void> => {
      for (let tries = 0; tries < 40; tries++) {
        const made = await create(key).catch(() => null);
        if (made) return;
      }
      throw new Error('it never came through');
    };
    await Promise.all(keys.map(insist));
    expect(await charges()).toEqual(keys.sort());
  });

  test('wrong settings are refused as a whole', async () => {
    const before = await world.control('GET', '/settings');
    for (const wrong of [
      { stripe: { pending_ms: 5, faults: { reset_before: 1.5 } } },
      { stripe: { faults: { reset_before: 0.6, reset_after: 0.6 } } },
      { stripe: { typo: 1 } },
      { paypal: {} },
      { razorpay: { webhook: { delay_min_ms: 5 } } },
    ])
      expect(String(await refusal(set(wrong)))).toContain('422');
    expect(await world.control<unknown>('GET', '/settings')).toEqual(before);
  });
});

describe('webhooks', () => {
  const idOf = ({ body }: Received): string => (JSON.parse(body) as { id: string }).id;
  const typeOf = ({ body }: Received): string => (JSON.parse(body) as { type: string }).type;

  test('they come again until they are taken', async () => {
    let refusals = 3;
    const hook = listener(() => (refusals-- > 0 ? 500 : 200));
    const webhook = { url: hook.url, events: ['payment_intent.succeeded'], retry_base_ms: 1 };
    await set({ stripe: { webhook } });
    await create('key-1');
    await until(() => hook.received.length === 4);
    expect(new Set(hook.received.map(idOf)).size).toBe(1);
    await until(async () => {
      const [count] = await world.control<{ state: string }[]>('GET', '/webhooks');
      return count?.state === 'delivered';
    });
    await hook.stop();
  });

  test('given up in the end, and sent again by hand', async () => {
    let status = 404;
    const hook = listener(() => status);
    const webhook = { url: hook.url, events: ['payment_intent.succeeded'] };
    await set({ stripe: { webhook: { ...webhook, retry_base_ms: 1, retries_max: 2 } } });
    await create('key-1');
    await until(async () => {
      const [count] = await world.control<{ state: string }[]>('GET', '/webhooks');
      return count?.state === 'given_up';
    });
    expect(hook.received).toHaveLength(2);
    status = 200;
    await world.control('POST', `/webhooks/${idOf(hook.received[0]!)}/redeliver`);
    await until(() => hook.received.length === 3);
    await hook.stop();
  });

  test('twice, out of order, or never', async () => {
    const hook = listener();
    await set({
      stripe: {
        webhook: {
          url: hook.url,
          events: ['payment_intent.created', 'payment_intent.succeeded'],
          duplicate_rate: 0.3,
          reorder_rate: 0.3,
          reorder_ms: 100,
          lost_rate: 0.2,
        },
      },
    });
    for (let index = 0; index < 60; index++) await create(`key-${index}`);
    await until(async () => {
      const counts = await world.control<{ state: string }[]>('GET', '/webhooks');
      return counts.length === 1 && counts[0]!.state === 'delivered';
    });
    const distinct = new Set(hook.received.map(idOf));
    expect(distinct.size).toBeLessThan(120);
    expect(distinct.size).toBeGreaterThan(70);
    expect(hook.received.length).toBeGreaterThan(distinct.size + 10);
    const order = hook.received.map((each) => [typeOf(each), paymentOf(each)] as const);
    const seen = new Set<string>();
    const overtaken = order.filter(([type, payment]) => {
      if (type === 'payment_intent.succeeded') seen.add(payment);
      return type === 'payment_intent.created' && seen.has(payment);
    });
    expect(overtaken.length).toBeGreaterThan(5);
    await hook.stop();
  });

  const paymentOf = ({ body }: Received): string =>
    (JSON.parse(body) as { data: { object: { id: string } } }).data.object.id;
});

describe('the process', () => {
  let home: string;
  const children: ReturnType<typeof Bun.spawn>[] = [];
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'sandbox-'));
  });
  afterEach(async () => {
    for (const child of children.splice(0)) {
      child.kill('SIGKILL');
      await child.exited;
    }
    rmSync(home, { recursive: true });
  });

  async function start(port: number) {
    const child = Bun.spawn([process.execPath, main, 'sandbox'], {
      env: { ...process.env, TALLYRACE_HOME: home, SANDBOX_PORT: String(port) },
      stdout: 'ignore',
      stderr: 'pipe',
    });
    children.push(child);
    return child;
  }

  const answers = (port: number): Promise<boolean> =>
    fetch(`http://127.0.0.1:${port}/_control/health`).then(
      ({ ok }) => ok,
      () => false,
    );

  test('it finds everything again after kill -9, and ends in order when told to', async () => {
    const port = await findPortRow(SANDBOX_PORTS);
    const client = stripeClient(`http://127.0.0.1:${port + 1}`);
    const first = await start(port);
    await until(() => answers(port));
    await fetch(`http://127.0.0.1:${port}/_control/settings`, {
      method: 'PATCH',
      body: JSON.stringify({ stripe: { fee_fixed: 31 } }),
    });
    const made = await create('key-1', client);
    first.kill('SIGKILL');
    await first.exited;
    const second = await start(port);
    await until(() => answers(port));
    expect((await create('key-1', client)).id).toBe(made.id);
    const file = await fetch(`http://127.0.0.1:${port}/_control/settlement.csv`);
    expect((await file.text()).trim().split('\n')).toHaveLength(2);
    await create('key-2', client);
    const [line] = (await client.balanceTransactions.list()).data;
    expect(line!.fee).toBe(29 + 31);
    second.kill('SIGTERM');
    expect(await second.exited).toBe(0);
  });

  test('a port that is taken is named, and the process ends', async () => {
    const port = await findPortRow(SANDBOX_PORTS);
    const taken = Bun.serve({ port: port + 2, hostname: '127.0.0.1', fetch: () => new Response() });
    const child = await start(port);
    expect(await child.exited).toBe(69);
    expect(await new Response(child.stderr as ReadableStream).text()).toContain('SANDBOX_PORT');
    await taken.stop(true);
  });
});
