// One request each: tagged by its endpoint, judged by its status, counted as shed when the server
// turned it away. One check a request: more would cost the generator.
import { check } from 'k6';
import http, { type RefinedResponse, type ResponseType } from 'k6/http';
import { Counter, Rate } from 'k6/metrics';
import { type EndpointName, endpoints } from './endpoints.ts';
import { key, url } from './target.ts';
import { SHED_STATUSES } from './thresholds.ts';

export type Reply = RefinedResponse<ResponseType>;

/** The share of requests that were turned away in order. */
const shed = new Rate('shed');
const eventsAccepted = new Counter('events_accepted');

/** The ledger was later than the caller wanted to wait: accepted all the same. */
const ACCEPTED_NOT_SETTLED = 202;

const headers = { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' };

/** What a request may have beside its endpoint and body. */
export interface Extras {
  headers?: Record<string, string>;
  /** Reads the answer: k6 throws bodies away otherwise. */
  readBody?: boolean;
  /** How many events an accepted answer stands for. */
  events?: number;
}

/** For runs past the capacity: a 429 or 503 is then an answer as planned. Call it while starting. */
export function allowShedding(): void {
  http.setResponseCallback(http.expectedStatuses({ min: 200, max: 399 }, ...SHED_STATUSES));
}

export function post(name: EndpointName, path: string, body: string, extras: Extras = {}): Reply {
  return judged(name, http.post(url + path, body, paramsOf(name, extras)), extras);
}

export function get(name: EndpointName, path: string, extras: Extras = {}): Reply {
  return judged(name, http.get(url + path, paramsOf(name, extras)), extras);
}

/** A read that may answer "not yet": the caller judges it. */
export function tryGet(name: EndpointName, path: string): Reply {
  const expected = { responseCallback: http.expectedStatuses(200, 503) };
  return http.get(url + path, { ...paramsOf(name, {}), ...expected });
}

export const wasAnswered = (name: EndpointName, { status }: Reply): boolean =>
  status === endpoints[name].status || (name === 'event_wait' && status === ACCEPTED_NOT_SETTLED);

/** Says that an answer was not what it should be, beyond its status. */
export function expect(name: EndpointName, holds: boolean): void {
  check(null, { [`${name}: the right answer`]: () => holds });
}

function paramsOf(name: EndpointName, { headers: more, readBody }: Extras) {
  return {
    headers: more ? { ...headers, ...more } : headers,
    tags: { name },
    responseType: readBody ? ('text' as const) : ('none' as const),
  };
}

function judged(name: EndpointName, reply: Reply, { events = 0 }: Extras): Reply {
  const wasShed = SHED_STATUSES.some((status) => status === reply.status);
  shed.add(wasShed, { name });
  if (wasShed) return reply;
  const answered = wasAnswered(name, reply);
  if (!answered) tellOnce(name, reply);
  check(reply, { [`${name}: the right status`]: () => answered });
  if (answered && events > 0) eventsAccepted.add(events);
  return reply;
}

/** The first failure of each caller: enough to know what is wrong, and bounded. */
let told = false;

function tellOnce(name: EndpointName, { status, error, error_code: code }: Reply): void {
  if (told) return;
  told = true;
  console.error(`${name} answered ${status}${error ? `: ${error} (${code})` : ''}`);
}
