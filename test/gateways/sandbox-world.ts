// A sandbox for a test, the official clients on it, and somebody who takes its webhooks.
import Razorpay from 'razorpay';
import Stripe from 'stripe';
import { startSandbox } from '../../src/gateways/sandbox/sandbox.ts';
import type { SettlementRow } from '../../src/gateways/sandbox/settlement-file.ts';
import { createLog } from '../../src/io/log.ts';
import { parse } from 'csv-parse/sync';

export const SECRET = 'whsec_of_this_test';

export interface Received {
  headers: Headers;
  body: string;
}

export type World = Awaited<ReturnType<typeof sandboxWorld>>;

export async function sandboxWorld(path = ':memory:') {
  const sandbox = await startSandbox({ port: 0, path, log: createLog('test', 'silent') });
  const { urls } = sandbox;
  return {
    ...sandbox,
    stripe: stripeClient(urls.stripe),
    razorpay: razorpayClient(urls.razorpay),
    async control<T>(method: string, route: string, body?: object): Promise<T> {
      const response = await fetch(`${urls.control}${route}`, {
        method,
        ...(body ? { body: JSON.stringify(body) } : {}),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${response.status} ${text}`);
      return JSON.parse(text) as T;
    },
    async settlement(): Promise<SettlementRow[]> {
      const response = await fetch(`${urls.control}/settlement.csv`);
      return parse(await response.text(), { columns: true });
    },
  };
}

export function stripeClient(url: string): Stripe {
  const { hostname, port } = new URL(url);
  return new Stripe('sk_test_sandbox', {
    host: hostname,
    port: Number(port),
    protocol: 'http',
    maxNetworkRetries: 0,
    telemetry: false,
  });
}

/** The client has no option for the host, so its own axios is told. */
export function razorpayClient(url: string): Razorpay {
  const client = new Razorpay({ key_id: 'rzp_test_sandbox', key_secret: 'sandbox' });
  const { api } = client as unknown as { api: { rq: { defaults: { baseURL: string } } } };
  api.rq.defaults.baseURL = url;
  return client;
}

/** Takes webhooks; answers with `status()`. */
export function listener(status: () => number = () => 200) {
  const received: Received[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    reusePort: false,
    async fetch(request) {
      received.push({ headers: request.headers, body: await request.text() });
      return new Response(null, { status: status() });
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}/hook`,
    received,
    stop: () => server.stop(true),
  };
}

export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = Date.now() + 10_000;
  while (!(await holds())) {
    if (Date.now() > endMs) throw new Error('it did not come to be');
    await Bun.sleep(5);
  }
}

/** What a promise rejects with. */
export async function refusal(promise: Promise<unknown>): Promise<Record<string, unknown>> {
  try {
    await promise;
  } catch (error) {
    return error as Record<string, unknown>;
  }
  throw new Error('it was not refused');
}
