// The endpoints as the load names them: one word each, however many codes, ids and accounts there
// are, so that the number of k6's time series does not grow with the load.
// Invariant: pure; also read outside of k6.

interface Endpoint {
  route: string;
  /** What it answers when all is well. */
  status: number;
  /** p95 in ms, by what the caller waits for. */
  p95Ms: number;
}

/** The limits of the product's brief. A wait for the ledger has the limit of an initiation. */
const CHECK_MS = 50;
const INITIATION_MS = 200;
const QUERY_MS = 100;

const redemption = '/v1/redemptions';

export const endpoints = {
  validate: { route: 'POST /v1/coupons/validate', status: 200, p95Ms: CHECK_MS },
  redeem: { route: `POST ${redemption}`, status: 201, p95Ms: INITIATION_MS },
  commit: { route: `POST ${redemption}/{id}/commit`, status: 200, p95Ms: INITIATION_MS },
  release: { route: `POST ${redemption}/{id}/release`, status: 200, p95Ms: INITIATION_MS },
  event: { route: 'POST /v1/events, one', status: 202, p95Ms: INITIATION_MS },
  events: { route: 'POST /v1/events, a batch', status: 202, p95Ms: INITIATION_MS },
  event_wait: { route: 'POST /v1/events, Prefer: wait', status: 200, p95Ms: INITIATION_MS },
  balance: { route: 'GET …/balance', status: 200, p95Ms: QUERY_MS },
  balance_at: { route: 'GET …/balance?at_least=', status: 200, p95Ms: INITIATION_MS },
} as const satisfies Record<string, Endpoint>;

export type EndpointName = keyof typeof endpoints;
export const endpointNames = Object.keys(endpoints) as EndpointName[];

/** From the answer to an event until a read of the balance shows it. */
export const LEDGER_VISIBLE_P95_MS = INITIATION_MS;
