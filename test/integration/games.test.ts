// A game pays its partners: a thousand of them in one transaction, those who may not earn left out,
// and never twice.
import { expect, test } from 'bun:test';
import { type AuditedPartner, earningOf } from '../auditor.ts';
import { Client } from '../client.ts';
import { expectBooksInOrder } from '../ledger-proof.ts';
import { openStack } from '../stack.ts';

const PARTNERS = 1_000;

const stack = await openStack('games', async (opened) => {
  const { key } = await opened.createTenant('games');
  const ingress = await opened.startIngress();
  await opened.startWorker();
  return { client: new Client(ingress.url, key) };
});
const { client } = stack;

const partners = Array.from({ length: PARTNERS }, (_, n): AuditedPartner & { name: string } => ({
  id: `p_${n}`,
  name: `Partner ${n}`,
  share_bp: 10 + ((n * 37) % 9_990),
  commission_bp: 100 + ((n * 13) % 2_000),
  currency: 'USD',
  status: 'active',
}));
const silent: (AuditedPartner & { name: string })[] = [
  { ...partners[0]!, id: 'p_inactive', status: 'inactive' },
  { ...partners[0]!, id: 'p_pending', status: 'pending' },
  { ...partners[0]!, id: 'p_euro', currency: 'EUR' },
  { ...partners[0]!, id: 'p_dust', share_bp: 1, commission_bp: 1 },
];

interface Reply {
  results: { status: string; outcome: { verdict: string; reason?: string } }[];
}

function play(id: string, game: string, amount: number, currency = 'USD') {
  return client.post<Reply>(
    '/v1/events',
    {
      id,
      type: 'game.completed',
      data: {
        game_id: game,
        profit: { amount, currency },
        completed_at: '2026-01-31T12:00:00Z',
      },
    },
    { prefer: 'wait=ledger; timeout=20000' },
  );
}

async function balancesOf(currency: string): Promise<Map<string, number>> {
  const rows = await stack.owner<{ account: string; balance: bigint }[]>`
    select account, balance from balances where unit = ${currency} and account like 'partner:%'`;
  return new Map(rows.map(({ account, balance }) => [account, Number(balance)]));
}

function expectedBalances(profits: readonly number[]): Map<string, number> {
  const expected = new Map<string, number>();
  for (const partner of [...partners, ...silent])
    for (const profit of profits) {
      const earning = Number(earningOf(partner, profit, 'USD'));
      const account = `partner:${partner.id}:available`;
      if (earning > 0) expected.set(account, (expected.get(account) ?? 0) + earning);
    }
  return expected;
}

test('a thousand partners earn in one transaction', async () => {
  const all = [...partners, ...silent];
  for (let from = 0; from < all.length; from += 100)
    await Promise.all(
      all.slice(from, from + 100).map(async ({ id, ...terms }) => {
        expect((await client.put(`/v1/partners/${id}`, terms)).status).toBe(201);
      }),
    );
  const reply = await play('evt_1', 'g_1', 1_234_567);
  expect(reply.status).toBe(200);
  expect(reply.body.results[0]!.outcome.verdict).toBe('posted');
  const paid = await balancesOf('USD');
  expect(paid).toEqual(expectedBalances([1_234_567]));
  expect(paid.size).toBeGreaterThan(PARTNERS * 0.95);
  const platform = await client.get('/v1/accounts/platform:commissions/balance?currency=USD');
  const total = [...paid.values()].reduce((sum, amount) => sum + amount, 0);
  expect(platform.body['balance']).toEqual({ amount: -total, currency: 'USD' });
}, 60_000);

test('the inactive, the pending, other currencies and dust earn nothing', async () => {
  const paid = await balancesOf('USD');
  for (const { id } of silent) expect(paid.has(`partner:${id}:available`)).toBe(false);
});

test('a loss and a break-even earn nobody anything', async () => {
  const before = await balancesOf('USD');
  expect((await play('evt_2', 'g_2', -500_000)).body.results[0]!.outcome.verdict).toBe('posted');
  expect((await play('evt_3', 'g_3', 0)).body.results[0]!.outcome.verdict).toBe('posted');
  expect(await balancesOf('USD')).toEqual(before);
});

test('a profit of less than a minor unit to anybody leaves no money entry', async () => {
  const before = await balancesOf('USD');
  expect((await play('evt_4', 'g_4', 1)).body.results[0]!.outcome.verdict).toBe('posted');
  expect(await balancesOf('USD')).toEqual(before);
});

test('a game in another currency pays those of that currency only', async () => {
  await play('evt_5', 'g_5', 1_000_000, 'EUR');
  expect([...(await balancesOf('EUR')).keys()]).toEqual(['partner:p_euro:available']);
});

test('a game reported again, under its id or another, pays once', async () => {
  const again = await play('evt_1', 'g_1', 1_234_567);
  expect(again.body.results[0]!.status).toBe('duplicate');
  const renamed = await play('evt_1b', 'g_1', 1_234_567);
  expect(renamed.body.results[0]!.outcome).toEqual({
    verdict: 'refused',
    reason: 'already_completed',
  });
  expect(await balancesOf('USD')).toEqual(expectedBalances([1_234_567]));
});

test('new terms hold for the next game', async () => {
  const changed = { ...partners[7]!, share_bp: 9_999, commission_bp: 4_999 };
  const { id, ...terms } = changed;
  expect((await client.put(`/v1/partners/${id}`, terms)).status).toBe(200);
  await play('evt_6', 'g_6', 777_777);
  const before = expectedBalances([1_234_567]).get(`partner:${id}:available`)!;
  const paid = (await balancesOf('USD')).get(`partner:${id}:available`);
  expect(paid).toBe(before + Number(earningOf(changed, 777_777, 'USD')));
  await expectBooksInOrder(stack.owner);
});
