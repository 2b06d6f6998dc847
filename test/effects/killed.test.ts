// The effects process as others meet it: killed in the middle of charges, beside another, without
// Redis while it has something to tell, before a gateway that answers too late. What is counted is
// what the sandbox has taken from buyers.
import { afterAll, afterEach, expect, test } from 'bun:test';
import { type GatewayName, gatewayNames } from '../../schemas/payments.ts';
import { openPayments } from '../gateways/payments-stage.ts';
import { type Started, eventually } from '../processes.ts';

const stage = await openPayments('effects_killed');
const { stack, set, initiate, becomes, taken } = stage;
const environment = {
  STRIPE_URL: stage.sandbox.urls.stripe,
  RAZORPAY_URL: stage.sandbox.urls.razorpay,
};
const running: Started[] = [];
const quiet = { down: null, latency_median_ms: 0, latency_p99_ms: 0, hold_ms: 12_000 };
const KILLED_AFTER_MS = [80, 150, 40, 250, 120, 400];
const orders: readonly (readonly GatewayName[])[] = [
  ['stripe', 'razorpay'],
  ['razorpay', 'stripe'],
];

async function start(): Promise<Started> {
  const started = await stack.startEffects(environment);
  running.push(started);
  return started;
}

async function initiateMany(count: number): Promise<string[]> {
  const ids = [];
  for (let n = 0; n < count; n++) ids.push(await initiate(orders[n % 2]!));
  return ids;
}

/** As if the time of their claims had run out: the process that had them is dead. */
async function runOut(): Promise<void> {
  await stack.owner`update effects set due_at = now() where status = 'waiting'`;
}

async function counts(): Promise<{ waiting: number; claimed: number }> {
  const [row] = await stack.owner`
    select count(*)::int as waiting, count(claim)::int as claimed
    from effects where status = 'waiting'`;
  return row as unknown as { waiting: number; claimed: number };
}

async function expectEachTakenOnce(ids: readonly string[]): Promise<void> {
  for (const id of ids) expect({ id, taken: await taken(id) }).toEqual({ id, taken: [4_999] });
  for (const name of gatewayNames) {
    const { bySandbox, byBooks } = await stage.owed(name);
    expect({ name, owed: byBooks }).toEqual({ name, owed: bySandbox });
  }
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((process) => process.kill('SIGKILL')));
  await set({ stripe: quiet, razorpay: quiet });
});
afterAll(() => stage.close(), 30_000);

test('killed amid charges, with a gateway away: everybody is charged once', async () => {
  const slow = { ...quiet, latency_median_ms: 40, latency_p99_ms: 150 };
  await set({ stripe: slow, razorpay: slow });
  const ids = await initiateMany(80);
  for (let round = 0; round < KILLED_AFTER_MS.length; round++) {
    // Failures are told in one round, and what was not settled of them is taken over in the next.
    await set({ stripe: { down: round % 2 === 1 ? 'refused' : null } });
    const process = await start();
    await eventually('calls are under way', async () => {
      const { waiting, claimed } = await counts();
      return claimed > 0 || waiting === 0;
    });
    await Bun.sleep(KILLED_AFTER_MS[round]!);
    await process.kill('SIGKILL');
    await runOut();
  }
  await set({ stripe: { down: null } });
  await start();
  for (const id of ids) await becomes(id, 'captured');
  await expectEachTakenOnce(ids);
});

test('killed after its word that a charge failed: it has, and the next counts', async () => {
  const slow = { ...quiet, latency_median_ms: 400, latency_p99_ms: 400 };
  await set({ stripe: slow });
  const fault = { gateway: 'stripe', method: 'POST', path: '/v1/payment_intents' };
  await stage.sandbox.control('POST', '/faults', { ...fault, fault: 'server_error', times: 1 });
  const first = await start();
  const id = await initiate(['stripe', 'razorpay']);
  await eventually('the call is under way', async () => {
    const [row] = await stack.owner`select claim from effects where key = ${`${id}:charge:1`}`;
    return row?.['claim'] !== null && row !== undefined;
  });
  // Whatever it writes about the call waits for us; what it says before it writes is heard.
  await stack.owner.begin(async (sql) => {
    await sql`select 1 from effects where key = ${`${id}:charge:1`} for update`;
    const waiting = await eventually('it waits for the row', async () => {
      const [row] = await stack.owner`
        select pid from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`;
      return row?.['pid'] as number | undefined;
    });
    await Bun.sleep(1_000);
    await first.kill('SIGKILL');
    // Postgres would carry out what a dead client has asked for.
    await sql`select pg_terminate_backend(${waiting})`;
  });
  await runOut();
  await start();
  await becomes(id, 'captured');
  await eventually('nothing is left to do', async () => (await counts()).waiting === 0);
  await expectEachTakenOnce([id]);
});

test('two processes at once charge everybody once', async () => {
  const ids = await initiateMany(60);
  await Promise.all([start(), start()]);
  for (const id of ids) await becomes(id, 'captured');
  await expectEachTakenOnce(ids);
  const [row] = await stack.owner`
    select max(attempts) as most from effects where key = any(${`{${ids
      .map((id) => `"${id}:charge:1"`)
      .join()}}`}::text::text[])`;
  expect(row!['most']).toBe(1);
});

test('what cannot be told, because Redis is away, is told when it is back', async () => {
  const slow = { ...quiet, latency_median_ms: 150, latency_p99_ms: 150 };
  await set({ stripe: slow, razorpay: slow });
  await start();
  const ids = await initiateMany(20);
  await eventually('all are under way', async () => (await counts()).claimed === ids.length);
  process.kill(stack.redisPid, 'SIGSTOP');
  try {
    const all = async (): Promise<boolean> => {
      const counts = await Promise.all(ids.map((id) => taken(id)));
      return counts.every(({ length }) => length === 1);
    };
    await eventually('everybody is charged', all);
    // Told in vain: a command is waited for two seconds.
    await eventually('some wait to be told again', async () => {
      const [row] = await stack.owner`
        select count(*)::int as n from effects where last_error = 'could not be settled'`;
      return Number(row!['n']) > 0;
    });
  } finally {
    process.kill(stack.redisPid, 'SIGCONT');
  }
  for (const id of ids) await becomes(id, 'captured');
  await expectEachTakenOnce(ids);
});

test('an answer that comes too late is looked for', async () => {
  const late = (gateway: GatewayName, path: string) =>
    stage.sandbox.control('POST', '/faults', { gateway, path, fault: 'timeout_after', times: 1 });
  await late('stripe', '/confirm');
  await late('razorpay', '/create/recurring');
  await late('razorpay', '/capture');
  await start();
  const ids = [];
  for (const gateway of ['stripe', 'razorpay', 'razorpay'] as const)
    ids.push(await initiate([gateway]));
  for (const id of ids) await becomes(id, 'captured');
  await expectEachTakenOnce(ids);
});
