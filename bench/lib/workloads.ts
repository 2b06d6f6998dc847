// What the generator sends: each workload makes the bytes of its n-th request, as cheaply as it
// can, since the generator shares the machine with the servers it measures.
import type { RequestMaker } from './http-load.ts';

export interface Target {
  host: string;
  port: number;
  /** Left out against a bare server, which asks for none. */
  apiKey?: string;
}

export interface WorkloadSpec {
  name:
    'validate' | 'ingest' | 'redeem' | 'reserve-commit' | 'payment' | 'balances' | 'game' | 'mixed';
  target: Target;
  /** Codes or accounts to spread over. */
  keys: number;
  /** Events in one request. */
  batch: number;
  /** Makes event ids unique between rounds. */
  run: string;
}

export function requestMaker(spec: WorkloadSpec): RequestMaker {
  return makers[spec.name](spec);
}

const makers: Record<WorkloadSpec['name'], (spec: WorkloadSpec) => RequestMaker> = {
  validate: validations,
  ingest: ingests,
  redeem: (spec) => redemptions(spec, true),
  'reserve-commit': reservationsAndCommits,
  payment: payments,
  balances,
  game: games,
  mixed,
};

export function couponCode(n: number): string {
  return `CODE${String(n).padStart(7, '0')}`;
}

/** A cheap walk that visits keys in no obvious order; the stride is prime to every round number. */
function spread(n: number, keys: number): number {
  return (n * 7_919) % keys;
}

function post(path: string, target: Target): (body: string, headers?: string) => string {
  const authorization = target.apiKey ? `Authorization: Bearer ${target.apiKey}\r\n` : '';
  const head =
    `POST ${path} HTTP/1.1\r\nHost: ${target.host}:${target.port}\r\n${authorization}` +
    'Content-Type: application/json\r\nContent-Length: ';
  return (body, headers = '') => `${head}${body.length}\r\n${headers}\r\n${body}`;
}

function validations({ target, keys }: WorkloadSpec): RequestMaker {
  const request = post('/v1/coupons/validate', target);
  const body = (code: string): string =>
    `{"code":"${code}","order":{"total":{"amount":5000,"currency":"USD"}}}`;
  const ready = Array.from({ length: Math.min(keys, 100_000) }, (_, index) =>
    Buffer.from(request(body(couponCode(index)))),
  );
  return (n) => ready[spread(n, ready.length)]!;
}

function ingests({ target, keys, batch, run }: WorkloadSpec): RequestMaker {
  const request = post('/v1/events', target);
  const event = (n: number): string =>
    `{"id":"${run}-${n}","type":"earning.credited","data":{"user_id":"u_${spread(n, keys)}",` +
    '"kind":"video_completed","amount":{"amount":125,"currency":"USD"},"reference":"video_9"}}';
  if (batch === 1) return (n) => request(event(n));
  return (n) => {
    const events = Array.from({ length: batch }, (_, index) => event(n * batch + index));
    return request(`[${events.join(',')}]`);
  };
}

function redemptions({ target, keys, run }: WorkloadSpec, commit: boolean): RequestMaker {
  const request = post('/v1/redemptions', target);
  return (n) =>
    request(
      `{"code":"${couponCode(spread(n, keys))}","customer_id":"c_${n}","commit":${commit},` +
        `"order":{"id":"${run}-${n}","total":{"amount":5000,"currency":"USD"}}}`,
      `Idempotency-Key: ${run}-${n}\r\n`,
    );
}

/** Each connection commits what it has just reserved. */
function reservationsAndCommits(spec: WorkloadSpec): RequestMaker {
  const reserve = redemptions(spec, false);
  return (n, answer) => {
    const reserved = /"id":"(rdm_[\w-]+)","status":"reserved"/.exec(answer);
    if (!reserved) return reserve(n, answer);
    return post(`/v1/redemptions/${reserved[1]}/commit`, spec.target)('');
  };
}

/** Of `keys` customers, each with a card of its own. */
function payments({ target, keys, run }: WorkloadSpec): RequestMaker {
  const request = post('/v1/payments', target);
  return (n) => {
    const customer = spread(n, keys);
    return request(
      `{"amount":{"amount":4999,"currency":"USD"},"customer_id":"c_${customer}",` +
        `"method":{"type":"card","token":"pm_card_visa~${customer}"},"order_id":"${run}-${n}"}`,
      `Idempotency-Key: ${run}-${n}\r\n`,
    );
  };
}

function games({ target, run }: WorkloadSpec): RequestMaker {
  const request = post('/v1/events', target);
  return (n) =>
    request(
      `{"id":"${run}-${n}","type":"game.completed","data":{"game_id":"${run}-${n}",` +
        '"profit":{"amount":1234567,"currency":"USD"},"completed_at":"2026-01-31T12:00:00Z"}}',
      'Prefer: wait=ledger; timeout=5000\r\n',
    );
}

function balances({ target, keys }: WorkloadSpec): RequestMaker {
  const { host, port, apiKey } = target;
  const authorization = apiKey ? `Authorization: Bearer ${apiKey}\r\n` : '';
  return (n) =>
    `GET /v1/accounts/user:u_${spread(n, keys)}:earnings/balance?currency=USD HTTP/1.1\r\n` +
    `Host: ${host}:${port}\r\n${authorization}\r\n`;
}

/** Of twenty requests ten checks, five events, three redemptions, two balances. */
function mixed(spec: WorkloadSpec): RequestMaker {
  const [check, event, redeem, balance] = [
    validations(spec),
    ingests({ ...spec, batch: 1 }),
    redemptions(spec, true),
    balances(spec),
  ];
  return (n, answer) => {
    const turn = (n * 7) % 20;
    if (turn < 10) return check(n, answer);
    if (turn < 15) return event(n, answer);
    return turn < 18 ? redeem(n, answer) : balance(n, answer);
  };
}
