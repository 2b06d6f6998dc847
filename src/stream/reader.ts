// Reads streams through the consumer group and turns entries into batch items. Entries that a dead
// worker, or a lost reply, left pending are claimed before anything new is read, so that order
// holds.
// Invariant: an entry is in memory at most once, and the entries of a stream in offset order.
import type { BatchItem } from '../ledger/batch.ts';
import { eventKey, fingerprint } from '../ledger/identity.ts';
import { decodeEntry } from './codec.ts';
import type { OwnedStream, PendingEntry } from './owned-stream.ts';
import type { StreamEntry, StreamStore } from './ports.ts';

/** Takes every pending entry of the group for this consumer; the lease says they are ours. */
export async function claimPending(
  store: StreamStore,
  stream: OwnedStream,
): Promise<{ claimed: number; deleted: number }> {
  let cursor: string | null = null;
  let claimed = 0;
  let deleted = 0;
  do {
    const page = await store.claim(stream, cursor);
    cursor = page.cursor;
    claimed += stream.take(page.entries.map((entry) => parseEntry(stream, entry)));
    deleted += page.deleted;
  } while (cursor !== null);
  return { claimed, deleted };
}

/** Reads new entries of all streams; gives what came. Blocks up to `blockMs` when none is there. */
export async function readNew(
  store: StreamStore,
  streams: readonly OwnedStream[],
  options: { count: number; blockMs: number },
): Promise<{ entries: number; events: number }> {
  const reply = await store.readNew(streams, options);
  const taken = { entries: 0, events: 0 };
  for (const [index, raw] of reply.entries()) {
    const stream = streams[index]!;
    const entries = raw.map((entry) => parseEntry(stream, entry));
    taken.entries += stream.take(entries);
    taken.events += entries.reduce((sum, entry) => sum + entry.items.length, 0);
  }
  return taken;
}

function parseEntry(stream: OwnedStream, { id, first, count, blob }: StreamEntry): PendingEntry {
  // Somebody else's XADD: it was never accepted, so it is acknowledged and counted, not recorded.
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(count) || count < 1)
    return { id, first: 0, count: 0, items: [], unsettled: 0 };
  const items = itemsOf(stream, first, count, blob);
  return { id, first, count, items, unsettled: items.length };
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
