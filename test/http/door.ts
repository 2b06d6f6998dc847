// The door under test: an ingress inside the test process, on a free port, over a real stack.
import { afterAll } from 'bun:test';
import { readConfig } from '../../src/config.ts';
import type { Route } from '../../src/http/route.ts';
import { startIngress } from '../../src/ingress.ts';
import { createLog } from '../../src/io/log.ts';
import { type Stack, openStack } from '../stack.ts';

export interface Door {
  stack: Stack;
  url: string;
  /** The tenant's key with every scope. */
  key: string;
  tenant: number;
  routes: readonly Route[];
  call(method: string, path: string, request?: Call): Promise<Reply>;
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

export async function openDoor(name: string, env: Record<string, string> = {}): Promise<Door> {
  const stack = await openStack(name);
  const tenant = await stack.createTenant(name);
  const config = readConfig({ ...stack.environment, PORT: '0', ...env });
  const ingress = await startIngress(config, createLog('ingress', 'fatal'), { reusePort: false });
  // Runs before the stack's own, which was asked for earlier: last opened, first closed.
  afterAll(() => ingress.stop(), 30_000);
  const { url } = ingress;
  return {
    stack,
    url,
    key: tenant.key,
    tenant: tenant.id,
    routes: ingress.routes,
    call: (method, path, request = {}) => call(url + path, method, tenant.key, request),
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
