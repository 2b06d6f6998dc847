// What a route is: a description, used both to serve it and to print /openapi.json. A domain's
// route file exports one function from its parts to a list of these.
// Invariant: a handler runs only after key, scope, limits, size, type and shape were checked.
import type { Static, TObject, TSchema } from '@sinclair/typebox';
import type { Key } from '../cache/keys.ts';
import type { PolicyName } from './policies.ts';
import type { Problem } from './problem.ts';

export const scopes = [
  'coupons:check',
  'coupons:redeem',
  'coupons:write',
  'events:write',
  'payments:write',
  'balances:read',
  'partners:write',
  'finance:approve',
  'admin',
] as const;
export type Scope = (typeof scopes)[number];

export interface Context<Body = unknown, Params = unknown, Query = unknown> {
  tenant: number;
  key: Key;
  requestId: string;
  /** A valid W3C traceparent, else undefined. */
  traceparent: string | undefined;
  body: Body;
  params: Params;
  query: Query;
  ip: string;
  /** Of an idempotent route; else empty. */
  idempotencyKey: string;
  /** Of an idempotent route: a UUIDv7, the same for every run under the key; else empty. */
  onceId: string;
  /** Aborted when the client goes away. */
  signal: AbortSignal;
  headers: Headers;
  /** Takes from a further limit, e.g. unknown codes; throws a 429 problem when it is used up. With
   * `among`, whether it does so does not depend on `points`: see Cost in limits.ts. */
  spend(policy: PolicyName, points?: number, among?: number): Promise<void>;
}

export type AnswerHeaders = Readonly<Record<string, string>>;

/** Plain data, so that an idempotent replay can store it; the guard makes the Response. */
export class Answer {
  constructor(
    readonly status: number,
    readonly body: unknown,
    readonly headers: AnswerHeaders | undefined,
  ) {}
}

export function json(status: number, body: unknown, headers?: AnswerHeaders): Answer {
  return new Answer(status, body, headers);
}

/** A Response is passed through (pages, metrics); all of the API is an Answer or a Problem. */
export type Outcome = Answer | Problem | Response;

export interface RouteExample<Body = unknown, Params = unknown, Query = unknown> {
  name: string;
  /** What the example is answered with, on a fresh tenant, after the examples before it. */
  status: number;
  params?: Params;
  query?: Partial<Query>;
  body?: Body;
  headers?: Readonly<Record<string, string>>;
}

export interface RouteAnswer {
  description: string;
  /** Left out for an answer that is not JSON. */
  schema?: TSchema;
  contentType?: string;
}

export interface Route<
  Body extends TSchema = TSchema,
  Params extends TObject = TObject,
  Query extends TObject = TObject,
> {
  /** operationId of the document and `route` label of the metrics: lower camel case. */
  name: string;
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** As in OpenAPI: `/v1/coupons/{code}`. */
  path: string;
  /** The group in the document, usually the domain. */
  tag: string;
  summary: string;
  description?: string;
  /** Null: open to everybody, or the handler finds out who it is. Several: any one of them is
   * enough. `admin` is not implied. */
  scope: Scope | readonly Scope[] | null;
  /** See policies.ts; publishable keys fall under `public_checks` wherever they may go. */
  limit: PolicyName | 'none';
  /** Whose `user` quota a money command takes from. */
  limitUser?(body: Static<Body>): string | undefined;
  /** It appends to a stream: refused while Redis is away or the backlog is over its limit. */
  accepts?: boolean;
  /** A money command: Idempotency-Key is required, and the first answer is replayed. */
  idempotent?: boolean;
  /** The handler keeps its answers itself, in the step that has the effect. */
  keepsAnswers?: boolean;
  params?: Params;
  query?: Query;
  body?: Body;
  /** The schema is for the document only; the handler checks item by item. */
  bodyCheckedByHandler?: boolean;
  /** Of a route without a key: who is refused before a byte of the body is read, so that strangers
   * take no room from others. Of the context, the body, the query and the key are not there yet. */
  refusesUnread?(context: Context<never, Static<Params>, never>): Promise<Problem | null>;
  /** The handler is given the bytes, which a signature is over, and reads them itself. */
  rawBody?: boolean;
  /** By content type, for the document, where they are not the same. */
  bodies?: Readonly<Record<string, TSchema>>;
  /** Default: BODY_BYTES_MAX, 32 KiB. */
  bodyBytesMax?: number;
  /** Default application/json. */
  contentTypes?: readonly string[];
  answers: Readonly<Record<number, RouteAnswer>>;
  /** Statuses of problems beyond those that every route has, for the document. */
  problems?: readonly number[];
  examples: readonly RouteExample<Static<Body>, Static<Params>, Static<Query>>[];
  handler(
    context: Context<Static<Body>, Static<Params>, Static<Query>>,
  ): Outcome | Promise<Outcome>;
}

/** Ties the types of schemas and handler together, then forgets them. */
export function defineRoute<
  Body extends TSchema = TSchema,
  Params extends TObject = TObject,
  Query extends TObject = TObject,
>(route: Route<Body, Params, Query>): Route {
  return route as unknown as Route;
}
