// No balance goes below its floor, whoever tries and however many at once.
import { expect, test } from 'bun:test';
import { Client } from '../client.ts';
import { expectBooksInOrder } from '../ledger-proof.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('floors', async (opened) => {
  const { key } = await opened.createTenant('floors');
  const ingresses = await Promise.all([opened.startIngress(), opened.startIngress()]);
  await Promise.all([opened.startWorker(), opened.startWorker()]);
  return { clients: ingresses.map(({ url }) => new Client(url, key)) };
});
const { clients } = stack;

interface Settled {
  results: { outcome?: { verdict: string; reason?: string }; position: string }[];
}

function credit(id: string, user: string, amount: number, n = 0) {
  const data = {
    user_id: user,
    kind: 'floor_test',
    amount: { amount, currency: 'USD' },
    reference: id,
  };
  return clients[n % 2]!.post<Settled>(
    '/v1/events',
    { id, type: 'earning.credited', data },
    { prefer: 'wait=ledger; timeout=20000' },
  );
}

test('of 3,000 concurrent debits exactly those succeed that the balance covers', async () => {
  await credit('deposit', 'u_hot', 10_000);
  const replies = await Promise.all(
    Array.from({ length: 3_000 }, (_, n) => credit(`debit_${n}`, 'u_hot', -10, n)),
  );
  const verdicts: Record<string, number> = {};
  for (const { status, body } of replies) {
    const { verdict, reason } = body.results[0]!.outcome!;
    const name = [status, verdict, reason].filter(Boolean).join(' ');
    verdicts[name] = (verdicts[name] ?? 0) + 1;
  }
  expect(verdicts).toEqual({ '200 posted': 1_000, '200 refused insufficient_balance': 2_000 });
  const balance = await clients[0]!.get('/v1/accounts/user:u_hot:earnings/balance');
  expect(balance.body).toMatchObject({ balance: { amount: 0, currency: 'USD' }, sequence: 1_001 });
}, 60_000);

test('a debit within one request sees the credit before it', async () => {
  const event = (id: string, amount: number) => ({
    id,
    type: 'earning.credited',
    data: {
      user_id: 'u_row',
      kind: 'floor_test',
      amount: { amount, currency: 'USD' },
      reference: 'r',
    },
  });
  const events = [event('row_1', 5), event('row_2', -6), event('row_3', -5), event('row_4', -1)];
  const reply = await clients[0]!.post<Settled>('/v1/events', events, { prefer: 'wait=ledger' });
  expect(reply.body.results.map(({ outcome }) => outcome!.verdict)).toEqual([
    'posted',
    'refused',
    'posted',
    'refused',
  ]);
});

test('nothing was below its floor at any entry', async () => {
  await expectBooksInOrder(stack.owner);
});
