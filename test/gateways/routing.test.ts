// Which gateway tries a payment: by weight, by rule, by what is known of them; the same each time.
import { afterAll, describe, expect, test } from 'bun:test';
import { TroubleTeller } from '../../src/gateways/health.ts';
import { type Known, gatewaysInOrder, openGatewayDesk } from '../../src/gateways/routing.ts';
import { createLog } from '../../src/io/log.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { openVault } from '../../src/store/secrets.ts';
import { openDoor } from '../http/door.ts';

const asked = {
  amount: { amount: 4_999, currency: 'USD' },
  method: { type: 'card', token: 'pm_card_visa' },
} as const;
const well: Known = {
  routing: undefined,
  accounts: ['stripe', 'razorpay'],
  isTroubled: () => false,
};
const ids = Array.from({ length: 4_000 }, (_, n) => `pay_${n}`);
const firsts = (known: Known, request: Parameters<typeof gatewaysInOrder>[0] = asked) => {
  const counts = { stripe: 0, razorpay: 0 };
  for (const id of ids) counts[gatewaysInOrder(request, id, known)[0]!]++;
  return counts;
};

describe('the order', () => {
  test('is the same for the same payment, and follows the weights over many', () => {
    const known: Known = { ...well, routing: { weights: { stripe: 70, razorpay: 30 } } };
    expect(gatewaysInOrder(asked, 'pay_1', known)).toEqual(gatewaysInOrder(asked, 'pay_1', known));
    const { stripe, razorpay } = firsts(known);
    // Counted once: the ids are fixed. A weight that is ignored gives 2,000.
    expect(stripe).toBeGreaterThan(2_650);
    expect(stripe).toBeLessThan(2_950);
    expect(stripe + razorpay).toBe(4_000);
  });

  test('is by the first rule that holds for all that it names', () => {
    const routing: Known['routing'] = {
      weights: { stripe: 1 },
      rules: [
        { method_types: ['upi'], weights: { razorpay: 1 } },
        { currencies: ['USD'], amount_min: 5_000, amount_max: 9_000, weights: { razorpay: 1 } },
      ],
    };
    const known = { ...well, routing };
    expect(firsts(known)).toEqual({ stripe: 4_000, razorpay: 0 });
    const upi = { ...asked, method: { type: 'upi', token: 't' } } as const;
    expect(firsts(known, upi)).toEqual({ stripe: 0, razorpay: 4_000 });
    for (const [amount, first] of [
      [4_999, 'stripe'],
      [5_000, 'razorpay'],
      [9_000, 'razorpay'],
      [9_001, 'stripe'],
    ] as const) {
      const request = { ...asked, amount: { amount, currency: 'USD' } };
      expect(gatewaysInOrder(request, 'pay_1', known)[0]).toBe(first);
    }
  });

  test('has no gateway without an account, nor after the first one that is no failover', () => {
    expect(gatewaysInOrder(asked, 'pay_1', { ...well, accounts: ['razorpay'] })).toEqual([
      'razorpay',
    ]);
    const routing = { weights: { stripe: 1 }, failover: [] };
    expect(gatewaysInOrder(asked, 'pay_1', { ...well, routing })).toEqual(['stripe']);
    expect(gatewaysInOrder({ ...asked, gateway: 'razorpay' }, 'pay_1', well)).toEqual(['razorpay']);
  });

  test('has those in trouble last', () => {
    const routing = { weights: { stripe: 1 } };
    const known = { ...well, routing, isTroubled: (name: string) => name === 'stripe' };
    expect(gatewaysInOrder(asked, 'pay_1', known)).toEqual(['razorpay', 'stripe']);
  });

  test('is never empty', () => {
    const routing = { weights: {}, failover: [] };
    expect(gatewaysInOrder(asked, 'pay_1', { ...well, routing, accounts: [] })).toHaveLength(1);
  });
});

describe('the desk of an ingress', async () => {
  const door = await openDoor('routing');
  const { stack, tenant } = door;
  const redis = producerClient(stack.redisUrl, 'routing test');
  await redisReady(redis);
  const vault = await openVault(stack.environment['TALLYRACE_SECRETS_KEY']!, null);
  const log = createLog('routing', 'silent');
  const desk = await openGatewayDesk({ redis, sql: stack.sql, vault, log });
  afterAll(async () => {
    await desk.stop();
    redis.disconnect();
  });

  test('follows accounts, rules and trouble', async () => {
    const account = { secret_key: 'sk_test_12345678', webhook_secret: 'whsec_12345678' };
    await door.call('PUT', '/v1/gateways/stripe', { body: account });
    await desk.refresh();
    expect(desk.gatewaysFor(tenant, asked, 'pay_1')).toEqual(['stripe']);
    await door.call('PUT', '/v1/gateways/razorpay', {
      body: {
        ...{ key_id: 'rzp_test_1234', key_secret: 'secret_1234', webhook_secret: 'hook_1234' },
        ...{ email: 'a@b.example', contact: '+919900000000' },
      },
    });
    const routing = { weights: { razorpay: 1 } };
    const put = await door.call('PUT', '/v1/gateway-routing', { body: routing });
    expect(put.status).toBe(200);
    await desk.refresh();
    expect(desk.gatewaysFor(tenant, asked, 'pay_1')).toEqual(['razorpay', 'stripe']);

    const teller = new TroubleTeller(redis, 'razorpay', 60_000);
    const orderWhen = async (told: () => void): Promise<readonly string[]> => {
      told();
      await desk.refresh();
      return desk.gatewaysFor(tenant, asked, 'pay_1');
    };
    const [well, troubled] = [
      ['razorpay', 'stripe'],
      ['stripe', 'razorpay'],
    ];
    expect(await orderWhen(() => teller.heldBack(String(tenant), true))).toEqual(troubled);
    expect(await orderWhen(() => teller.heldBack(String(tenant), false))).toEqual(well);
    // Another tenant's trouble is its own; everybody's is everybody's.
    expect(await orderWhen(() => teller.heldBack(String(tenant + 1), true))).toEqual(well);
    expect(await orderWhen(() => teller.heldBack(null, true))).toEqual(troubled);
    expect(await orderWhen(() => teller.heldBack(null, false))).toEqual(well);
    const slow = (of: number): void => {
      for (let call = 0; call < 5; call++) teller.took(String(of), 8);
    };
    expect(await orderWhen(() => slow(tenant + 1))).toEqual(well);
    expect(await orderWhen(() => slow(tenant))).toEqual(troubled);
  });
});
