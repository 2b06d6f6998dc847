// Events through the door: forms they may come in, repeats, waiting for the ledger, and reads that
// must see what was written.
import { describe, expect, test } from 'bun:test';
import { type Reply, openDoor } from './door.ts';

const door = await openDoor('events', { ledger: true });
const waiting = { Prefer: 'wait=ledger; timeout=5000' };

function earning(id: string, amount = 100, user = 'u_1') {
  const money = { amount, currency: 'USD' };
  const data = { user_id: user, kind: 'bonus', amount: money, reference: 'r_1' };
  return { id, type: 'earning.credited', data };
}

function resultsOf(body: Record<string, unknown>): Record<string, unknown>[] {
  return body['results'] as Record<string, unknown>[];
}

test('an event is accepted, and its journey told', async () => {
  const sent = await door.call('POST', '/v1/events', { body: earning('journey_1') });
  expect(sent.status).toBe(202);
  const [result] = resultsOf(sent.body);
  expect(result).toMatchObject({ id: 'journey_1', status: 'accepted' });
  const position = String(result!['position']);
  const read = `/v1/accounts/user:u_1:earnings/balance?at_least=${position}`;
  const balance = await door.call('GET', read);
  expect(balance.body).toMatchObject({ balance: { amount: 100, currency: 'USD' }, sequence: 1 });
  const journey = await door.call('GET', '/v1/events/journey_1');
  expect(journey.body).toMatchObject({ status: 'posted', position });
  expect(journey.body['entries']).toHaveLength(2);
});

test('a repeat is answered with the first position, another body is not', async () => {
  const first = await door.call('POST', '/v1/events', { body: earning('twice', 5) });
  const position = resultsOf(first.body)[0]!['position'];
  const again = await door.call('POST', '/v1/events', { body: earning('twice', 5) });
  expect(resultsOf(again.body)).toEqual([{ id: 'twice', status: 'duplicate', position }]);
  const other = await door.call('POST', '/v1/events', { body: earning('twice', 6) });
  expect(other.status).toBe(409);
  expect(other.body).toMatchObject({
    code: 'event_id_reused',
    errors: [{ pointer: '/data/amount/amount', detail: 'The first event has another value.' }],
  });
});

test('a repeat within one request is seen too', async () => {
  const event = earning('same_request');
  const reply = await door.call('POST', '/v1/events', { body: [event, event] });
  expect(resultsOf(reply.body).map(({ status }) => status)).toEqual(['accepted', 'duplicate']);
});

describe('waiting for the ledger', () => {
  test('tells what became of each event', async () => {
    const overdraft = earning('wait_overdraft', -1_000_000);
    const reply = await door.call('POST', '/v1/events', {
      body: [earning('wait_posted'), overdraft],
      headers: waiting,
    });
    expect(reply.status).toBe(200);
    expect(reply.headers.get('preference-applied')).toBe('wait=ledger');
    const [posted, refused] = resultsOf(reply.body);
    expect(posted).toMatchObject({ status: 'accepted', outcome: { verdict: 'posted' } });
    expect(String((posted!['outcome'] as { transaction_id: string }).transaction_id)).toMatch(
      /^txn_[0-9a-f]{32}$/,
    );
    expect(refused).toMatchObject({
      status: 'accepted',
      outcome: { verdict: 'refused', reason: 'insufficient_balance' },
    });
  });

  test('is how a repeat is told that only the ledger knows', async () => {
    const first = await door.call('POST', '/v1/events', {
      body: earning('known_to_ledger'),
      headers: waiting,
    });
    const again = await callElsewhere(earning('known_to_ledger'));
    expect(resultsOf(again.body)).toMatchObject([
      { status: 'duplicate', position: resultsOf(first.body)[0]!['position'] },
    ]);
    const conflict = await callElsewhere(earning('known_to_ledger', 7));
    expect(resultsOf(conflict.body)).toMatchObject([
      {
        status: 'rejected',
        problem: { code: 'event_id_reused', errors: [{ pointer: '/data/amount/amount' }] },
      },
    ]);
  });
});

test('a redemption can wait for the ledger too', async () => {
  await door.call('PUT', '/v1/coupons/WAIT', { body: { kind: 'percent', percent_bp: 1_000 } });
  const reserve = (order: string, prefer: string) =>
    door.call('POST', '/v1/redemptions', {
      body: {
        code: 'WAIT',
        customer_id: 'c_1',
        order: { id: order, total: { amount: 1_000, currency: 'USD' } },
      },
      headers: { 'Idempotency-Key': order, Prefer: prefer },
    });
  const settled = await reserve('o_1', waiting.Prefer);
  expect(settled.status).toBe(201);
  expect(settled.headers.get('preference-applied')).toBe('wait=ledger');
  const uses = await door.call('GET', '/v1/accounts/coupon:WAIT:uses/balance');
  expect(uses.body).toMatchObject({ balance: { amount: 1, currency: 'uses' } });
  const hurried = await reserve('o_2', 'wait=ledger; timeout=0');
  expect([201, 202]).toContain(hurried.status);
});

describe('CloudEvents', () => {
  const cloud = { specversion: '1.0', source: '/shop', ...earning('ce_1') };

  test('in structured mode, with a time of another zone', async () => {
    const reply = await door.call('POST', '/v1/events', {
      body: { ...cloud, time: '2026-01-31T14:00:00+02:00', subject: 'x', myextension: 'y' },
      headers: { 'Content-Type': 'application/cloudevents+json', ...waiting },
    });
    expect([reply.status, resultsOf(reply.body)[0]!['status']]).toEqual([200, 'accepted']);
  });

  test('in a batch', async () => {
    const reply = await door.call('POST', '/v1/events', {
      body: [
        { ...cloud, id: 'ce_2' },
        { ...cloud, id: 'ce_3', specversion: '2.0' },
      ],
      headers: { 'Content-Type': 'application/cloudevents-batch+json' },
    });
    expect(resultsOf(reply.body).map(({ status }) => status)).toEqual(['accepted', 'rejected']);
  });

  test('in binary mode', async () => {
    const reply = await door.call('POST', '/v1/events', {
      body: cloud.data,
      headers: {
        'ce-specversion': '1.0',
        'ce-id': 'ce_4',
        'ce-source': '/shop',
        'ce-type': 'earning.credited',
      },
    });
    expect(resultsOf(reply.body)).toMatchObject([{ id: 'ce_4', status: 'accepted' }]);
  });

  test('that are not CloudEvents are refused', async () => {
    const reply = await door.call('POST', '/v1/events', {
      body: earning('ce_5'),
      headers: { 'Content-Type': 'application/cloudevents+json' },
    });
    expect([reply.status, reply.body['code']]).toEqual([422, 'invalid_request']);
  });
});

test('entries come newest first, in pages that meet without a gap', async () => {
  const events = Array.from({ length: 7 }, (_, n) => earning(`page_${n}`, n + 1, 'u_pages'));
  await door.call('POST', '/v1/events', { body: events, headers: waiting });
  const sequences: number[] = [];
  for (let cursor: unknown = ''; cursor !== null;) {
    const query = `limit=3${cursor === '' ? '' : `&cursor=${String(cursor)}`}`;
    const page = await door.call('GET', `/v1/accounts/user:u_pages:earnings/entries?${query}`);
    expect(page.status).toBe(200);
    const data = page.body['data'] as { sequence: number }[];
    sequences.push(...data.map(({ sequence }) => sequence));
    cursor = page.body['next_cursor'];
  }
  expect(sequences).toEqual([7, 6, 5, 4, 3, 2, 1]);
});

test('an account in several currencies is asked for with one', async () => {
  const euro = earning('eur', 3, 'u_two');
  euro.data.amount.currency = 'EUR';
  await door.call('POST', '/v1/events', {
    body: [earning('usd', 4, 'u_two'), euro],
    headers: waiting,
  });
  const either = await door.call('GET', '/v1/accounts/user:u_two:earnings/balance');
  expect([either.status, either.body['code']]).toEqual([409, 'several_currencies']);
  const one = await door.call('GET', '/v1/accounts/user:u_two:earnings/balance?currency=EUR');
  expect(one.body).toMatchObject({ balance: { amount: 3, currency: 'EUR' } });
});

/** To an ingress over the same stores that has not seen what the first one has. */
async function callElsewhere(body: object): Promise<Reply> {
  const other = await door.openAnother();
  return other.call('POST', '/v1/events', { body, headers: waiting });
}
