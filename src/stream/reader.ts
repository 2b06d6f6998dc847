// Reads streams through the consumer group and turns entries into batch items. Entries that a dead
// worker, or a lost reply, left pending are claimed before anything new is read, so that order
// holds.
// Invariant: an entry is in memory at most once, and the entries of a stream in offset order.
import type { Redis } from 'ioredis';
import type { BatchItem } from '../ledger/batch.ts';
import { eventKey, fingerprint } from '../ledger/identity.ts';
import { decodeEntry } from './codec.ts';
import { GROUP, streamKey } from './topology.ts';
import type { OwnedStream, PendingEntry } from './owned-stream.ts';

type RawEntry = [id: Buffer, fields: Buffer[] | null];
type RawStream = [key: Buffer, entries: RawEntry[]];

const CLAIM_COUNT = 200;

export async function ensureGroup(redis: Redis, stream: OwnedStream): Promise<void> {
  const key = streamKey(stream.topic, stream.partition);
  try {
    await redis.xgroup('CREATE', key, GROUP, '0', 'MKSTREAM');
  } catch (error) {
    if (!String(error).includes('BUSYGROUP')) throw error;
  }
}

/** Takes every pending entry of the group for this consumer; the lease says they are ours. */
export async function claimPending(
  redis: Redis,
  stream: OwnedStream,
  consumer: string,
): Promise<{ claimed: number; deleted: number }> {
  const key = streamKey(stream.topic, stream.partition);
  let cursor = '0-0';
  let claimed = 0;
  let deleted = 0;
  do {
    const reply = (await redis.callBuffer(
      'XAUTOCLAIM',
      key,
      GROUP,
      consumer,
      '0',
      cursor,
      'COUNT',
      String(CLAIM_COUNT),
    )) as [Buffer, RawEntry[], Buffer[] | undefined];
    cursor = reply[0].toString();
    claimed += stream.take(reply[1].map((entry) => parseEntry(stream, entry)));
    deleted += reply[2]?.length ?? 0;
  } while (cursor !== '0-0');
  return { claimed, deleted };
}

/** Reads new entries of all streams; gives what came. Blocks up to `blockMs` when none is there. */
export async function readNew(
  redis: Redis,
  streams: readonly OwnedStream[],
  consumer: string,
  options: { count: number; blockMs: number },
): Promise<{ entries: number; events: number }> {
  const keys = streams.map((stream) => streamKey(stream.topic, stream.partition));
  const reply = (await redis.callBuffer(
    'XREADGROUP',
    'GROUP',
    GROUP,
    consumer,
    'COUNT',
    String(options.count),
    'BLOCK',
    String(options.blockMs),
    'STREAMS',
    ...keys,
    ...keys.map(() => '>'),
  )) as RawStream[] | null;
  const taken = { entries: 0, events: 0 };
  for (const [key, raw] of reply ?? []) {
    const stream = streams[keys.indexOf(key.toString())]!;
    const entries = raw.map((entry) => parseEntry(stream, entry));
    taken.entries += stream.take(entries);
    taken.events += entries.reduce((sum, entry) => sum + entry.items.length, 0);
  }
  return taken;
}

function parseEntry(stream: OwnedStream, [id, fields]: RawEntry): PendingEntry {
  const named = new Map<string, Buffer>();
  for (let index = 0; fields && index < fields.length; index += 2)
    named.set(fields[index]!.toString(), fields[index + 1]!);
  const first = Number(named.get('o')?.toString() ?? NaN);
  const count = Number(named.get('n')?.toString() ?? NaN);
  const entryId = id.toString();
  // Somebody else's XADD: it was never accepted, so it is acknowledged and counted, not recorded.
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(count) || count < 1)
    return { id: entryId, first: 0, count: 0, items: [], unsettled: 0 };
  const items = itemsOf(stream, first, count, named.get('b') ?? Buffer.alloc(0));
  return { id: entryId, first, count, items, unsettled: items.length };
}

/** An entry whose events do not decode, or are not as many as it says, is one broken item. */
function itemsOf(stream: OwnedStream, first: number, count: number, blob: Buffer): BatchItem[] {
  const decoded = decodeEntry(blob);
  if (decoded.length !== count)
    return [
      brokenEntry(stream, first, count, blob, `holds ${decoded.length} events, not ${count}`),
    ];
  return decoded.map((event, index): BatchItem => {
    const offset = first + index;
    if ('error' in event && event.id === '')
      return brokenEntry(stream, offset, 1, event.body, event.error);
    const { tenant, id, type, acceptedAt, body } = event;
    const broken = 'error' in event ? { reason: 'undecodable', detail: event.error } : null;
    return {
      stream: stream.name,
      offset,
      events: 1,
      key: broken ? placeKey(stream, offset) : eventKey(tenant, id),
      fingerprint: fingerprint(type, body),
      attempts: 0,
      event: { tenant, id, type, acceptedAt, data: 'data' in event ? event.data : null },
      definition: 'definition' in event ? event.definition : null,
      traceparent: 'traceparent' in event ? event.traceparent : null,
      body,
      broken,
    };
  });
}

function brokenEntry(
  stream: OwnedStream,
  offset: number,
  events: number,
  blob: Buffer,
  detail: string,
): BatchItem {
  const id = `${stream.name}.${offset}`;
  return {
    stream: stream.name,
    offset,
    events,
    key: placeKey(stream, offset),
    fingerprint: '0',
    attempts: 0,
    event: { tenant: 0, id, type: '', acceptedAt: 0, data: null },
    definition: null,
    traceparent: null,
    body: Buffer.from(blob),
    broken: { reason: 'undecodable', detail },
  };
}

/** What cannot be decoded is known by its place: its id is not to be trusted. */
function placeKey(stream: OwnedStream, offset: number): string {
  return eventKey(0, `${stream.name}.${offset}`);
}
