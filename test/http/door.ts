// The door under test: an ingress inside the test process, on a free port, over a real stack.
import { afterAll } from 'bun:test';
import { readConfig } from '../../src/config.ts';
import type { Route } from '../../src/http/route.ts';
import { startIngress } from '../../src/ingress.ts';
import { createLog } from '../../src/io/log.ts';
import { startLedger } from '../coupons/ledger.ts';
import { type Stack, openStack } from '../stack.ts';
import type { TestTenant } from '../tenants.ts';

export interface DoorOptions {
  /** Settings other than the stack's. */
  env?: Record<string, string>;
  /** Runs a worker too, in this process. */
  ledger?: boolean;
}

export interface Door {
  stack: Stack;
  url: string;
  /** The tenant's key with every scope. */
  key: string;
  tenant: number;
  routes: readonly Route[];
  call(method: string, path: string, request?: Call): Promise<Reply>;
  /** A second ingress over the same stores. */
  openAnother(env?: Record<string, string>): Promise<Door>;
  stop(): Promise<void>;
}

export interface Call {
  /** Null: no key at all. */
  key?: string | null;
  /** Sent as JSON, unless it is a text, which is sent as it is. */
  body?: unknown;
  headers?: Record<string, string>;
}

export interface Reply {
  status: number;
  headers: Headers;
  text: string;
  body: Record<string, unknown>;
}

const stopLater: (() => Promise<void>)[] = [];

export async function openDoor(name: string, options: DoorOptions = {}): Promise<Door> {
  const { env = {}, ledger = false } = options;
  const stack = await openStack(name);
  // Asked for after the stack's own, and run before it: last opened, first closed.
  afterAll(async () => {
    await Promise.all(stopLater.splice(0).map((stop) => stop()));
  }, 30_000);
  const tenant = await stack.createTenant(name);
  if (ledger) {
    const running = await startLedger(stack);
    stopLater.push(() => running.stop());
  }
  return ingressDoor(stack, tenant, env);
}

async function ingressDoor(
  stack: Stack,
  tenant: TestTenant,
  env: Record<string, string>,
): Promise<Door> {
  // The callers share this thread: what they make wait is themselves.
  const patient = { QUEUE_WAIT_MS_MAX: '3600000' };
  const config = readConfig({ ...stack.environment, PORT: '0', ...patient, ...env });
  const ingress = await startIngress(config, createLog('ingress', 'fatal'), { reusePort: false });
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= ingress.stop());
  stopLater.push(stop);
  return {
    stack,
    url: ingress.url,
    key: tenant.key,
    tenant: tenant.id,
    routes: ingress.routes,
    call: (method, path, request = {}) => call(ingress.url + path, method, tenant.key, request),
    openAnother: (other = {}) => ingressDoor(stack, tenant, { ...env, ...other }),
    stop,
  };
}

async function call(url: string, method: string, ownKey: string, request: Call): Promise<Reply> {
  const { key = ownKey, body, headers = {} } = request;
  const response = await fetch(url, {
    method,
    redirect: 'manual',
    headers: {
      ...(key !== null && { Authorization: `Bearer ${key}` }),
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') ?? false;
  const parsed = isJson ? (JSON.parse(text) as Record<string, unknown>) : {};
  return { status: response.status, headers: response.headers, text, body: parsed };
}
