// Ingest: each item of a request checked, encoded and appended; a result for every item, in order.
// Invariant: an item is `accepted` only when Redis has it; if Redis refuses any, the request fails
// whole and is retried with the same ids.
import { type EventDefinition, EventInput, type Topic } from '../../schemas/events.ts';
import { eventDefinitions } from '../../schemas/index.ts';
import type { Clock } from '../io/clock.ts';
import type { Appender } from '../stream/append.ts';
import { writeBody, writeHeader } from '../stream/codec.ts';
import { PackWriter } from '../stream/pack.ts';
import { partitionOf, streamNumber } from '../stream/topology.ts';
import { type Problem, problem, reusedId } from './problem.ts';
import { Receipt, type RecentEvent, type RecentEvents } from './recent.ts';
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

interface ItemAccepted {
  id: string;
  status: 'accepted' | 'duplicate';
  position: string;
}

export type ItemResult =
  ItemAccepted | { id: string | null; status: 'rejected'; problem: Problem; reuse?: Reuse };

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
  events: number;
  writer: PackWriter;
  receipt: Receipt;
}

/** A result whose position is still to be told. */
interface Pending {
  result: { position: string };
  event: RecentEvent;
}

const WRITER_BYTES_KEPT = 256 * 1024;

/** Those that no request is writing to. */
const writers: PackWriter[] = [];

/** One request on its way: its items are read in order, then appended stream by stream. */
class Intake {
  private readonly pending: Pending[] = [];
  private readonly groups = new Map<number, Group>();

  constructor(
    private readonly parts: IngestParts,
    private readonly sender: Sender,
    private readonly acceptedAt: number,
  ) {}

  read(item: unknown): ItemResult {
    if (!envelope.fits(item)) return rejected(idOf(item), envelope.refusal(item));
    const { id, type, data } = item as EventInput;
    const sort = sorts.get(type);
    if (!sort) return rejected(id, problem(422, 'unknown_event_type', 'See /docs for the types.'));
    const { definition, shape, seed } = sort;
    if (!shape.fits(data)) return rejected(id, shape.refusal(data));
    const { tenant } = this.sender;
    const group = this.groupOf(definition.topic, partitionOf(tenant, definition.orderKey(data)));
    const start = group.writer.length;
    const body = this.write(group.writer, definition, item as EventInput);
    const fingerprint = Bun.hash(body, seed) as bigint;
    const isTooLarge = body.byteLength > EVENT_BYTES_MAX;
    const first = isTooLarge ? undefined : this.parts.recent.find(tenant, id);
    if (!first && !isTooLarge) return this.accept(group, id, fingerprint);
    // What is not to be appended is taken back; its body is kept where it is evidence.
    const reused = first && first.fingerprint !== fingerprint ? Buffer.from(body) : null;
    group.writer.rewind(start);
    if (!first)
      return rejected(id, problem(413, 'event_too_large', `At most ${EVENT_BYTES_MAX} bytes.`));
    if (reused) return { ...rejected(id, reusedId([])), reuse: { type, body: reused, first } };
    return this.told({ id, status: 'duplicate', position: '' }, first);
  }

  /** What was noted but never sent must not be taken for a first event by those to come. */
  abandon(): void {
    for (const { receipt } of this.groups.values()) receipt.refused(new Error('never sent'));
  }

  send(): void {
    for (const { topic, partition, events, writer, receipt } of this.groups.values()) {
      const bytes = Buffer.from(writer.from(0));
      writer.rewind(0);
      if (writer.capacity <= WRITER_BYTES_KEPT) writers.push(writer);
      if (events > 0) this.parts.appender.appendAll(topic, partition, events, bytes, receipt);
    }
  }

  /** Resolves when Redis has every event, those that others sent before and wait for included. */
  async settled(): Promise<void> {
    for (const { result, event } of this.pending) {
      const settled = event.receipt.settled;
      // Streams are answered together: the first wait is nearly always the only one.
      if (settled !== null) await settled;
      result.position = event.receipt.position(event.index);
    }
  }

  /** Header and body; gives a view of the body. */
  private write(
    writer: PackWriter,
    definition: EventDefinition,
    { id, time, data }: EventInput,
  ): Buffer {
    const { tenant, traceparent = null } = this.sender;
    writeHeader(writer, definition.type, { id, tenant, acceptedAt: this.acceptedAt, traceparent });
    const start = writer.length;
    writeBody(writer, definition, data, time);
    return writer.from(start);
  }

  private accept(group: Group, id: string, fingerprint: bigint): ItemResult {
    const event = { fingerprint, receipt: group.receipt, index: group.events++ };
    this.parts.recent.add(this.sender.tenant, id, event);
    return this.told({ id, status: 'accepted', position: '' }, event);
  }

  private told(result: ItemAccepted, event: RecentEvent): ItemAccepted {
    this.pending.push({ result, event });
    return result;
  }

  private groupOf(topic: Topic, partition: number): Group {
    const stream = streamNumber(topic, partition);
    let group = this.groups.get(stream);
    if (!group) {
      const writer = writers.pop() ?? new PackWriter();
      group = { topic, partition, events: 0, writer, receipt: new Receipt(topic, partition) };
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
    const results: ItemResult[] = [];
    try {
      for (const item of items) results.push(intake.read(item));
    } catch (error) {
      intake.abandon();
      throw error;
    }
    intake.send();
    await intake.settled();
    return results;
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
