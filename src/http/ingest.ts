// Ingest: each item of a request checked, encoded and appended; a result for every item, in order.
// Invariant: an item is `accepted` only when Redis has it; if Redis refuses any, the request fails
// whole and is retried with the same ids.
import { type EventDefinition, EventInput } from '../../schemas/events.ts';
import { eventDefinitions } from '../../schemas/index.ts';
import type { Clock } from '../io/clock.ts';
import type { Appender } from '../stream/append.ts';
import { encodeBody, encodeTuple } from '../stream/codec.ts';
import { formatPosition, partitionOf } from '../stream/topology.ts';
import { type Problem, problem } from './problem.ts';
import type { RecentEvents } from './recent.ts';
import { Shape } from './shape.ts';

export const EVENT_BYTES_MAX = 32 * 1024;

export interface IngestParts {
  appender: Appender;
  recent: RecentEvents;
  clock: Clock;
}

export interface Sender {
  tenant: number;
  traceparent: string | undefined;
}

export type ItemResult =
  | { id: string; status: 'accepted' | 'duplicate'; position: string }
  | { id: string | null; status: 'rejected'; problem: Problem };

const envelope = new Shape(EventInput);

interface Sort {
  definition: EventDefinition;
  shape: Shape;
  /** Sets the fingerprints of one type apart from those of another. */
  seed: bigint;
}

const sorts = new Map<string, Sort>(
  eventDefinitions
    .filter((definition) => definition.origin === 'public')
    .map((definition) => [
      definition.type,
      {
        definition,
        shape: new Shape(definition.data, '/data'),
        seed: Bun.hash(definition.type) as bigint,
      },
    ]),
);

export class Ingest {
  constructor(private readonly parts: IngestParts) {}

  /** Never waits between items, so that the items of one request share their stream entries. */
  take(items: readonly unknown[], sender: Sender): Promise<ItemResult[]> {
    const acceptedAt = this.parts.clock();
    return Promise.all(items.map((item) => this.takeOne(item, sender, acceptedAt)));
  }

  private takeOne(
    item: unknown,
    sender: Sender,
    acceptedAt: number,
  ): ItemResult | Promise<ItemResult> {
    if (!envelope.fits(item)) return rejected(idOf(item), envelope.refusal(item));
    const { id, type, time, data } = item as EventInput;
    const sort = sorts.get(type);
    if (!sort) return rejected(id, problem(422, 'unknown_event_type', 'See /docs for the types.'));
    const { definition, shape, seed } = sort;
    if (!shape.fits(data)) return rejected(id, shape.refusal(data));
    const body = encodeBody(definition, data, time);
    if (body.byteLength > EVENT_BYTES_MAX)
      return rejected(id, problem(413, 'event_too_large', `At most ${EVENT_BYTES_MAX} bytes.`));
    const fingerprint = Bun.hash(body, seed) as bigint;
    const first = this.parts.recent.find(sender.tenant, id);
    if (first) return repeated(id, first.fingerprint === fingerprint, first.position);
    const position = this.append(definition, sender, { id, acceptedAt, data }, body);
    this.parts.recent.add(sender.tenant, id, fingerprint, position);
    return position.then((known) => ({ id, status: 'accepted', position: known }));
  }

  private async append(
    definition: EventDefinition,
    { tenant, traceparent }: Sender,
    event: { id: string; acceptedAt: number; data: Record<string, unknown> },
    body: Uint8Array,
  ): Promise<string> {
    const { topic, type } = definition;
    const { id, acceptedAt } = event;
    const partition = partitionOf(tenant, definition.orderKey(event.data));
    const tuple = encodeTuple(
      type,
      { id, tenant, acceptedAt, traceparent: traceparent ?? null },
      body,
    );
    const offset = await this.parts.appender.append(topic, partition, tuple);
    return formatPosition(topic, partition, offset);
  }
}

function rejected(id: string | null, refusal: Problem): ItemResult {
  return { id, status: 'rejected', problem: refusal };
}

function repeated(
  id: string,
  sameBody: boolean,
  position: string | Promise<string>,
): ItemResult | Promise<ItemResult> {
  if (!sameBody)
    return rejected(id, problem(409, 'event_id_reused', 'The first event with this id stands.'));
  if (typeof position === 'string') return { id, status: 'duplicate', position };
  return position.then((known) => ({ id, status: 'duplicate', position: known }));
}

/** The id is given back where it is one, so that a result can be matched to its item. */
function idOf(item: unknown): string | null {
  const id: unknown = item !== null && typeof item === 'object' && 'id' in item ? item.id : null;
  return typeof id === 'string' && /^[\x21-\x7e]{1,128}$/.test(id) ? id : null;
}
