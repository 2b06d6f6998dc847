// Ingest: each item of a request checked, encoded and appended; a result for every item, in order.
// Invariant: an item is `accepted` only when Redis has it; if Redis refuses any, the request fails
// whole and is retried with the same ids.
import { type EventDefinition, EventInput, type Topic, topics } from '../../schemas/events.ts';
import { eventDefinitions } from '../../schemas/index.ts';
import type { Clock } from '../io/clock.ts';
import type { Appender } from '../stream/append.ts';
import { encodeBody, encodeTuple } from '../stream/codec.ts';
import { PARTITIONS, partitionOf } from '../stream/topology.ts';
import { type Problem, problem, reusedId } from './problem.ts';
import { NEVER_SENT, Receipt, type RecentEvent, type RecentEvents } from './recent.ts';
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
  | { id: string | null; status: 'rejected'; problem: Problem; reuse?: Reuse };

/** An event under an id that another event has: what it was, and where the first one is. */
export interface Reuse {
  type: string;
  body: Uint8Array;
  first: RecentEvent;
}

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

/** The events of one request that go to one stream. */
interface Group {
  topic: Topic;
  partition: number;
  tuples: Uint8Array[];
  events: RecentEvent[];
}

/** An event with its position still to be told. */
interface Pending {
  result: { position: string };
  event: RecentEvent;
}

/** One request on its way: its items are read in order, then appended stream by stream. */
class Intake {
  readonly pending: Pending[] = [];
  private readonly groups = new Map<number, Group>();

  constructor(
    private readonly parts: IngestParts,
    private readonly sender: Sender,
    private readonly acceptedAt: number,
  ) {}

  read(item: unknown): ItemResult {
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
    const first = this.parts.recent.find(this.sender.tenant, id);
    if (first && first.fingerprint !== fingerprint)
      return { ...rejected(id, reusedId([])), reuse: { type, body, first } };
    const event = first ?? this.add(definition, { id, data }, body, fingerprint);
    const result = { id, status: first ? 'duplicate' : 'accepted', position: '' } as const;
    this.pending.push({ result, event });
    return result;
  }

  /** Resolves when Redis has every event, those that others sent before and wait for included. */
  async append(): Promise<void> {
    for (const { topic, partition, tuples, events } of this.groups.values()) {
      const appended = this.parts.appender.appendAll(topic, partition, tuples);
      const receipt = new Receipt(topic, partition, appended);
      for (const event of events) event.receipt = receipt;
    }
    const waiting = new Set<Promise<void>>();
    for (const { event } of this.pending)
      if (!event.receipt!.isSettled) waiting.add(event.receipt!.settled);
    await Promise.all(waiting);
    for (const { result, event } of this.pending)
      result.position = event.receipt!.position(event.index);
  }

  /** What was noted but never sent must not be taken for a first event by those to come. */
  abandon(): void {
    for (const { events } of this.groups.values())
      for (const event of events) event.receipt ??= NEVER_SENT;
  }

  private add(
    definition: EventDefinition,
    { id, data }: { id: string; data: Record<string, unknown> },
    body: Uint8Array,
    fingerprint: bigint,
  ): RecentEvent {
    const { sender, acceptedAt } = this;
    const { tenant, traceparent = null } = sender;
    const group = this.groupOf(definition.topic, partitionOf(tenant, definition.orderKey(data)));
    const event: RecentEvent = { fingerprint, receipt: null, index: group.tuples.length };
    group.tuples.push(encodeTuple(definition.type, { id, tenant, acceptedAt, traceparent }, body));
    group.events.push(event);
    this.parts.recent.add(tenant, id, event);
    return event;
  }

  private groupOf(topic: Topic, partition: number): Group {
    const stream = topics.indexOf(topic) * PARTITIONS + partition;
    let group = this.groups.get(stream);
    if (!group) {
      group = { topic, partition, tuples: [], events: [] };
      this.groups.set(stream, group);
    }
    return group;
  }
}

export class Ingest {
  constructor(private readonly parts: IngestParts) {}

  /** Reads without a pause, so that the events of one request share their stream entries. */
  async take(items: readonly unknown[], sender: Sender): Promise<ItemResult[]> {
    const intake = new Intake(this.parts, sender, this.parts.clock());
    try {
      const results = items.map((item) => intake.read(item));
      await intake.append();
      return results;
    } catch (error) {
      intake.abandon();
      throw error;
    }
  }
}

function rejected(id: string | null, refusal: Problem) {
  return { id, status: 'rejected', problem: refusal } as const;
}

/** The id is given back where it is one, so that a result can be matched to its item. */
function idOf(item: unknown): string | null {
  const id: unknown = item !== null && typeof item === 'object' && 'id' in item ? item.id : null;
  return typeof id === 'string' && /^[\x21-\x7e]{1,128}$/.test(id) ? id : null;
}
