// Nothing is made and nothing is lost: thousands of mixed events through two ingress processes and
// two workers, a tenth of them sent again, some ids with another body. Balances equal an
// independent sum, and `verify` holds.
import { expect, test } from 'bun:test';
import { type Audit, audit } from '../auditor.ts';
import { Client } from '../client.ts';
import {
  expectBooksInOrder,
  expectLedgerEquals,
  expectVerdictsEqual,
  settledReport,
} from '../ledger-proof.ts';
import { type LoadTally, sendAll } from '../load-client.ts';
import { mixedEvents, mixedPartners } from '../mixed-events.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('conservation', async (opened) => {
  const tenant = await opened.createTenant('conservation');
  const [one, other] = await Promise.all([opened.startIngress(), opened.startIngress()]);
  await Promise.all([opened.startWorker(), opened.startWorker()]);
  return { tenant, one, other };
});
const { tenant, one, other } = stack;
const client = new Client(one.url, tenant.key);

const seed = 20_260_131;
const partners = mixedPartners(40);
const mixed = mixedEvents({ count: 6_000, users: 300, seed });
let tally: LoadTally;
let audited: Audit;

test('partners are set up', async () => {
  const statuses = await Promise.all(
    partners.map(
      async ({ id, ...terms }) => (await client.put(`/v1/partners/${id}`, terms)).status,
    ),
  );
  expect(statuses).toEqual(partners.map(() => 201));
}, 30_000);

test(`every event gets an answer of its own (seed ${seed})`, async () => {
  tally = await sendAll(mixed.sent, {
    urls: [one.url, other.url],
    key: tenant.key,
    concurrency: 16,
    batchEvents: 37,
  });
  const rejected = tally.rejected['event_id_reused'] ?? 0;
  expect(tally.accepted.length + rejected).toBe(mixed.sent.length);
  expect(Object.keys(tally.rejected)).toBeOneOf([['event_id_reused'], []]);
  expect(rejected).toBeLessThanOrEqual(mixed.contradicting);
  expect(tally.duplicates).toBeGreaterThan(0);
}, 60_000);

test('verify holds and counts every acceptance', async () => {
  const report = await settledReport(stack);
  audited = audit(tally.accepted, partners);
  const verdicts = [...audited.verdicts.values()];
  expect(report).toMatchObject({ ok: true, dead: 0, pending: 0, problems: [] });
  expect(report.posted).toBe(verdicts.filter((verdict) => verdict === 'posted').length);
  expect(report.refused).toBeGreaterThanOrEqual(
    verdicts.filter((verdict) => verdict !== 'posted').length,
  );
}, 60_000);

test('each event id has one outcome, the one that an independent auditor gives it', async () => {
  expect(audited.verdicts.size).toBe(mixed.distinct);
  await expectVerdictsEqual(stack.owner, audited);
});

test('every balance equals the independent sum', async () => {
  expect(audited.balances.size).toBeGreaterThan(200);
  await expectLedgerEquals(stack.owner, audited);
});

test('sums are zero, sequences gapless, running balances chained, floors kept', async () => {
  await expectBooksInOrder(stack.owner);
});

test('the API shows the balances of the ledger', async () => {
  for (const [name, balance] of [...audited.balances].slice(0, 50)) {
    const [account, unit] = name.split(' ') as [string, string];
    const path = `/v1/accounts/${encodeURIComponent(account)}/balance?currency=${unit}`;
    const reply = await client.get<{ balance: { amount: number } }>(path);
    expect([name, reply.body.balance?.amount]).toEqual([name, Number(balance)]);
  }
});

test('sent once more, the whole lot changes nothing', async () => {
  const before = await stack.owner`select sum(sequence)::text as entries from balances`;
  await sendAll(mixed.sent, {
    urls: [other.url, one.url],
    key: tenant.key,
    concurrency: 16,
    batchEvents: 100,
  });
  expect((await settledReport(stack)).ok).toBe(true);
  expect(await stack.owner`select sum(sequence)::text as entries from balances`).toEqual(before);
  await expectLedgerEquals(stack.owner, audited);
}, 60_000);
