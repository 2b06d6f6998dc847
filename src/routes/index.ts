// Every route of every domain, and what they need. A domain adds its line to each of the two.
import type { Coupons } from '../cache/coupons.ts';
import { openApiDocument } from '../http/openapi.ts';
import { afterLedger } from '../http/prefer.ts';
import type { Route } from '../http/route.ts';
import { type AccountParts, accountRoutes } from './accounts.ts';
import { couponCheckRoutes } from './coupon-checks.ts';
import { couponRoutes } from './coupons.ts';
import { disputeRoutes } from './disputes.ts';
import { type EventParts, eventRoutes } from './events.ts';
import { type GatewayParts, gatewayRoutes } from './gateways.ts';
import { type GameParts, gameRoutes } from './games.ts';
import { limitRoutes } from './limits.ts';
import { type OpsParts, opsRoutes } from './ops.ts';
import { paymentCommandRoutes } from './payment-commands.ts';
import { type PaymentParts, paymentRoutes } from './payments.ts';
import { paymentAnalyticsRoutes } from './payment-analytics.ts';
import { redemptionRoutes } from './redemptions.ts';
import { type RiskParts, riskRoutes } from './risk.ts';
import { webhookEventRoutes } from './webhook-events.ts';
import { type WebhookParts, webhookRoutes } from './webhooks-in.ts';
import { webhookDeliveryRoutes } from './webhook-deliveries.ts';
import { type WebhookEndpointParts, webhookEndpointRoutes } from './webhook-endpoints.ts';

export type RouteParts = AccountParts &
  EventParts &
  GameParts &
  GatewayParts &
  PaymentParts &
  RiskParts &
  WebhookParts &
  WebhookEndpointParts &
  Omit<OpsParts, 'document'> & { coupons: Coupons; version: string };

export function allRoutes(parts: RouteParts): Route[] {
  let document: object | null = null;
  const routes: Route[] = [
    ...couponRoutes(parts.coupons),
    ...couponCheckRoutes(parts.coupons),
    ...redemptionRoutes(parts.coupons).map((route) => afterLedger(route, parts)),
    ...eventRoutes(parts),
    ...accountRoutes(parts),
    ...gameRoutes(parts),
    ...paymentRoutes(parts).map((route) => afterLedger(route, parts)),
    ...paymentCommandRoutes(parts),
    ...riskRoutes(parts),
    ...gatewayRoutes(parts),
    ...webhookRoutes(parts).map((route) => afterLedger(route, parts)),
    ...webhookEventRoutes(parts),
    ...disputeRoutes(parts),
    ...paymentAnalyticsRoutes(parts),
    ...webhookEndpointRoutes(parts),
    ...webhookDeliveryRoutes(parts),
    ...limitRoutes(parts),
    ...opsRoutes({
      ...parts,
      document: () => (document ??= openApiDocument(routes, parts.version)),
    }),
  ];
  return routes;
}
