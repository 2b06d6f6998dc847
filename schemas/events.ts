// What an event is: a name, the domain that owns it, the topic it travels on, the key that orders
// it, and the shape of its data. The codec is compiled from `data`, in property order: append new
// optional properties at the end, never reorder (stored bodies are positional).
import { type Static, type TObject, Type } from '@sinclair/typebox';
import type { Domain } from './domains.ts';
import { ClientId, Time, closed } from './primitives.ts';

/** Streams are `{pNN}:<topic>`; each topic has its own partitions and consumer group. */
export const topics = ['events', 'coupons', 'payments', 'webhooks'] as const;
export type Topic = (typeof topics)[number];

export interface EventDefinition<S extends TObject = TObject> {
  type: string;
  domain: Domain;
  topic: Topic;
  /** `public`: clients may send it to POST /v1/events. `internal`: only our own code appends it. */
  origin: 'public' | 'internal';
  /** Events with one key are decided in the order they were accepted. */
  orderKey(data: Static<S>): string;
  data: S;
  /** At least one; the contract suite and the OpenAPI document use them. */
  examples: readonly [Static<S>, ...Static<S>[]];
}

export function defineEvent<S extends TObject>(definition: EventDefinition<S>): EventDefinition<S> {
  return definition;
}

/** The native JSON form of one event in POST /v1/events. `data` is checked against its type. */
export const EventInput = closed({
  id: ClientId,
  type: Type.String({ pattern: '^[a-z][a-z0-9_.]{2,63}$' }),
  time: Type.Optional(Time),
  data: Type.Object({}, { additionalProperties: true }),
});
export type EventInput = Static<typeof EventInput>;
