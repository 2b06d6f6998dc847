// Stripe's side of the wire: who asks, the form, the route, one answer for each idempotency key.
// Invariant: an answer is kept under its key together with what it did; a request that was refused
// before anything began is not kept, so that it can be put right under the same key.
import {
  type Wire,
  type WireAnswer,
  type WireRequest,
  credentials,
  header,
  matched,
  stays,
} from '../wire.ts';
import { newId } from '../objects.ts';
import { StripeCall, type StripeParts } from './call.ts';
import { StripeRefusal, stripeError } from './errors.ts';
import { API_VERSION } from './events.ts';
import { expanded } from './expand.ts';
import { type Form, WrongForm, parseForm } from './form.ts';
import { stripeRoutes } from './routes.ts';

const KEY_LENGTH_MAX = 255;

export function stripeWire(parts: StripeParts): Wire {
  return {
    idempotencyKey: (request) =>
      request.method === 'POST' ? header(request, 'idempotency-key') : null,
    handle: (request) => withHeaders(request, answered(parts, request)),
    busy: () =>
      stripeError(
        409,
        'idempotency_error',
        'There is currently another in-progress request using this Stripe Idempotency Key.',
        { code: 'idempotency_key_in_use' },
      ),
    broken: () => stripeError(500, 'api_error', 'An unknown error occurred.'),
    rateLimited: () =>
      stripeError(429, 'invalid_request_error', 'Too many requests hit the API too quickly.', {
        code: 'rate_limit',
      }),
    unavailable: () => stripeError(503, 'api_error', 'The API is unavailable.'),
  };
}

function withHeaders(request: WireRequest, answer: WireAnswer): WireAnswer {
  const version = header(request, 'stripe-version') ?? API_VERSION;
  const headers = { 'request-id': newId('req_', 14), 'stripe-version': version };
  return { ...answer, headers: { ...headers, ...answer.headers } };
}

function answered(parts: StripeParts, request: WireRequest): WireAnswer {
  const user = credentials(request)?.user ?? '';
  if (user === '')
    return stripeError(401, 'invalid_request_error', 'You did not provide an API key.');
  if (!/^[sr]k_test_\w{4,}$/.test(user))
    return stripeError(401, 'invalid_request_error', 'Invalid API Key provided.');
  const key = request.method === 'POST' ? header(request, 'idempotency-key') : null;
  if (key === null) return routed(parts, request);
  if (key.length > KEY_LENGTH_MAX)
    return stripeError(400, 'idempotency_error', 'Keys are at most 255 characters.');
  const said = `${request.path}\n${[...new URLSearchParams(request.body)].sort().join('&')}`;
  const before = parts.store.answer('stripe', key);
  if (before && before.request !== said)
    return stripeError(
      400,
      'idempotency_error',
      'Keys for idempotent requests can only be used with the same parameters they were first ' +
        `used with. Try using a key other than '${key}' if you meant to execute a different ` +
        'request.',
    );
  if (before)
    return {
      status: before.status,
      body: JSON.parse(before.body) as unknown,
      headers: { 'idempotent-replayed': 'true' },
    };
  const answer = routed(parts, request);
  if (stays(answer)) {
    const body = JSON.stringify(answer.body);
    parts.store.keepAnswer('stripe', key, { request: said, status: answer.status, body });
  }
  return answer;
}

function routed(parts: StripeParts, request: WireRequest): WireAnswer {
  const route = matched(stripeRoutes, request.method, request.path);
  if (!route)
    return stripeError(
      404,
      'invalid_request_error',
      `Unrecognized request URL (${request.method}: ${request.path}).`,
    );
  try {
    const call = new StripeCall(parts, formOf(request), route.params, request);
    const shape = route.run(call) as Record<string, unknown>;
    return { status: 200, body: expanded(shape, call.expands(), parts.store) };
  } catch (error) {
    if (error instanceof StripeRefusal) return error.answer;
    if (error instanceof WrongForm)
      return stripeError(400, 'invalid_request_error', 'Invalid request encoding.');
    throw error;
  }
}

function formOf(request: WireRequest): Form {
  return parseForm(request.method === 'POST' ? new URLSearchParams(request.body) : request.query);
}
