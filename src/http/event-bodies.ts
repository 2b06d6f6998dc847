// What POST /v1/events takes, content type by content type, for the API document: each public type
// with its own data. The ingest checks the same item by item.
// Invariant: what fits is accepted, unless its id was another event's.
import { type TSchema, Type } from '@sinclair/typebox';
import type { EventDefinition } from '../../schemas/events.ts';
import { eventDefinitions } from '../../schemas/index.ts';
import { ClientId, Time, closed, nullable } from '../../schemas/primitives.ts';
import { BATCHED, STRUCTURED } from './cloudevents.ts';

export const ITEMS_MAX = 1_000;

/** RFC 3339 with whatever offset, as CloudEvents allows. */
const OffsetTime = Type.String({
  pattern: Time.pattern!.replace(/Z\$$/, '(?:Z|[+-](?:0\\d|1[0-3]):[0-5]\\d)$'),
  description: 'RFC 3339.',
  examples: ['2026-01-31T12:00:00+02:00'],
});

function native({ type, data }: EventDefinition): TSchema {
  return closed({ id: ClientId, type: Type.Literal(type), time: Type.Optional(Time), data });
}

/** Extension attributes are allowed and, but for `traceparent`, ignored. */
function cloudEvent({ type, data }: EventDefinition): TSchema {
  return Type.Object(
    {
      specversion: Type.Literal('1.0'),
      id: ClientId,
      source: Type.String({
        minLength: 1,
        description: 'Not part of the identity: an id is of one event of a tenant.',
      }),
      type: Type.Literal(type),
      time: Type.Optional(nullable(OffsetTime)),
      datacontenttype: Type.Optional(Type.Literal('application/json')),
      subject: Type.Optional(nullable(Type.String())),
      data,
    },
    { additionalProperties: true, description: 'CloudEvents 1.0, JSON format.' },
  );
}

const sendable = eventDefinitions.filter(({ origin }) => origin === 'public');
const Native = Type.Union(sendable.map(native));
const Cloud = Type.Union(sendable.map(cloudEvent));

function listOf(item: TSchema): TSchema {
  return Type.Array(item, {
    minItems: 1,
    maxItems: ITEMS_MAX,
    description: 'Each item has its own result; one of the wrong shape fails by itself.',
  });
}

export const eventBodies = {
  'application/json': Type.Union([Native, listOf(Native)]),
  [STRUCTURED]: Cloud,
  [BATCHED]: listOf(Cloud),
} as const satisfies Record<string, TSchema>;
