// Problems: RFC 9457 for every refusal, from a catalogue of stable codes. A problem is plain data
// (no Error, no stack), so that refusing costs no more than answering; return it or throw it.
// Invariant: a problem never carries a value that the caller sent.

export interface ProblemError {
  /** JSON pointer into the body, e.g. `/order/total/amount`; empty for the whole. */
  pointer: string;
  detail: string;
}

interface CatalogueEntry {
  title: string;
  /** What it means and what to do, as shown at /problems/{code}. */
  about: string;
}

function entry(title: string, about: string): CatalogueEntry {
  return { title, about };
}

/** Codes never change their meaning. Reasons of refused coupons have their own entries. */
export const catalogue = {
  malformed_json: entry('Malformed JSON', 'The body is not JSON. Nothing was done.'),
  request_timeout: entry(
    'The body came too slowly',
    'The whole body must arrive within ten seconds. Nothing was done; send it again.',
  ),
  malformed_request: entry('Malformed request', 'A header or the query could not be understood.'),
  idempotency_key_missing: entry(
    'Idempotency-Key is required',
    'Send an Idempotency-Key header of 1 to 128 visible ASCII characters with this command, and ' +
      'the same one with each retry of it.',
  ),
  unauthenticated: entry(
    'Unknown or missing key',
    'Send `Authorization: Bearer tr_live_…` with a key that exists and is not revoked.',
  ),
  scope_missing: entry('Scope is missing', 'The key is valid but may not do this.'),
  not_found: entry('Not found', 'There is nothing at this address.'),
  method_not_allowed: entry('Method not allowed', 'See the Allow header for those that are.'),
  idempotency_in_flight: entry(
    'The first request is still running',
    'A request with this Idempotency-Key has not been answered yet. Retry after a moment.',
  ),
  body_too_large: entry(
    'Body is too large',
    'Send less in one request; the detail names the limit.',
  ),
  unsupported_media_type: entry('Unsupported media type', 'The detail names the accepted types.'),
  invalid_request: entry(
    'The request has the wrong shape',
    'Each item of `errors` points at what is wrong. Unknown properties are refused, not dropped.',
  ),
  idempotency_key_reused: entry(
    'Idempotency-Key was used for another request',
    'The same key came with another body. Use a new key for a new command.',
  ),
  unknown_event_type: entry('Unknown event type', 'No event of this type can be sent.'),
  event_id_reused: entry(
    'Event id was used for another event',
    'An event with this id was accepted before, with other content. The first one stands.',
  ),
  event_too_large: entry('Event is too large', 'One event may take 32 KiB.'),
  several_currencies: entry(
    'The account has several currencies',
    'Say which one with `?currency=`.',
  ),
  rate_limited: entry('Too many requests', 'Wait as long as Retry-After says.'),
  internal_error: entry(
    'Something broke on our side',
    'It has been logged under the request id. A retry with the same ids is safe.',
  ),
  overloaded: entry('Too busy', 'More is waiting than can be taken now. Retry after a moment.'),
  store_unavailable: entry(
    'A store is away',
    'Redis or Postgres does not answer, so nothing can be promised. Retry with the same ids.',
  ),
  secrets_key_missing: entry(
    'Secrets cannot be kept',
    'The server has no key to encrypt them with: set TALLYRACE_SECRETS_KEY, and start it again.',
  ),
  not_ready: entry('Not ready', 'The detail names what fails; `checks` says how.'),
  position_not_reached: entry(
    'The position has not been reached yet',
    'The ledger is behind the position asked for. Retry after a moment.',
  ),
  not_started: entry('The coupon is not valid yet', 'Its start lies in the future.'),
  expired: entry('The coupon or reservation has expired', 'It was valid, but no longer is.'),
  outside_window: entry('Outside the hours of the coupon', 'It is valid at other times.'),
  disabled: entry('The coupon is disabled', 'It was switched off.'),
  limit_reached: entry('The coupon is used up', 'All its uses are reserved or redeemed.'),
  customer_limit_reached: entry('The customer has used it up', 'No use is left for this customer.'),
  budget_exhausted: entry('The budget is used up', 'The discount would go over the budget.'),
  customer_required: entry('A customer is required', 'The coupon is bound to customers.'),
  customer_not_eligible: entry(
    'The customer is not eligible',
    'The coupon is for other customers.',
  ),
  min_order_not_met: entry('The order is too small', 'The coupon has a minimum order.'),
  product_not_eligible: entry('No product is eligible', 'The coupon is for other products.'),
  currency_mismatch: entry('Another currency', 'The order is not in the currency of the coupon.'),
  not_stackable: entry('The coupons do not stack', 'At least one stands alone.'),
  already_redeemed: entry('Already redeemed', 'This was redeemed before.'),
  already_released: entry('Already released', 'The reservation was given back before.'),
  redemption_unknown: entry('No such redemption', 'Nothing was reserved under this id.'),
  reserved_elsewhere: entry('Reserved elsewhere', 'Another order holds the coupon.'),
  webhook_refused: entry(
    'The webhook was not taken',
    'The address is not that of an account, or the signature is not right: see `webhook_path` of ' +
      'GET /v1/gateways, the secret that was set, and the clock.',
  ),
  card_number_refused: entry(
    'Card numbers are not taken',
    'Something looks like a card number; `errors` points at it. Send a token of the gateway.',
  ),
  wrong_status: entry('Not in this status', 'The payment cannot be changed so in its status.'),
  amount_too_large: entry('The amount is too large', 'More than is left of the payment.'),
  partial_capture_unsupported: entry(
    'The gateway captures the whole only',
    'Capture what was authorised, or cancel and charge anew.',
  ),
  too_many_endpoints: entry('Too many endpoints', 'Delete one that is not used any more.'),
  endpoint_disabled: entry(
    'The endpoint is disabled',
    'Nothing is sent to it until it is enabled.',
  ),
  list_full: entry('The lists are full', 'Take off entries that are not needed any more.'),
  already_requested: entry('Asked for already', 'It is on its way; the first request stands.'),
  insufficient_balance: entry('The balance is too low', 'The account would go below its floor.'),
} as const satisfies Record<string, CatalogueEntry>;

export type ProblemCode = keyof typeof catalogue;

export interface ProblemOptions {
  errors?: readonly ProblemError[];
  headers?: Readonly<Record<string, string>>;
}

export class Problem {
  constructor(
    readonly status: number,
    readonly code: ProblemCode,
    readonly detail: string,
    readonly errors: readonly ProblemError[] | undefined,
    readonly headers: Readonly<Record<string, string>> | undefined,
  ) {}
}

export function problem(
  status: number,
  code: ProblemCode,
  detail: string,
  options: ProblemOptions = {},
): Problem {
  return new Problem(status, code, detail, options.errors, options.headers);
}

/** 503 with Retry-After; `afterS` in seconds. */
export function unavailable(code: ProblemCode, detail: string, afterS = 1): Problem {
  return new Problem(503, code, detail, undefined, { 'Retry-After': String(afterS) });
}

/** The members of the problem document, in the order they are sent. */
export function problemBody(refusal: Problem, requestId?: string): Record<string, unknown> {
  const { status, code, detail, errors } = refusal;
  const type = `/problems/${code}`;
  const body: Record<string, unknown> = {
    type,
    title: catalogue[code].title,
    status,
    code,
    detail,
  };
  if (requestId !== undefined) body['request_id'] = requestId;
  if (errors !== undefined) body['errors'] = errors;
  return body;
}

/** Same id, other event: the first stands; the fields say what differs, as far as it is known. */
export function reusedId(fields: readonly string[]): Problem {
  const errors = fields.map((pointer) => ({
    pointer,
    detail: 'The first event has another value.',
  }));
  return problem(409, 'event_id_reused', 'The first event with this id stands.', { errors });
}
