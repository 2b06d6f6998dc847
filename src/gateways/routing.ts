// Which gateways try a payment, first to last: by the tenant's rules and weights, then those that
// are in trouble last.
// Invariant: the choice follows from the payment's id and what was known then; it travels with the
// payment, so whoever replays it chooses nothing.
import { type GatewayRouting, ROUTING_KIND } from '../../schemas/gateways.ts';
import { type GatewayName, type PaymentRequest, gatewayNames } from '../../schemas/payments.ts';
import type { Sql } from '../io/postgres.ts';
import type { Redis } from 'ioredis';
import type { Log } from '../io/log.ts';
import { followDocuments } from '../store/documents.ts';
import type { Vault } from '../store/secrets.ts';
import { type Endpoint, GatewayAccounts } from './accounts.ts';
import { TroubleListener } from './health.ts';

export interface Known {
  /** Absent: every gateway alike. */
  routing: GatewayRouting | undefined;
  /** Those the tenant has an account with. */
  accounts: readonly GatewayName[];
  isTroubled(name: GatewayName): boolean;
}

type Asked = Pick<PaymentRequest, 'amount' | 'method' | 'gateway'>;

export function gatewaysInOrder(asked: Asked, paymentId: string, known: Known): GatewayName[] {
  // The token was made for this one, says who asks.
  if (asked.gateway) return [asked.gateway];
  const { routing, accounts, isTroubled } = known;
  const among = accounts.length > 0 ? accounts : gatewayNames;
  const first = chosen(weightsFor(asked, routing), among, paymentId);
  const after = (routing?.failover ?? gatewayNames).filter((name) => among.includes(name));
  const order = [...new Set([first, ...after])];
  return order.toSorted((a, b) => Number(isTroubled(a)) - Number(isTroubled(b)));
}

type Weights = GatewayRouting['weights'];

const alike: Weights = { stripe: 1, razorpay: 1 };

function weightsFor({ amount, method }: Asked, routing: GatewayRouting | undefined): Weights {
  if (!routing) return alike;
  const holds = (rule: NonNullable<GatewayRouting['rules']>[number]): boolean =>
    (rule.method_types?.includes(method.type) ?? true) &&
    (rule.currencies?.includes(amount.currency) ?? true) &&
    amount.amount >= (rule.amount_min ?? 0) &&
    amount.amount <= (rule.amount_max ?? Infinity);
  return routing.rules?.find(holds)?.weights ?? routing.weights;
}

/** By the id's place in the sum of the weights. Without any weight, the first there is. */
function chosen(weights: Weights, among: readonly GatewayName[], paymentId: string): GatewayName {
  const shares = among.map((name) => weights[name] ?? 0);
  const sum = shares.reduce((total, share) => total + share, 0);
  let place = (Bun.hash.xxHash32(paymentId) / 2 ** 32) * sum;
  for (const [index, share] of shares.entries()) {
    if (place < share) return among[index]!;
    place -= share;
  }
  return among[0]!;
}

export interface GatewayDesk {
  /** Who tries a payment, first to last. */
  gatewaysFor(tenant: number, asked: Asked, paymentId: string): readonly GatewayName[];
  /** Whose webhooks come to this address, and what they may be signed with. */
  endpointOf(endpoint: string): Promise<Endpoint | null>;
  /** Resolves when every change that was committed before the call is known. */
  refresh(): Promise<void>;
  stop(): Promise<void>;
}

export interface DeskParts {
  redis: Redis;
  sql: Sql;
  /** Null: no key of secrets, so no tenant has an account. */
  vault: Vault | null;
  log: Log;
}

/** What an ingress wants to know of gateways, followed in memory. */
export async function openGatewayDesk({ redis, sql, vault, log }: DeskParts): Promise<GatewayDesk> {
  const onError = (error: unknown): void =>
    log.warn({ error: String(error) }, 'gateways are not up to date');
  const accounts = new GatewayAccounts(sql, vault, onError);
  const trouble = new TroubleListener(redis, log);
  const rules = new Map<number, GatewayRouting>();
  const follower = followDocuments(sql, ROUTING_KIND, {
    onError,
    onChanges(changes) {
      for (const { tenant, body } of changes) rules.set(tenant, body as GatewayRouting);
    },
  });
  await Promise.all([accounts.ready, follower.ready]);
  return {
    gatewaysFor: (tenant, asked, paymentId) =>
      gatewaysInOrder(asked, paymentId, {
        routing: rules.get(tenant),
        accounts: accounts.namesOf(tenant),
        isTroubled: (name) => trouble.has(name, tenant),
      }),
    endpointOf: (endpoint) => accounts.endpointOf(endpoint),
    async refresh() {
      await Promise.all([accounts.refresh(), follower.refresh(), trouble.look()]);
    },
    async stop() {
      await Promise.all([accounts.stop(), follower.stop(), trouble.stop()]);
    },
  };
}
