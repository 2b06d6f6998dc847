// Payments from end to end: ingress, worker and effects processes over a sandbox of this test's
// own, and a tenant that has an account with both gateways.
import { afterAll } from 'bun:test';
import { Client, type Reply } from '../client.ts';
import { type World, sandboxWorld } from '../gateways/sandbox-world.ts';
import { eventually } from '../processes.ts';
import { type Stack, openStack } from '../stack.ts';

export interface PaymentView extends Record<string, unknown> {
  id: string;
  status: string;
  captured: number;
  refunded: number;
  decline_reason: string | null;
}

export type PaymentStack = Stack & {
  sandbox: World;
  client: Client;
  tenant: number;
  /** POST with an idempotency key of its own. */
  ask(path: string, body: object, headers?: Record<string, string>): Promise<Reply>;
  /** Gives the payment as soon as it is in that status. */
  becomes(id: string, status: string): Promise<PaymentView>;
  /** What its processes printed so far. */
  printed(): string;
  pids: readonly number[];
};

const accounts = {
  stripe: { secret_key: 'sk_test_payments', webhook_secret: 'whsec_payments' },
  razorpay: {
    ...{ key_id: 'rzp_test_payments', key_secret: 'payments', webhook_secret: 'whsec_payments' },
    ...{ email: 'payments@shop.example', contact: '+919900000000' },
  },
};

/** Call at the top of a test file. */
export async function openPayments(
  name: string,
  settings: Record<string, string> = {},
): Promise<PaymentStack> {
  const sandbox = await sandboxWorld();
  afterAll(() => sandbox.stop());
  const stack = await openStack(name);
  Object.assign(stack.environment, {
    STRIPE_URL: sandbox.urls.stripe,
    RAZORPAY_URL: sandbox.urls.razorpay,
    ...settings,
  });
  const tenant = await stack.createTenant(name);
  const processes = await Promise.all([
    stack.startIngress(),
    stack.startWorker(),
    stack.startEffects(),
  ]);
  const printed = () => processes.map((each) => each.output()).join('');
  const pids = processes.map(({ pid }) => pid);
  const client = new Client(processes[0].url, tenant.key);
  for (const [gateway, account] of Object.entries(accounts))
    await client.put(`/v1/gateways/${gateway}`, account);
  const ask: PaymentStack['ask'] = (path, body, headers = {}) =>
    client.post(path, body, { 'Idempotency-Key': Bun.randomUUIDv7(), ...headers });
  const becomes: PaymentStack['becomes'] = (id, status) =>
    eventually(`${id} is ${status}`, async () => {
      const { body } = await client.get<PaymentView>(`/v1/payments/${id}`);
      return body.status === status ? body : null;
    });
  return { ...stack, sandbox, client, tenant: tenant.id, ask, becomes, printed, pids };
}

export const card = (more: object = {}): object => ({
  amount: { amount: 4_999, currency: 'USD' },
  customer_id: 'c_1',
  method: { type: 'card', token: 'pm_card_visa' },
  ...more,
});
