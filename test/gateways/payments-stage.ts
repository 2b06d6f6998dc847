// Payments before both gateways of a sandbox: a tenant with an account at each, a ledger, and what
// its payments and the sandbox's books say.
import type { EventDefinition } from '../../schemas/events.ts';
import { PaymentInitiated } from '../../schemas/payments-events.ts';
import { type GatewayName, gatewayNames } from '../../schemas/payments.ts';
import type { Charge } from '../../src/gateways/sandbox/objects.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { putAccount, razorpayChange, stripeChange } from '../../src/store/gateway-accounts.ts';
import { openVault } from '../../src/store/secrets.ts';
import { Appender } from '../../src/stream/append.ts';
import { encodeEvent } from '../../src/stream/codec.ts';
import { partitionOf } from '../../src/stream/topology.ts';
import { startLedger } from '../coupons/ledger.ts';
import { eventually } from '../processes.ts';
import { type Stack, openStack } from '../stack.ts';
import { type World, sandboxWorld } from './sandbox-world.ts';

export interface PaymentRow {
  status: string;
  attempt: number;
  captured: number;
  refunds: Record<string, { status: string }>;
}

const stripe = stripeChange({ secret_key: 'sk_test_stage', webhook_secret: 'whsec_of_stage' });
const razorpay = razorpayChange({
  ...{ key_id: 'rzp_test_stage', key_secret: 'of_stage', webhook_secret: 'of_stage' },
  ...{ email: 'payments@shop.example', contact: '+919900000000' },
});

/** Whoever starts more stops it before `close`; the stack closes itself. */
export async function openPayments(name: string) {
  const sandbox = await sandboxWorld();
  const stack = await openStack(name);
  const { id: tenant } = await stack.createTenant(name);
  const vault = await openVault(stack.environment['TALLYRACE_SECRETS_KEY']!, null);
  const target = { tenant, actor: 'test' };
  await putAccount(stack.sql, vault, { ...target, name: 'stripe' }, stripe);
  await putAccount(stack.sql, vault, { ...target, name: 'razorpay' }, razorpay);
  const redis = producerClient(stack.redisUrl, name);
  await redisReady(redis);
  const appender = new Appender(redis, { bytesWaitingMax: 1e8, entryEventsMax: 1_000 });
  const ledger = await startLedger(stack);
  return {
    ...{ sandbox, stack, tenant, vault, redis, appender },
    ...asking(appender, tenant),
    ...reading(stack),
    ...counting(sandbox, stack, tenant),
    set: (settings: object) => sandbox.control('PATCH', '/settings', settings),
    async close(): Promise<void> {
      await ledger.stop();
      redis.disconnect();
      await sandbox.stop();
    },
  };
}

function asking(appender: Appender, tenant: number) {
  async function send(
    definition: EventDefinition,
    id: string,
    data: object,
    acceptedAt = Date.now(),
  ): Promise<void> {
    const header = { tenant, id, acceptedAt, traceparent: null };
    const orderKey = definition.orderKey(data as Record<string, unknown>);
    const tuple = encodeEvent(definition, { ...header, data });
    await appender.append(definition.topic, partitionOf(tenant, orderKey), tuple);
  }

  return {
    send,
    async initiate(
      gateways: readonly GatewayName[],
      token = 'pm_card_visa',
      more: object = {},
      acceptedAt = Date.now(),
    ) {
      const id = `pay_${Bun.randomUUIDv7()}`;
      const data = {
        payment_id: id,
        amount: { amount: 4_999, currency: 'INR' },
        customer_id: 'c_1',
        method: { type: 'card', token },
        capture: 'automatic',
        gateways,
        risk: { score: 1, decision: 'allow' },
        actor: 'test',
        initiated_at: new Date().toISOString(),
        ...more,
      };
      await send(PaymentInitiated, id, data, acceptedAt);
      return id;
    },
  };
}

function reading({ owner }: Stack) {
  async function payment(id: string): Promise<PaymentRow | null> {
    const [row] = await owner`select body from payments where id = ${id.slice(4)}`;
    return (row?.['body'] as PaymentRow | undefined) ?? null;
  }

  return {
    payment,
    async becomes(id: string, status: string, withinMs = 30_000): Promise<PaymentRow> {
      const is = async (): Promise<boolean> => (await payment(id))?.status === status;
      await eventually(`${id} is ${status}`, is, withinMs);
      return (await payment(id))!;
    },
  };
}

function counting(sandbox: World, { owner }: Stack, tenant: number) {
  return {
    /** What the buyer was charged, by both gateways. */
    async taken(id: string): Promise<number[]> {
      const charges = await Promise.all(
        gatewayNames.map((gateway) =>
          sandbox.control<Charge[]>('GET', `/objects/${gateway}/charge?payment_id=${id}`),
        ),
      );
      return charges.flat().flatMap(({ captured }) => (captured > 0 ? [captured] : []));
    },
    /** What a gateway owes, by its settlement file and by the books. */
    async owed(gateway: GatewayName): Promise<{ bySandbox: number; byBooks: number }> {
      const lines = (await sandbox.settlement()).filter((line) => line.gateway === gateway);
      const bySandbox = lines.reduce((sum, { net }) => sum + Number(net), 0);
      const [row] = await owner`
        select balance::text from balances
        where tenant_id = ${tenant} and account = ${`gateway:${gateway}:clearing`}
          and unit = 'INR'`;
      return { bySandbox, byBooks: 0 - Number(row?.['balance'] ?? 0) };
    },
  };
}
