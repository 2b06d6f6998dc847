// What simulated callers do: a checkout checks a code and redeems it in one step or two, a game
// server sends earnings one by one and in batches, somebody looks at a balance, and a few follow
// their event into the ledger.
// Invariant: every id holds the run, the scenario and the iteration, so none is ever sent twice.
import { fail, sleep } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import { Trend } from 'k6/metrics';
import { type Reply, expect, get, headers, post, tryGet, wasAnswered } from './requests.ts';
import { run, url } from './target.ts';

const CODES = 100;
const USERS = 10_000;
/** Accounts that somebody has open on a screen; the others are read once in a while. */
const WATCHED_USERS = 200;
const BATCH_EVENTS = 25;
/** Every how manyth check is of a code that is mistyped, redemption is given up, read is cold. */
const MISTYPED = 20;
const GIVEN_UP = 5;
const COLD = 20;
/** Every how manyth answer to a batch is looked at item by item. */
const READ_EVERY = 10;
const VISIBLE_WITHIN_MS = 10_000;
const ASK_AGAIN_S = 0.05;

/** From the answer to an event until a read of its account shows it. */
const ledgerVisible = new Trend('ledger_visible', true);

const CENT = '{"amount":1,"currency":"USD"}';
const total = { amount: 5_000, currency: 'USD' };
const code = (n: number): string => `LOAD-${run}-${n % CODES}`;
const user = (n: number): string => `load-${n % USERS}`;
const balancePath = (who: string): string =>
  `/v1/accounts/user:${who}:earnings/balance?currency=USD`;
const iteration = (): number => exec.scenario.iterationInTest;
const idOf = (n: number): string => `${run}-${exec.scenario.name}-${n}`;

/** Once, before the load: the coupons that the checkouts use. */
export function setup(): void {
  const terms = JSON.stringify({ kind: 'percent', percent_bp: 1_000 });
  for (let n = 0; n < CODES; n++) {
    const params = { headers, tags: { name: 'setup' }, responseType: 'text' as const };
    const { status, body } = http.put(`${url}/v1/coupons/${code(n)}`, terms, params);
    if (status !== 200 && status !== 201)
      fail(`a coupon could not be made (${status}): is TALLYRACE_KEY right? ${body}`);
  }
}

export function validate(): void {
  const n = iteration();
  const mistyped = n % MISTYPED === 0;
  const body = JSON.stringify({ code: mistyped ? `TYPO-${n}` : code(n), order: { total } });
  const reply = post('validate', '/v1/coupons/validate', body, { readBody: true });
  if (!wasAnswered('validate', reply)) return;
  expect('validate', String(reply.body).includes(`"valid":${mistyped ? 'false' : 'true'}`));
}

/** One step for half of the orders; for the others a reservation, then what the payment says. */
export function redeem(): void {
  const n = iteration();
  const id = idOf(n);
  const commit = n % 2 === 0;
  const reply = post(
    'redeem',
    '/v1/redemptions',
    JSON.stringify({
      code: code(n),
      customer_id: `c-${id}`,
      order: { id: `o-${id}`, total },
      commit,
    }),
    { headers: { 'Idempotency-Key': id }, readBody: !commit },
  );
  if (commit || !wasAnswered('redeem', reply)) return;
  const settled = n % GIVEN_UP === 0 ? 'release' : 'commit';
  post(settled, `/v1/redemptions/${String(reply.json('id'))}/${settled}`, '{}');
}

export function sendEvent(): void {
  const n = iteration();
  post('event', '/v1/events', earning(idOf(n), user(n)), { events: 1 });
}

export function sendEvents(): void {
  const n = iteration();
  const id = idOf(n);
  const first = n * BATCH_EVENTS;
  const events: string[] = [];
  for (let index = 0; index < BATCH_EVENTS; index++)
    events.push(earning(`${id}-${index}`, user(first + index)));
  const readBody = n % READ_EVERY === 0;
  const reply = post('events', '/v1/events', `[${events.join(',')}]`, {
    events: BATCH_EVENTS,
    readBody,
  });
  // A batch is accepted as a whole even if items of it are not.
  if (readBody && wasAnswered('events', reply))
    expect('events', !String(reply.body).includes('"rejected"'));
}

export function readBalance(): void {
  const n = iteration();
  get('balance', balancePath(user(n % COLD === 0 ? n : n % WATCHED_USERS)));
}

/** Posts, then asks for a balance that is no older than that. */
export function followEvent(): void {
  const n = iteration();
  const reply = post('event', '/v1/events', earning(idOf(n), user(n)), {
    events: 1,
    readBody: true,
  });
  if (!wasAnswered('event', reply)) return;
  const acceptedAt = Date.now();
  const path = `${balancePath(user(n))}&at_least=${String(reply.json('results.0.position'))}`;
  let shown: Reply = tryGet('balance_at', path);
  while (shown.status === 503 && Date.now() - acceptedAt < VISIBLE_WITHIN_MS) {
    sleep(ASK_AGAIN_S);
    shown = tryGet('balance_at', path);
  }
  // What never showed counts with the time after which we gave up: late, and not wrong.
  ledgerVisible.add(Date.now() - acceptedAt);
  expect('balance_at', shown.status === 200 || shown.status === 503);
}

/** The same as one request, which is answered after the commit. */
export function waitForLedger(): void {
  const n = iteration();
  const prefer = { Prefer: 'wait=ledger; timeout=10000' };
  post('event_wait', '/v1/events', earning(idOf(n), user(n)), { headers: prefer, events: 1 });
}

/** Written as text: building and serialising thousands of objects a second is the generator's CPU. */
function earning(id: string, who: string): string {
  const data = `"user_id":"${who}","kind":"load_test","amount":${CENT},"reference":"${run}"`;
  return `{"id":"${id}","type":"earning.credited","data":{${data}}}`;
}
