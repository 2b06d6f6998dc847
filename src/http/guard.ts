// What every request runs through, in this order: id, trace, admission, key, scope, limits, size,
// type, JSON, shape, limits by user, idempotency, handler. Cheap refusals come first.
// Invariant: whatever happens, the caller gets a problem document or what the handler said.
import type { Key, Keys } from '../cache/keys.ts';
import type { Log } from '../io/log.ts';
import type { Admission, Work } from './admission.ts';
import { Readings, cutOff, jsonOf, refusedLength, tooSlow } from './body.ts';
import { type ContextParts, type Incoming, RequestContext } from './context.ts';
import { type Idempotency, fingerprintOf, idempotencyKeyOf, onceOf } from './idempotency.ts';
import { type Plan, type Standing, limitHeaders } from './limits.ts';
import { ORIGIN_HEADERS, isForBrowsers } from './origins.ts';
import { outageOf } from './outages.ts';
import { Problem, problem, problemBody, unavailable } from './problem.ts';
import { pathOf, queryOf, refusedType, requestIdOf } from './request.ts';
import { type Recorder, type RouteMeter, idsOf } from './recorder.ts';
import { Answer, type Outcome, type Route } from './route.ts';
import { type Shape, shapeOf } from './shape.ts';

export interface GuardParts extends ContextParts {
  keys: Keys;
  idempotency: Idempotency;
  admission: Admission;
  recorder: Recorder;
  log: Log;
  /** For routes that do not name their own. */
  bodyBytesMax: number;
}

const HANDLER_DEADLINE_MS = 10_000;
const JSON_ONLY: readonly string[] = ['application/json'];

export class Guard {
  private readonly body: Shape | undefined;
  private readonly params: Shape | undefined;
  private readonly query: Shape | undefined;
  private readonly scopes: readonly string[];
  private readonly bodyBytesMax: number;
  private readonly contentTypes: readonly string[];
  private readonly work: Work;
  /** What is polled or read by people is answered whatever the load. */
  private readonly mayBeRefused: boolean;
  private readonly rawBody: boolean;
  private readonly forBrowsers: boolean;
  private readonly meter: RouteMeter;
  private readonly readings: Readings<RequestContext>;

  constructor(
    private readonly route: Route,
    private readonly parts: GuardParts,
  ) {
    this.body = shapeOf(route.body);
    this.params = shapeOf(route.params, '/params');
    this.query = shapeOf(route.query, '/query');
    this.scopes = route.scope === null ? [] : [route.scope].flat();
    this.bodyBytesMax = route.bodyBytesMax ?? parts.bodyBytesMax;
    this.contentTypes = route.contentTypes ?? JSON_ONLY;
    this.forBrowsers = isForBrowsers(route);
    this.work = workOf(route);
    this.mayBeRefused = route.scope !== null || route.accepts === true;
    this.rawBody = route.rawBody === true;
    this.meter = parts.recorder.route(route.name, route.tag);
    this.readings = new Readings(parts.admission.bodyBytes, (context) => {
      this.answer(context, tooSlow());
    });
  }

  /** One promise and one async function for the whole way: each more would cost every request as
   * much as all of the checks. */
  serve(incoming: Incoming): Promise<Response> {
    const { admission } = this.parts;
    const refusal = this.mayBeRefused ? admission.refusal(this.work) : null;
    if (refusal) return this.turnAway(refusal, incoming.request.headers);
    const { promise, resolve } = Promise.withResolvers<Response>();
    const context = new RequestContext(incoming, this.parts, resolve);
    admission.enter(this.work);
    void this.run(context);
    return promise;
  }

  /** Nothing of the request is looked at but its id. */
  private async turnAway(refusal: Problem, headers: Headers): Promise<Response> {
    const requestId = requestIdOf(headers);
    await this.parts.admission.hold(headers);
    this.meter.refuse(refusal.status, { requestId });
    const response = this.shareable(responseOf(refusal, requestId), headers);
    if (this.parts.admission.draining) response.headers.set('Connection', 'close');
    return response;
  }

  private async run(context: RequestContext): Promise<void> {
    const { route, work } = this;
    let outcome: Outcome | Promise<Outcome> | null = null;
    try {
      let plan: Plan | null = null;
      if (route.scope !== null) {
        const found = this.parts.keys.find(bearerOf(context.headers), context);
        const refusal = this.admit(found instanceof Promise ? await found : found, context);
        if (refusal) return this.answer(context, refusal);
        plan = this.planFor(context.key);
        const limited = plan && plan.early.length > 0 && (await context.take(plan, plan.early));
        if (limited) return this.answer(context, limited);
      }
      const unreadable = this.readHead(context);
      if (unreadable) return this.answer(context, unreadable);
      const unwelcome = route.refusesUnread && (await route.refusesUnread(context as never));
      if (unwelcome) return this.answer(context, unwelcome);
      if (this.body) {
        const sent = await this.readings.begin(context, this.bodyBytesMax, this.rawBody);
        this.readings.end(context);
        // Given up meanwhile, and answered: what comes late is not carried out.
        if (context.isAnswered) return;
        const wrong = sent instanceof Problem ? sent : this.readBody(sent, context);
        if (wrong) return this.answer(context, wrong);
      }
      const wrong = this.readAddress(context);
      if (wrong) return this.answer(context, wrong);
      if (plan && plan.late.length > 0) {
        const limited = await context.take(plan, plan.late, route.limitUser?.(context.body));
        if (limited) return this.answer(context, limited);
      }
      outcome = this.carryOut(context);
      if (!(outcome instanceof Promise)) return this.answer(context, outcome);
      // Clients of stores that append have deadlines of their own; a timer each would cost them.
      this.answer(context, await (work === 'append' ? outcome : beforeDeadline(outcome)));
    } catch (error) {
      this.readings.end(context);
      this.answer(context, this.refusalOf(error, context));
    } finally {
      if (work === 'read') this.parts.admission.leaveRead(outcome);
    }
  }

  private carryOut(context: RequestContext): Outcome | Promise<Outcome> {
    const { route } = this;
    if (route.idempotent && !route.keepsAnswers) return this.runOnce(context);
    return route.handler(context as never);
  }

  /** What the headers say, before a byte of the body is read. */
  private readHead(context: RequestContext): Problem | null {
    const { headers } = context;
    if (this.route.idempotent) {
      const given = idempotencyKeyOf(headers);
      if (typeof given !== 'string') return given;
      context.idempotencyKey = given;
    }
    if (!this.body) return null;
    return refusedLength(headers, this.bodyBytesMax) ?? refusedType(headers, this.contentTypes);
  }

  private admit(key: Key | null, context: RequestContext): Problem | null {
    if (!key) return this.strangerRefusal(context);
    context.key = key;
    context.tenant = key.tenant;
    const { scopes } = this;
    if (key.publishable && !this.forBrowsers)
      return problem(403, 'scope_missing', 'A publishable key may check coupons, nothing else.');
    for (let index = 0; index < scopes.length; index++)
      if (key.scopes.has(scopes[index]!)) return null;
    return problem(403, 'scope_missing', `The key needs the scope ${scopes.join(' or ')}.`);
  }

  private strangerRefusal(context: RequestContext): Problem {
    const waitMs = this.parts.keys.waitMs(context);
    if (waitMs > 0)
      return problem(429, 'rate_limited', 'Too many unknown keys were sent from this address.', {
        headers: { 'Retry-After': String(Math.ceil(waitMs / 1_000)) },
      });
    return problem(401, 'unauthenticated', 'Send Authorization: Bearer with a valid key.', {
      headers: { 'WWW-Authenticate': 'Bearer' },
    });
  }

  /** Publishable keys live in browsers: everything they may do has one policy, by IP. */
  private planFor(key: Key): Plan | null {
    const policy = key.publishable ? 'public_checks' : this.route.limit;
    return policy === 'none' ? null : this.parts.limiter.plan(policy, key);
  }

  private readBody(sent: string | Uint8Array, context: RequestContext): Problem | null {
    if (typeof sent !== 'string') {
      context.body = sent;
      return null;
    }
    const said = jsonOf(sent);
    if (said instanceof Problem) return said;
    context.body = said.json;
    if (this.route.bodyCheckedByHandler) return null;
    return this.body!.fits(context.body) ? null : this.body!.refusal(context.body);
  }

  private readAddress(context: RequestContext): Problem | null {
    if (this.params) {
      const params = this.params.convert(context.params as Record<string, string>);
      if (!this.params.fits(params)) return this.params.refusal(params);
      context.params = params;
    }
    if (this.query) {
      const texts = queryOf(context.request.url);
      if (texts instanceof Problem) return texts;
      const query = this.query.convert(texts);
      if (!this.query.fits(query)) return this.query.refusal(query);
      context.query = query;
    }
    return null;
  }

  private runOnce(context: RequestContext): Promise<Outcome> {
    const { tenant, idempotencyKey, request } = context;
    const fingerprint = fingerprintOf(pathOf(request.url), context.body);
    const once = onceOf(tenant, this.route.name, idempotencyKey, fingerprint);
    return this.parts.idempotency.run(once, async (id) => {
      context.onceId = id;
      return this.route.handler(context as never);
    });
  }

  private refusalOf(error: unknown, context: RequestContext): Problem {
    if (error instanceof Problem) return error;
    const cut = cutOff(error);
    if (cut) return cut;
    const { log } = this.parts;
    const facts = { ...idsOf(context), route: this.route.name, err: error };
    const outage = outageOf(error);
    if (!outage) log.error(facts, 'request failed');
    else if (this.meter.mayLogFailure()) log.warn(facts, 'a store is away');
    return outage ?? problem(500, 'internal_error', 'It has been logged under the request id.');
  }

  /** Answers once: a request whose body was given up may still come to an end. */
  private answer(context: RequestContext, outcome: Outcome): void {
    if (context.isAnswered) return;
    const { requestId, standing, headers } = context;
    const response = this.shareable(responseOf(outcome, requestId, standing), headers);
    if (this.parts.admission.draining) response.headers.set('Connection', 'close');
    context.isAnswered = true;
    this.meter.record(response.status, performance.now() - context.startedAt, context);
    this.parts.admission.leave();
    context.resolve(response);
  }

  /** With the headers that let a page of another origin read it, where it may. */
  private shareable(response: Response, headers: Headers): Response {
    if (this.forBrowsers && headers.has('origin'))
      for (const [name, value] of Object.entries(ORIGIN_HEADERS)) response.headers.set(name, value);
    return response;
  }
}

/** Whatever a store does, a read or a setting is answered; a repeat of either does no harm. */
async function beforeDeadline(outcome: Promise<Outcome>): Promise<Outcome> {
  const { promise: late, resolve } = Promise.withResolvers<Outcome>();
  const timer = setTimeout(() => {
    resolve(unavailable('store_unavailable', 'A store did not answer in time.'));
  }, HANDLER_DEADLINE_MS);
  try {
    return await Promise.race([outcome, late]);
  } finally {
    clearTimeout(timer);
  }
}

function workOf(route: Route): Work {
  if (route.accepts) return 'append';
  return route.scope === null || isForBrowsers(route) ? 'memory' : 'read';
}

function bearerOf(headers: Headers): string {
  const given = headers.get('authorization');
  if (given === null) return '';
  if (given.startsWith('Bearer tr_')) return given.slice(7);
  return /^bearer +/i.test(given) ? given.replace(/^bearer +/i, '') : '';
}

export function responseOf(
  outcome: Outcome,
  requestId: string,
  standing: Standing | null = null,
): Response {
  if (outcome instanceof Response) {
    outcome.headers.set('X-Request-Id', requestId);
    return outcome;
  }
  const isProblem = outcome instanceof Problem;
  const headers: Record<string, string> = {
    'Content-Type': isProblem ? 'application/problem+json' : 'application/json',
    'X-Request-Id': requestId,
  };
  if (standing) limitHeaders(standing, headers);
  if (outcome.headers) Object.assign(headers, outcome.headers);
  const body = isProblem ? problemBody(outcome, requestId) : (outcome satisfies Answer).body;
  return new Response(JSON.stringify(body), { status: outcome.status, headers });
}
