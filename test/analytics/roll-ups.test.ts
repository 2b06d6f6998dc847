// Roll-ups on the real stack: equal to a recount of the payments while batches are written, shown
// over HTTP by every grouping, named by `verify` when they are off, and made anew by `replay`.
import { afterAll, expect, test } from 'bun:test';
import { latencyBoundsMs } from '../../schemas/payment-analytics.ts';
import { Client } from '../client.ts';
import { Engine, type TestEvent } from '../engine.ts';
import { openStack } from '../stack.ts';
import { dice, history } from './payment-histories.ts';

const stack = await openStack('roll_ups');
const mine = await stack.createTenant('roll_ups');
const engine = await Engine.open(stack, mine.id, 'payments');
afterAll(() => engine.close());
const ingress = await stack.startIngress();
const client = new Client(ingress.url, mine.key);

const COUNT = 400;
const SEED = 20_260_131;
const hour = 3_600_000;
const baseMs = Math.floor(Date.now() / hour) * hour - 30 * hour;

const roll = dice(SEED);
const histories = Array.from({ length: COUNT }, () =>
  history(roll, baseMs + roll.below(36 * hour)),
);
/** One step of each payment after the other, so that a batch has many payments. */
const rounds: TestEvent[][] = Array.from({ length: 8 }, (_, step) =>
  histories.flatMap((events) => events.slice(step, step + 1)),
);

interface Figures {
  initiated: number;
  captured: number;
  failed: number;
  volume: number;
  net: number;
  captured_amount: number;
  refunded_amount: number;
  fees: number;
  success_rate: number | null;
}
interface Series {
  currency: string;
  group: string | null;
  total: Figures;
  points: (Figures & { at: string })[];
}

const range = {
  from: new Date(baseMs).toISOString(),
  to: new Date(baseMs + 36 * hour).toISOString(),
};

async function analytics(query: Record<string, string>, key = mine.key): Promise<Series[]> {
  const asked = new URLSearchParams({ ...range, ...query }).toString();
  const reply = await new Client(ingress.url, key).get<{ series: Series[] }>(
    `/v1/analytics/payments?${asked}`,
  );
  expect(reply.status).toBe(200);
  return reply.body.series;
}

async function wrong(): Promise<readonly { detail: string; total: bigint }[]> {
  return await stack.sql<{ detail: string; total: bigint }[]>`
    select * from system_verify_payment_stats('2000-01-01', '2100-01-01')`;
}

test('at every moment they are what the payments add up to', async () => {
  await engine.start();
  let looks = 0;
  let isDone = false;
  const looking = (async () => {
    while (!isDone) {
      expect(await wrong()).toEqual([]);
      looks++;
    }
  })();
  for (const round of rounds) await engine.append(round);
  const counters = await engine.settled();
  isDone = true;
  await looking;
  expect(looks).toBeGreaterThan(2);
  expect(counters.dead).toBe(0);
  const [row] = await stack.owner`select count(*)::int as payments from payments`;
  expect(row).toEqual({ payments: COUNT });
}, 60_000);

test('every grouping tells of the same payments, and gaps are filled', async () => {
  const whole = await analytics({ interval: 'hour' });
  expect(whole.map(({ currency }) => currency)).toEqual(['EUR', 'INR', 'USD']);
  expect(whole.every(({ points }) => points.length === 36)).toBe(true);
  const sumOf = (series: Series[], name: 'initiated' | 'net' | 'volume', currency: string) =>
    series
      .filter((each) => each.currency === currency)
      .reduce((sum, { total }) => sum + total[name], 0);
  expect(whole.reduce((sum, { total }) => sum + total.initiated, 0)).toBe(COUNT);
  for (const group_by of ['method', 'gateway', 'currency', 'decline_reason', 'status'])
    for (const interval of ['hour', 'day']) {
      // Days are widened to whole ones, which hold all of it too.
      const grouped = await analytics({ interval, group_by });
      for (const currency of ['EUR', 'INR', 'USD'])
        for (const name of ['initiated', 'net', 'volume'] as const)
          expect([group_by, name, sumOf(grouped, name, currency)]).toEqual([
            group_by,
            name,
            sumOf(whole, name, currency),
          ]);
    }
  const [usd] = await analytics({ interval: 'hour', currency: 'USD' });
  expect(usd).toEqual(whole.find(({ currency }) => currency === 'USD')!);
});

test('figures are those of the rows, counted here by another way', async () => {
  const rows = await stack.owner<{ body: Record<string, never> }[]>`
    select body from payments where body->>'currency' = 'INR'`;
  const bodies = rows.map(({ body }) => body as unknown as PaymentBody);
  const sum = (of: (body: PaymentBody) => number) =>
    bodies.reduce((all, each) => all + of(each), 0);
  const back = (body: PaymentBody) =>
    Object.values(body.refunds)
      .filter(({ status }) => status === 'succeeded')
      .reduce((all, { amount }) => all + amount, 0);
  const [inr] = await analytics({ interval: 'day', currency: 'INR' });
  const captured = bodies.filter((body) => body.captured > 0).length;
  const held = bodies.filter(({ status }) => status === 'authorized').length;
  const failed = bodies.filter(({ status }) => status === 'failed').length;
  expect(failed).toBeGreaterThan(0);
  expect(inr!.total).toMatchObject({
    initiated: bodies.length,
    captured,
    failed,
    volume: sum(({ amount }) => amount),
    captured_amount: sum((body) => body.captured),
    refunded_amount: sum(back),
    fees: sum(
      ({ fee, disputes, strays }) =>
        fee + Object.values(disputes).length * 1_500 + Object.values(strays).length * 30,
    ),
    success_rate: (captured + held) / (captured + held + failed),
  });
});

interface PaymentBody {
  status: string;
  amount: number;
  captured: number;
  fee: number;
  refunds: Record<string, { status: string; amount: number }>;
  disputes: Record<string, object>;
  strays: Record<string, object>;
}

test('a latency is counted in the bucket that its answer is in', async () => {
  const [usd] = (await analytics({ interval: 'day', currency: 'USD' })) as unknown as [
    { total: { latency_ms: { p50: number | null } } },
  ];
  // Initiated hours ago by their events, captured now: beyond every bound.
  expect(usd.total.latency_ms.p50).toBeNull();
  await stack.owner`
    update payments set body = jsonb_set(body, '{captured_ms}',
      to_jsonb(floor(extract(epoch from initiated_at) * 1000)::bigint + 500))
    where body->>'currency' = 'USD' and body->>'captured_ms' is not null`;
  expect(await wrong()).not.toEqual([]);
  await stack.run('replay', 'payment-stats');
  const [again] = (await analytics({ interval: 'day', currency: 'USD' })) as unknown as [
    typeof usd,
  ];
  expect(again.total.latency_ms.p50).toBe(latencyBoundsMs[3]);
}, 30_000);

test('what is off is named by verify, and gone when they are made anew', async () => {
  await stack.owner`update payment_stats set captured_amount = captured_amount + 1
    where (tenant_id, grain, at) in (select tenant_id, grain, at from payment_stats
      where grain = 'day' order by at desc limit 1)`;
  const found = await stack.run('verify', '--json');
  expect(found.exitCode).toBe(1);
  expect(JSON.parse(found.stdout)).toMatchObject({
    found: { payment_stats: expect.any(Number) },
    problems: expect.arrayContaining([
      { check: 'payment_stats', detail: expect.stringContaining('day of ') },
    ]),
  });
  const made = await stack.run('replay', 'payment-stats');
  expect([made.exitCode, made.stdout.trim()]).toEqual([0, `${COUNT} payments are counted anew`]);
  expect((await stack.run('verify')).exitCode).toBe(0);
}, 60_000);

test('made anew while batches are written, they are still exact', async () => {
  const more = Array.from({ length: 150 }, () => history(roll, Date.now()));
  const writing = (async () => {
    for (let step = 0; step < 8; step++)
      await engine.append(more.flatMap((events) => events.slice(step, step + 1)));
  })();
  const day = Math.floor(Date.now() / (24 * hour)) * 24 * hour;
  const [from, to] = [new Date(day).toISOString(), new Date(day + 48 * hour).toISOString()];
  let isWritten = false;
  const settling = writing.then(() => engine.settled()).finally(() => (isWritten = true));
  do {
    await stack.sql`select system_payment_stats_rebuild(${from}::text::timestamptz,
      ${to}::text::timestamptz)`;
  } while (!isWritten);
  await settling;
  expect(await engine.settled()).toMatchObject({ dead: 0 });
  expect(await wrong()).toEqual([]);
}, 60_000);

test('what is not said otherwise is the last day, by hours', async () => {
  const { body } = await client.get<Record<string, string>>('/v1/analytics/payments');
  const span = Date.parse(body['to']!) - Date.parse(body['from']!);
  expect(body['interval']).toBe('hour');
  expect(span).toBeOneOf([24 * hour, 25 * hour]);
});

test('a stranger sees nothing, a key without the scope is refused, bad questions too', async () => {
  const stranger = await stack.createTenant('roll_ups_stranger');
  expect(await analytics({}, stranger.key)).toEqual([]);
  const scoped = await stack.createTenant('roll_ups_scoped', ['coupons:check']);
  const path = (query: object) =>
    `/v1/analytics/payments?${new URLSearchParams({ ...range, ...query }).toString()}`;
  expect((await new Client(ingress.url, scoped.key).get(path({}))).status).toBe(403);
  const bad = [
    { interval: 'week' },
    { group_by: 'customer_id' },
    { currency: 'usd' },
    { from: 'yesterday' },
    { from: range.to, to: range.from },
    { from: range.from, to: range.from },
    { interval: 'minute' },
    { interval: 'minute', group_by: 'status', to: new Date(baseMs + 24 * hour).toISOString() },
    { from: '0000-01-01T00:00:00Z', to: '0000-01-02T00:00:00Z' },
    { from: '9999-12-31T00:00:00Z', to: '9999-12-31T23:59:59Z', interval: 'day' },
    { tenant: '1' },
  ];
  for (const query of bad)
    expect([query, (await client.get(path(query))).status]).toEqual([query, 422]);
});
