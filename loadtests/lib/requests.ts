// One request each: tagged by its endpoint, judged by its status, counted when the server turned it
// away. The generator's CPU is the server's neighbour: what k6 counts by itself is not counted
// again, bodies are read only where something is looked up in them.
import { check } from 'k6';
import http, { type Params, type RefinedResponse, type ResponseType } from 'k6/http';
import { Counter } from 'k6/metrics';
import { type EndpointName, endpointNames, endpoints } from './endpoints.ts';
import { key, url } from './target.ts';
import { SHED_STATUSES } from './thresholds.ts';

export type Reply = RefinedResponse<ResponseType>;

/** Requests that were turned away in order. */
const shed = new Counter('shed');
const eventsAccepted = new Counter('events_accepted');

/** The ledger was later than the caller wanted to wait: accepted all the same. */
const ACCEPTED_NOT_SETTLED = 202;
const [LIMITED, FULL] = SHED_STATUSES;

export const headers = { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' };

/** Made once for each caller: most requests to an endpoint differ in nothing else. */
const plain = Object.fromEntries<Params>(
  endpointNames.map((name) => [name, { headers, tags: { name } }]),
) as Record<EndpointName, Params>;

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
  http.setResponseCallback(http.expectedStatuses({ min: 200, max: 399 }, LIMITED, FULL));
}

export function post(name: EndpointName, path: string, body: string, extras?: Extras): Reply {
  const reply = http.post(url + path, body, paramsOf(name, extras));
  if (wasAnswered(name, reply)) {
    if (extras?.events) eventsAccepted.add(extras.events);
  } else setback(name, reply);
  return reply;
}

export function get(name: EndpointName, path: string): Reply {
  const reply = http.get(url + path, plain[name]);
  if (!wasAnswered(name, reply)) setback(name, reply);
  return reply;
}

/** A read that may answer "not yet": the caller judges it. */
export function tryGet(name: EndpointName, path: string): Reply {
  const responseCallback = http.expectedStatuses(200, FULL);
  return http.get(url + path, { ...plain[name], responseCallback });
}

export function wasAnswered(name: EndpointName, { status }: Reply): boolean {
  if (status === endpoints[name].status) return true;
  return name === 'event_wait' && status === ACCEPTED_NOT_SETTLED;
}

/** Says whether an answer was right, beyond its status. */
export function expect(name: EndpointName, holds: boolean): void {
  check(holds, { [`${name}: the right answer`]: (right) => right });
}

function paramsOf(name: EndpointName, extras: Extras | undefined): Params {
  if (!extras?.headers && !extras?.readBody) return plain[name];
  return {
    headers: extras.headers ? { ...headers, ...extras.headers } : headers,
    tags: { name },
    responseType: extras.readBody ? 'text' : 'none',
  };
}

/** The first failure of each caller is told: enough to know what is wrong, and bounded. */
let told = false;

function setback(name: EndpointName, { status, error, error_code: code }: Reply): void {
  if (status === LIMITED || status === FULL) shed.add(1);
  else if (!told) {
    told = true;
    console.error(`${name} answered ${status}${error ? `: ${error} (${code})` : ''}`);
  }
}
