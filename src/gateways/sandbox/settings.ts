// How the sandbox behaves, as `/_control/settings` reads and changes it while it runs.
// Invariant: a change is taken as a whole or refused as a whole, with what is wrong in it.
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';

const closed = { additionalProperties: false } as const;
const rate = Type.Number({ minimum: 0, maximum: 1, default: 0 });
const ms = (standard: number) =>
  Type.Integer({ minimum: 0, maximum: 86_400_000, default: standard });
const count = (standard: number) =>
  Type.Integer({ minimum: 1, maximum: 10_000, default: standard });
const basisPoints = (standard: number) =>
  Type.Integer({ minimum: 0, maximum: 10_000, default: standard });
const minorUnits = (standard: number) =>
  Type.Integer({ minimum: 0, maximum: 1_000_000, default: standard });

/** Shares of requests; their sum is at most 1. */
const Faults = Type.Object(
  {
    /** The connection is cut, and nothing was done. */
    reset_before: rate,
    /** The connection is cut after it was done: nobody knows. */
    reset_after: rate,
    /** No answer, and nothing was done. */
    timeout_before: rate,
    /** It was done, and no answer comes. */
    timeout_after: rate,
    server_error: rate,
    rate_limited: rate,
  },
  { ...closed, default: {} },
);

const Webhook = Type.Object(
  {
    url: Type.Union([Type.String({ pattern: '^https?://' }), Type.Null()], { default: null }),
    /** Stripe signs with all of them, Razorpay with the first. */
    secrets: Type.Array(Type.String({ minLength: 1 }), {
      minItems: 1,
      default: ['whsec_sandbox_secret'],
    }),
    /** Types to tell of; `*` is all. */
    events: Type.Array(Type.String(), { default: ['*'] }),
    delay_min_ms: ms(0),
    delay_max_ms: ms(0),
    duplicate_rate: rate,
    /** This share is held back by up to `reorder_ms` more, so that later news overtakes it. */
    reorder_rate: rate,
    reorder_ms: ms(2_000),
    /** This share is never sent. */
    lost_rate: rate,
    retry_base_ms: ms(1_000),
    retries_max: count(16),
    timeout_ms: ms(10_000),
    concurrency: count(16),
  },
  { ...closed, default: {} },
);

const gatewayFields = {
  /** refused: nobody listens. silent: no answer. unavailable: 503. */
  down: Type.Union(
    [Type.Null(), Type.Literal('refused'), Type.Literal('silent'), Type.Literal('unavailable')],
    { default: null },
  ),
  latency_median_ms: ms(0),
  latency_p99_ms: ms(0),
  faults: Faults,
  /** Which requests meet faults. */
  fault_scope: Type.Union([Type.Literal('writes'), Type.Literal('all')], { default: 'writes' }),
  /** How long a request without an answer is held before its connection is cut. */
  hold_ms: ms(30_000),
  /** How far searches are behind. */
  search_lag_ms: ms(0),
  /** When methods that take their time are decided. */
  pending_ms: ms(2_000),
  webhook: Webhook,
};

const feeFields = (bp: number, fixed: number, tax: number, dispute: number) => ({
  fee_bp: basisPoints(bp),
  fee_fixed: minorUnits(fixed),
  /** On the fee, rounded by itself and part of it. */
  tax_bp: basisPoints(tax),
  dispute_fee: minorUnits(dispute),
});

export const Settings = Type.Object(
  {
    seed: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, default: 1 }),
    stripe: Type.Object(
      { ...gatewayFields, ...feeFields(290, 30, 0, 1_500) },
      { ...closed, default: {} },
    ),
    razorpay: Type.Object(
      { ...gatewayFields, ...feeFields(200, 0, 1_800, 0) },
      { ...closed, default: {} },
    ),
  },
  closed,
);
export type Settings = Static<typeof Settings>;
export type GatewaySettings = Settings['stripe'];
export type WebhookSettings = GatewaySettings['webhook'];
export type Fault = keyof GatewaySettings['faults'];

export class WrongSettings extends Error {}

export function faultNamed(name: unknown): Fault {
  const faults = Object.keys(Faults.properties) as Fault[];
  const found = faults.find((each) => each === name);
  if (!found) throw new WrongSettings(`/fault: one of ${faults.join(', ')}`);
  return found;
}

export function standardSettings(): Settings {
  return Value.Decode(Settings, Value.Default(Settings, {}));
}

/** The settings with a change laid over them; what the change does not name stays. */
export function changedSettings(settings: Settings, change: unknown): Settings {
  const merged = laidOver(settings, change);
  const problem = Value.Errors(Settings, merged).First();
  if (problem) throw new WrongSettings(`${problem.path || '/'}: ${problem.message}`);
  const changed = merged as Settings;
  for (const gateway of ['stripe', 'razorpay'] as const) {
    const { faults, webhook } = changed[gateway];
    const shares = Object.values(faults).reduce((sum, each) => sum + each, 0);
    if (shares > 1) throw new WrongSettings(`/${gateway}/faults: their sum is above 1`);
    if (webhook.delay_min_ms > webhook.delay_max_ms)
      throw new WrongSettings(`/${gateway}/webhook: delay_min_ms is above delay_max_ms`);
  }
  return changed;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function laidOver(base: unknown, change: unknown): unknown {
  if (!isObject(base) || !isObject(change)) return change;
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(change))
    merged[key] = Object.hasOwn(base, key) ? laidOver(base[key], value) : value;
  return merged;
}
