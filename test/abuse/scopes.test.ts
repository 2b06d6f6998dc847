// Each scope alone against each operation: let in or 403, as the document and the table here say.
// A new operation is missing in the table until somebody decides who may use it.
import { describe, expect, test } from 'bun:test';
import { scopes } from '../../src/http/route.ts';
import { openDoor } from '../http/door.ts';
import { createKey } from '../tenants.ts';
import { type Operation, readOperations, scopesOf } from './document.ts';
import { send } from './wire.ts';

const everybody: readonly string[] = [];
const table: Readonly<Record<string, readonly string[]>> = {
  putCoupon: ['coupons:write'],
  getCoupon: ['coupons:write', 'coupons:redeem'],
  listCoupons: ['coupons:write', 'coupons:redeem'],
  validateCoupon: ['coupons:check'],
  validateCoupons: ['coupons:check'],
  createRedemption: ['coupons:redeem'],
  commitRedemption: ['coupons:redeem'],
  releaseRedemption: ['coupons:redeem'],
  getRedemption: ['coupons:redeem'],
  sendEvents: ['events:write'],
  getEvent: ['events:write', 'balances:read'],
  getBalance: ['balances:read'],
  listEntries: ['balances:read'],
  putPartner: ['partners:write'],
  getPartner: ['partners:write', 'balances:read'],
  listPartners: ['partners:write', 'balances:read'],
  createPayment: ['payments:write'],
  getPayment: ['payments:write'],
  listPayments: ['payments:write'],
  capturePayment: ['payments:write'],
  cancelPayment: ['payments:write'],
  refundPayment: ['payments:write'],
  listDisputes: ['payments:write', 'finance:approve'],
  getDispute: ['payments:write', 'finance:approve'],
  submitEvidence: ['payments:write'],
  getPaymentAnalytics: ['payments:write', 'balances:read', 'finance:approve'],
  approvePayment: ['finance:approve'],
  rejectPayment: ['finance:approve'],
  getPaymentRisk: ['payments:write', 'finance:approve'],
  listReviews: ['finance:approve'],
  putRiskRules: ['admin'],
  getRiskRules: ['finance:approve', 'admin'],
  putShadowRiskRules: ['admin'],
  getShadowRiskRules: ['finance:approve', 'admin'],
  deleteShadowRiskRules: ['admin'],
  addToRiskList: ['finance:approve', 'admin'],
  listRiskLists: ['finance:approve', 'admin'],
  getRiskListEntry: ['finance:approve', 'admin'],
  removeFromRiskList: ['finance:approve', 'admin'],
  compareRiskRules: ['finance:approve', 'admin'],
  putStripe: ['admin'],
  putRazorpay: ['admin'],
  getGateway: ['admin'],
  listGateways: ['admin'],
  deleteGateway: ['admin'],
  putGatewayRouting: ['admin'],
  getGatewayRouting: ['admin'],
  takeStripeWebhook: everybody,
  takeRazorpayWebhook: everybody,
  listWebhookEvents: ['payments:write'],
  getWebhookEvent: ['payments:write'],
  createWebhookEndpoint: ['admin'],
  listWebhookEndpoints: ['admin'],
  getWebhookEndpoint: ['admin'],
  putWebhookEndpoint: ['admin'],
  deleteWebhookEndpoint: ['admin'],
  rotateWebhookSecret: ['admin'],
  listWebhookDeliveries: ['admin'],
  getWebhookDelivery: ['admin'],
  redeliverWebhook: ['admin'],
  listLimits: ['admin'],
  putLimit: ['admin'],
  livez: everybody,
  readyz: everybody,
  metrics: everybody,
  openapi: everybody,
  docs: everybody,
  docsAsset: everybody,
  problem: everybody,
  start: everybody,
};

const door = await openDoor('scopes');
const { owner } = door.stack;
const operations = await readOperations(door.url);
const keys = new Map<string, string>();
for (const scope of scopes) keys.set(scope, await createKey(owner, door.tenant, [scope]));
const powerless = await createKey(owner, door.tenant, ['nothing:at_all']);
const publishable = await createKey(owner, door.tenant, scopes, true);

/** Without a body: whoever is let in is told so, and nothing is done. */
async function statusOf({ method, path }: Operation, key: string): Promise<number> {
  const target = path.replace(/\{\w+\}/g, 'nobody');
  const headers = [['Authorization', `Bearer ${key}`]] as const;
  return (await send(door.url, { method, target, headers, body: '' })).status;
}

test('the table has every operation, with the scopes that the document names', () => {
  const documented = Object.fromEntries(
    operations.map((each) => [each.operationId, scopesOf(each).toSorted()]),
  );
  const expected = Object.fromEntries(
    Object.entries(table).map(([name, allowed]) => [name, allowed.toSorted()]),
  );
  expect(documented).toEqual(expected);
});

describe.each(operations.filter((each) => scopesOf(each).length > 0))(
  '$operationId',
  (operation) => {
    const allowed = table[operation.operationId] ?? [];

    test('lets in whoever has one of its scopes, and nobody else', async () => {
      for (const [scope, key] of keys) {
        const status = await statusOf(operation, key);
        expect([scope, status === 403]).toEqual([scope, !allowed.includes(scope)]);
        expect(status).not.toBe(401);
      }
      expect(await statusOf(operation, powerless)).toBe(403);
    });

    test('lets in a publishable key for checks only, whatever its scopes are', async () => {
      const isCheck = allowed.includes('coupons:check');
      expect((await statusOf(operation, publishable)) === 403).toBe(!isCheck);
    });

    test('lets in nobody whose key is not known', async () => {
      expect(await statusOf(operation, 'tr_live_nobody0000')).toBe(401);
    });

    test('answers a page of another origin only where a publishable key may go', async () => {
      const headers = [
        ['Authorization', `Bearer ${door.key}`],
        ['Origin', 'https://shop.example'],
      ] as const;
      const target = operation.path.replace(/\{\w+\}/g, 'nobody');
      const request = { method: operation.method, target, headers, body: '' };
      const shared = (await send(door.url, request)).headers.get('access-control-allow-origin');
      expect(shared).toBe(allowed.includes('coupons:check') ? '*' : null);
      const asked = await send(door.url, { ...request, method: 'OPTIONS' });
      expect(asked.headers.get('access-control-allow-credentials')).toBeNull();
      expect(asked.status).toBe(allowed.includes('coupons:check') ? 204 : 405);
    });
  },
);
