// Calls from browsers, which publishable keys are made for: any origin may ask, since a key is sent
// by the page itself and never by the browser on its own (no cookies).
// Invariant: only routes that a publishable key may use answer other origins.
import type { Route } from './route.ts';

export function isForBrowsers(route: Route): boolean {
  return route.scope !== null && [route.scope].flat().includes('coupons:check');
}

export const ORIGIN_HEADERS = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Expose-Headers': 'X-Request-Id, RateLimit-Policy, RateLimit, Retry-After',
} as const;

/** The answer to a browser that asks first. */
export function preflight(method: string): Response {
  return new Response(null, {
    status: 204,
    headers: {
      'Access-Control-Allow-Origin': '*',
      'Access-Control-Allow-Methods': method,
      'Access-Control-Allow-Headers': 'authorization, content-type, traceparent, x-request-id',
      'Access-Control-Max-Age': '86400',
    },
  });
}
