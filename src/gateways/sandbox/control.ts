// `/_control`: what a test or a person does to the sandbox from outside of the gateways' own APIs:
// settings, disputes, payouts, webhooks, and the lists to check books against.
import type { GatewayName } from '../../../schemas/payments.ts';
import { type Bank, Refusal } from './bank.ts';
import type { Courier } from './courier.ts';
import type { Ambush } from './listener.ts';
import type { Charge, Kind, OfKind } from './objects.ts';
import type { Refunds } from './refunds.ts';
import { type Settings, WrongSettings, changedSettings, faultNamed } from './settings.ts';
import { settlementFile } from './settlement-file.ts';
import type { SandboxStore } from './store.ts';
import {
  type Matched,
  type Routes,
  type WireAnswer,
  type WireRequest,
  header,
  matched,
} from './wire.ts';

export interface ControlParts {
  store: SandboxStore;
  bank: Bank;
  refunds: Refunds;
  courier: Courier;
  settings(): Settings;
  change(settings: Settings): Promise<void>;
  lieInWait(gateway: GatewayName, ambush: Ambush): void;
}

interface Call {
  parts: ControlParts;
  params: Matched<Call>['params'];
  request: WireRequest;
  body: Record<string, unknown>;
}

class NotFound extends Error {}

const gateways: readonly GatewayName[] = ['stripe', 'razorpay'];
const kinds: readonly Kind[] = ['intent', 'charge', 'refund', 'dispute', 'line', 'payout', 'event'];

const routes: Routes<Call> = [
  ['GET', '/_control/health', () => ({ ok: true })],
  ['GET', '/_control/settings', ({ parts }) => parts.settings()],
  ['PATCH', '/_control/settings', changeSettings],
  ['GET', '/_control/settlement.csv', settlement],
  ['GET', '/_control/objects/:gateway/:kind', listObjects],
  ['POST', '/_control/faults', lieInWait],
  ['POST', '/_control/payouts', payOut],
  ['POST', '/_control/disputes', openDispute],
  ['POST', '/_control/disputes/:id/won', (call) => closeDispute(call, 'won')],
  ['POST', '/_control/disputes/:id/lost', (call) => closeDispute(call, 'lost')],
  ['POST', '/_control/charges/:id/succeed', (call) => decide(call, 'succeeds')],
  ['POST', '/_control/charges/:id/fail', (call) => decide(call, 'fails')],
  ['POST', '/_control/charges/:id/expire', expire],
  ['POST', '/_control/refunds/:id/succeed', succeedRefund],
  ['POST', '/_control/refunds/:id/fail', failRefund],
  ['GET', '/_control/webhooks', ({ parts }) => parts.store.deliveryCounts()],
  ['POST', '/_control/webhooks/:id/redeliver', redeliver],
  ['POST', '/_control/reset', reset],
];

export async function controlled(parts: ControlParts, request: WireRequest): Promise<WireAnswer> {
  const answer = (status: number, error: string): WireAnswer => ({ status, body: { error } });
  // A page that somebody has open in a browser has no business here.
  if (header(request, 'origin') !== null) return answer(403, 'not from a browser');
  const route = matched(routes, request.method, request.path);
  if (!route) return answer(404, 'no such route; see docs/sandbox.md');
  try {
    const body = bodyOf(request);
    const call = { parts, params: route.params, request, body };
    return { status: 200, body: await route.run(call) };
  } catch (error) {
    if (error instanceof WrongSettings) return answer(422, error.message);
    if (error instanceof Refusal) return answer(409, error.reason);
    if (error instanceof NotFound) return answer(404, error.message);
    throw error;
  } finally {
    parts.courier.nudge();
  }
}

function bodyOf({ body }: WireRequest): Record<string, unknown> {
  if (body === '') return {};
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === 'object' && parsed !== null) return parsed as Record<string, unknown>;
  } catch {
    // Answered below, as any body that is not an object.
  }
  throw new WrongSettings('the body is not a JSON object');
}

async function changeSettings({ parts, body }: Call): Promise<Settings> {
  const changed = changedSettings(parts.settings(), body);
  await parts.change(changed);
  return changed;
}

/** `{gateway, fault, path, method?, times?}`: trouble at one step, for a test of that step. */
function lieInWait({ parts, body }: Call): unknown {
  const { method = null, path, times = 1 } = body;
  const fault = faultNamed(body['fault']);
  if (typeof path !== 'string') throw new WrongSettings('/path: part of a path');
  if (method !== null && typeof method !== 'string') throw new WrongSettings('/method: a method');
  if (typeof times !== 'number' || !Number.isInteger(times) || times < 1)
    throw new WrongSettings('/times: a whole number from 1');
  parts.lieInWait(gatewayNamed(String(body['gateway'])), { fault, method, path, times });
  return { ok: true };
}

function settlement({ parts, request }: Call): string {
  const asked = request.query.get('gateway');
  return settlementFile(parts.store, asked === null ? gateways : [gatewayNamed(asked)]);
}

/** `?limit=` and `?payment_id=`, ours, of charges only. */
function listObjects({ parts, params, request }: Call): unknown {
  const gateway = gatewayNamed(params['gateway']!);
  const kind = kinds.find((each) => each === params['kind']);
  if (!kind) throw new NotFound('no such kind');
  const paymentId = request.query.get('payment_id');
  if (paymentId !== null) return chargesOf(parts, gateway, paymentId);
  return parts.store.list(gateway, kind, { limit: Number(request.query.get('limit') ?? 100) });
}

function chargesOf({ store }: ControlParts, gateway: GatewayName, paymentId: string): Charge[] {
  return store
    .labelled(gateway, 'payment_id', paymentId)
    .flatMap((id) => store.list(gateway, 'charge', { limit: -1, parent: id }));
}

function payOut({ parts, body }: Call): unknown {
  const asked = body['gateway'];
  const named = asked === undefined ? gateways : [gatewayNamed(String(asked))];
  return parts.store.together(() => named.flatMap((gateway) => parts.bank.payOut(gateway)));
}

/** `payment`: a charge, a PaymentIntent, a Razorpay payment, or our own payment's id. */
function openDispute({ parts, body }: Call): unknown {
  const charge = chargeNamed(parts, String(body['payment']));
  const left = charge.captured - charge.refunded;
  const amount = body['amount'] === undefined ? left : Number(body['amount']);
  if (!Number.isInteger(amount) || amount < 1) throw new Refusal('too_much');
  const reason = typeof body['reason'] === 'string' ? body['reason'] : 'fraudulent';
  return parts.store.together(() => parts.refunds.dispute(charge, amount, reason));
}

function chargeNamed(parts: ControlParts, name: string): Charge {
  const { store } = parts;
  const latest = store.get('intent', name)?.latest;
  const direct = store.get('charge', latest ?? name);
  if (direct) return direct;
  const ours = gateways.flatMap((gateway) => chargesOf(parts, gateway, name));
  const captured = ours.find(({ status }) => status === 'captured');
  if (!captured) throw new NotFound('no such payment');
  return captured;
}

function closeDispute({ parts, params }: Call, as: 'won' | 'lost'): unknown {
  const dispute = one(parts, 'dispute', params['id']!);
  return parts.store.together(() => parts.refunds.close(dispute, as));
}

function decide({ parts, params }: Call, as: 'succeeds' | 'fails'): unknown {
  const charge = one(parts, 'charge', params['id']!);
  return parts.store.together(() => parts.bank.decide(charge, as));
}

/** An authorization that nobody captured in time. */
function expire({ parts, params }: Call): unknown {
  const { bank, store } = parts;
  const charge = one(parts, 'charge', params['id']!);
  if (charge.status !== 'authorized') throw new Refusal('wrong_status');
  return store.together(() => bank.cancel(bank.intentOf(charge), 'automatic'));
}

function succeedRefund({ parts, params }: Call): unknown {
  const refund = one(parts, 'refund', params['id']!);
  return parts.store.together(() => parts.refunds.succeed(refund));
}

function failRefund({ parts, params }: Call): unknown {
  const refund = one(parts, 'refund', params['id']!);
  return parts.store.together(() => parts.refunds.fail(refund));
}

function redeliver({ parts, params }: Call): unknown {
  parts.courier.redeliver(one(parts, 'event', params['id']!));
  return { ok: true };
}

function reset({ parts }: Call): unknown {
  parts.store.together(() => parts.store.forget());
  return { ok: true };
}

function one<K extends Kind>({ store }: ControlParts, kind: K, id: string): OfKind<K> {
  const found = store.get(kind, id);
  if (!found) throw new NotFound(`no such ${kind}`);
  return found;
}

function gatewayNamed(name: string): GatewayName {
  const found = gateways.find((each) => each === name);
  if (!found) throw new NotFound('no such gateway');
  return found;
}
