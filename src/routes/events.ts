// Events: sent one at a time or up to 1,000 in a request, and their journey afterwards.
// Invariant: every item of a request gets a result, in order; nothing is dropped silently.
import { Type } from '@sinclair/typebox';
import type { Redis } from 'ioredis';
import { eventDefinitions } from '../../schemas/index.ts';
import { ClientId, Position, Time, closed } from '../../schemas/primitives.ts';
import { Amount } from '../../schemas/accounts.ts';
import {
  BATCHED,
  STRUCTURED,
  fromBinary,
  fromCloudEvent,
  isBinaryMode,
} from '../http/cloudevents.ts';
import { ITEMS_MAX, eventBodies } from '../http/event-bodies.ts';
import type { Ingest, ItemResult } from '../http/ingest.ts';
import { ProblemDocument } from '../http/openapi.ts';
import { PREFERENCE_APPLIED, type WaitLimits, ledgerWaitOf } from '../http/prefer.ts';
import { Problem, problem, problemBody } from '../http/problem.ts';
import type { RecentEvents } from '../http/recent.ts';
import { mediaTypeOf } from '../http/request.ts';
import { hasReuse, withDifferences } from '../http/reuse.ts';
import { type Context, type Outcome, type Route, defineRoute, json } from '../http/route.ts';
import { type SettledResult, settledResults } from '../http/settled.ts';
import type { Sql } from '../io/postgres.ts';
import { eventJourney, findPending } from '../store/journey.ts';
import type { Settlement } from '../stream/settlement.ts';

export interface EventParts {
  sql: Sql;
  redis: Redis;
  ingest: Ingest;
  recent: RecentEvents;
  settlement: Settlement;
  waits: WaitLimits;
  batchBytesMax: number;
}

const Result = closed({
  id: Type.Union([ClientId, Type.Null()]),
  status: Type.Union([
    Type.Literal('accepted'),
    Type.Literal('duplicate'),
    Type.Literal('rejected'),
  ]),
  position: Type.Optional(Position),
  problem: Type.Optional(ProblemDocument),
  outcome: Type.Optional(
    closed({
      verdict: Type.String({
        enum: ['posted', 'refused', 'deferred', 'dead', 'unknown'],
      }),
      reason: Type.Optional(Type.String()),
      transaction_id: Type.Optional(Type.String()),
    }),
  ),
});
const Results = closed({ results: Type.Array(Result) });

const Journey = closed({
  id: ClientId,
  type: Type.String(),
  status: Type.String({
    enum: ['accepted', 'posted', 'refused', 'deferred', 'dead', 'discarded'],
  }),
  reason: Type.Optional(Type.String()),
  position: Position,
  accepted_at: Time,
  posted_at: Type.Optional(Time),
  refused_at: Type.Optional(Time),
  died_at: Type.Optional(Time),
  retry_at: Type.Optional(Time),
  transaction_id: Type.Optional(Type.String()),
  entries: Type.Array(
    closed({
      account: Type.String(),
      sequence: Type.Integer(),
      amount: Amount,
      balance_after: Amount,
    }),
  ),
  conflicts: Type.Array(closed({ at: Time, fields: Type.Array(Type.String()) })),
});

const publicExamples = eventDefinitions
  .filter(({ origin }) => origin === 'public')
  .map(({ type, examples }) => ({ id: `example_${type}`, type, data: examples[0] }));

export function eventRoutes(parts: EventParts): Route[] {
  return [sendEvents(parts), getEvent(parts)];
}

function sendEvents(parts: EventParts): Route {
  return defineRoute({
    name: 'sendEvents',
    method: 'POST',
    path: '/v1/events',
    tag: 'events',
    summary: 'Send one event, or up to 1,000',
    description:
      'Native JSON, or CloudEvents (structured, batched or binary mode). A single event of the ' +
      'wrong shape is refused; in an array each item has its own result. Sending an event again ' +
      'under its id does nothing.',
    scope: 'events:write',
    limit: 'events',
    accepts: true,
    bodyCheckedByHandler: true,
    bodyBytesMax: parts.batchBytesMax,
    contentTypes: Object.keys(eventBodies),
    body: Type.Union(Object.values(eventBodies)),
    bodies: eventBodies,
    answers: {
      200: { description: 'Settled, with `Prefer: wait=ledger`.', schema: Results },
      202: { description: 'Redis has every event that is accepted.', schema: Results },
    },
    problems: [409],
    examples: [
      ...publicExamples.map((body) => ({ name: body.type, status: 202, body })),
      { name: 'a batch', status: 202, body: publicExamples },
    ],
    handler: (context) => send(parts, context),
  });
}

async function send(parts: EventParts, context: Context): Promise<Outcome> {
  const { tenant, traceparent, headers, body } = context;
  const items = itemsOf(headers, body);
  if (items instanceof Problem) return items;
  const taken = await parts.ingest.take(items, { tenant, traceparent });
  const results = hasReuse(taken) ? await withDifferences(parts, tenant, taken) : taken;
  const [first] = results;
  if (!Array.isArray(body) && first!.status === 'rejected') return first!.problem;
  const waitMs = ledgerWaitOf(headers, parts.waits);
  if (waitMs === null) return json(202, { results: results.map(shown) });
  const settled = await settledResults(parts, tenant, results, waitMs);
  return settled
    ? json(200, { results: settled.map(shown) }, PREFERENCE_APPLIED)
    : json(202, { results: results.map(shown) });
}

/** The request's events in native form, whatever form they came in. */
function itemsOf(headers: Headers, body: unknown): readonly unknown[] | Problem {
  if (isBinaryMode(headers)) return [fromBinary(headers, body)];
  const mediaType = mediaTypeOf(headers);
  if (mediaType === STRUCTURED) return [fromCloudEvent(body)];
  if (!Array.isArray(body)) return mediaType === BATCHED ? notABatch() : [body];
  if (body.length === 0 || body.length > ITEMS_MAX) return notABatch();
  return mediaType === BATCHED ? body.map(fromCloudEvent) : body;
}

function notABatch(): Problem {
  return problem(422, 'invalid_request', `Send an array of 1 to ${ITEMS_MAX} events.`, {
    errors: [{ pointer: '', detail: `Expected an array of 1 to ${ITEMS_MAX} events.` }],
  });
}

function shown(result: ItemResult | SettledResult): object {
  if (result.status !== 'rejected') return result;
  const { id, status } = result;
  return { id, status, problem: problemBody(result.problem) };
}

function getEvent({ sql, redis, recent }: EventParts): Route {
  return defineRoute({
    name: 'getEvent',
    method: 'GET',
    path: '/v1/events/{id}',
    tag: 'events',
    summary: 'The journey of an event',
    scope: ['events:write', 'balances:read'],
    limit: 'requests',
    params: closed({ id: ClientId }),
    answers: { 200: { description: 'Where it is and what it did.', schema: Journey } },
    problems: [404],
    examples: [
      { name: 'accepted', status: 200, params: { id: publicExamples[0]!.id } },
      { name: 'unknown', status: 404, params: { id: 'nobody_sent_this' } },
    ],
    async handler({ tenant, params: { id } }) {
      // Known to this process and not yet answered by Redis: then it is not accepted yet.
      await recent.find(tenant, id)?.receipt.settled?.catch(() => {});
      const journey =
        (await eventJourney(sql, tenant, id)) ?? (await findPending(redis, tenant, id));
      // Between the two looks the event may have been settled.
      const found = journey ?? (await eventJourney(sql, tenant, id));
      return found ? json(200, found) : problem(404, 'not_found', 'No such event.');
    },
  });
}
