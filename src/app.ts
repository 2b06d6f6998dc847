// The Elysia app from its routes and parts; listens to nothing. Elysia finds the route and hands
// the request to its guard; reading and checking bodies is the guard's, so that the order of
// checks and the form of every refusal are ours.
// Invariant: what no route matches is a problem document too, 405 with Allow where the path exists.
import { Elysia } from 'elysia';
import { Guard, type GuardParts, responseOf } from './http/guard.ts';
import { isForBrowsers, preflight } from './http/origins.ts';
import { problem } from './http/problem.ts';
import { pathOf, requestIdOf } from './http/request.ts';
import type { Route } from './http/route.ts';

export interface AppOptions {
  /** Several processes share one port. False in tests, where a port in use must be an error. */
  reusePort: boolean;
}

/** Bun would answer 413 itself, and not as a problem. The guard refuses by Content-Length before
 * it reads, and counts chunked bodies as they come: no more than a route's limit is ever held. */
const REQUEST_BYTES_MAX = 2 ** 40;

export function createApp(routes: readonly Route[], parts: GuardParts, options: AppOptions) {
  const app = new Elysia({
    normalize: false,
    precompile: true,
    serve: {
      reusePort: options.reusePort,
      maxRequestBodySize: REQUEST_BYTES_MAX,
      idleTimeout: 60,
    },
  });
  for (const route of routes) {
    const guard = new Guard(route, parts);
    app.route(
      route.method,
      elysiaPath(route.path),
      // Not Elysia's `server`, which it defines anew on every request that names it.
      ({ request, params }) =>
        guard.serve({ request, params: params as Record<string, string>, server: app.server }),
      { parse: 'none' },
    );
    if (isForBrowsers(route)) app.options(elysiaPath(route.path), () => preflight(route.method));
  }
  const lost = lostMeter(parts);
  return app.onError(({ code, error, request }) => {
    const requestId = requestIdOf(request.headers);
    const outcome =
      code === 'NOT_FOUND' ? lostRequest(request, routes) : brokenRequest(error, requestId, parts);
    lost.record(outcome.status, 0, { requestId });
    return responseOf(outcome, requestId);
  });
}

/** Requests that match no route are counted together: paths are chosen by callers. */
function lostMeter({ recorder }: GuardParts) {
  return recorder.route('unmatched', 'operations');
}

function elysiaPath(path: string): string {
  return path.replace(/\{(\w+)\}/g, ':$1');
}

function lostRequest(request: Request, routes: readonly Route[]) {
  const pathname = pathOf(request.url);
  const allowed = routes.filter((route) => matches(route.path, pathname));
  if (allowed.length === 0) return problem(404, 'not_found', 'There is no route at this path.');
  const methods = [...new Set(allowed.map((route) => route.method))].join(', ');
  return problem(405, 'method_not_allowed', `This path takes ${methods}.`, {
    headers: { Allow: methods },
  });
}

function matches(path: string, pathname: string): boolean {
  const parts = path.split('/');
  const given = pathname.replace(/(.)\/$/, '$1').split('/');
  return (
    parts.length === given.length &&
    parts.every((part, index) => part.startsWith('{') || part === given[index])
  );
}

function brokenRequest(error: unknown, requestId: string, { log }: GuardParts) {
  log.error({ request_id: requestId, err: error }, 'request failed before its route');
  return problem(500, 'internal_error', 'It has been logged under the request id.');
}
