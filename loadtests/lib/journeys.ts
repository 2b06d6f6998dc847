// What simulated callers do: a checkout checks a code and redeems it, a game server sends results
// in batches, somebody reads a balance. One check a request, one name a route: both cost the
// generator.
import exec from 'k6/execution';
import http, { type Params } from 'k6/http';
import { check, fail } from 'k6';
import { headers, run, url } from './target.ts';

const CODES = 100;
const USERS = 10_000;
const BATCH_EVENTS = 20;

const code = (n: number): string => `LOAD-${run}-${n % CODES}`;
const total = { amount: 5_000, currency: 'USD' };

function named(name: string, extra: Record<string, string> = {}): Params {
  return { headers: { ...headers, ...extra }, tags: { name } };
}

/** Once, before the load: the coupons that the checkouts use. */
export function prepare(): void {
  for (let n = 0; n < CODES; n++) {
    const terms = JSON.stringify({ kind: 'percent', percent_bp: 1_000 });
    const reply = http.put(`${url}/v1/coupons/${code(n)}`, terms, named('prepare'));
    if (reply.status !== 200 && reply.status !== 201)
      fail(`a coupon could not be made (${reply.status}): is TALLYRACE_KEY right? ${reply.body}`);
  }
}

export function validate(): void {
  const n = exec.scenario.iterationInTest;
  const body = JSON.stringify({ code: code(n), order: { total } });
  const reply = http.post(`${url}/v1/coupons/validate`, body, named('validate'));
  check(reply, {
    'the code is valid': ({ status, body: text }) => status === 200 && isValid(text),
  });
}

function isValid(text: unknown): boolean {
  return String(text).includes('"valid":true');
}

export function redeem(): void {
  const n = exec.scenario.iterationInTest;
  const order = { id: `o-${run}-${n}`, total };
  const body = JSON.stringify({ code: code(n), customer_id: `c-${n}`, order, commit: true });
  const params = named('redeem', { 'Idempotency-Key': `${run}-${n}` });
  const reply = http.post(`${url}/v1/redemptions`, body, params);
  check(reply, { redeemed: ({ status }) => status === 201 });
}

export function sendEvents(): void {
  const n = exec.scenario.iterationInTest;
  const events = Array.from({ length: BATCH_EVENTS }, (_, index) => ({
    id: `evt-${run}-${n}-${index}`,
    type: 'earning.credited',
    data: {
      user_id: `load-${(n * BATCH_EVENTS + index) % USERS}`,
      kind: 'load_test',
      amount: { amount: 1, currency: 'USD' },
      reference: run,
    },
  }));
  const reply = http.post(`${url}/v1/events`, JSON.stringify(events), named('events'));
  check(reply, { 'events accepted': ({ status }) => status === 202 });
}

export function readBalance(): void {
  const user = `load-${exec.scenario.iterationInTest % USERS}`;
  const path = `/v1/accounts/user:${user}:earnings/balance?currency=USD`;
  const reply = http.get(`${url}${path}`, named('balance'));
  check(reply, { 'balance read': ({ status }) => status === 200 });
}
