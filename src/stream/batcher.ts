// Assembles batches: whole entries, one from each stream in turn, until the batch is full. Under
// load batches are large; when little comes in, a batch is whatever is there, at once.
import type { BatchItem } from '../ledger/batch.ts';
import type { OwnedStream } from './owned-stream.ts';

export interface Batch {
  items: readonly BatchItem[];
  streams: ReadonlyMap<string, OwnedStream>;
}

/**
 * Takes up to about `eventsMax` events (the last entry may overshoot) and all given retries whose
 * stream is held. Null when there is nothing to do.
 */
export function nextBatch(
  owned: readonly OwnedStream[],
  retries: readonly BatchItem[],
  eventsMax: number,
): Batch | null {
  const streams = new Map(owned.map((stream) => [stream.name, stream]));
  const items = retries.filter((item) => streams.has(item.stream));
  let open = owned.filter((stream) => stream.recovered && stream.waitingEvents > 0);
  while (open.length > 0 && items.length < eventsMax) {
    for (const stream of open) {
      const next = stream.next();
      if (next) items.push(...next);
      if (items.length >= eventsMax) break;
    }
    open = open.filter((stream) => stream.waitingEvents > 0);
  }
  return items.length === 0 ? null : { items, streams };
}
