// A client that never gives up: it sends batches of events until each has been acknowledged, as a
// careful game server does, and remembers what was acknowledged and where. After a lost answer it
// sends the same ids again, so that what is lost or doubled is the product's doing.
import type { AcceptedEvent, SentEvent } from './auditor.ts';

interface ItemResult {
  id: string;
  status: 'accepted' | 'duplicate' | 'rejected';
  position?: string;
  problem?: { code: string };
}

export interface LoadClientOptions {
  urls: readonly string[];
  key: string;
  /** Requests in flight. */
  concurrency: number;
  batchEvents: number;
}

export interface LoadTally {
  /** In the form the auditor takes; one for each acknowledgement, so an id may come twice. */
  accepted: AcceptedEvent[];
  duplicates: number;
  /** By problem code. */
  rejected: Record<string, number>;
  /** Requests that had to be sent again. */
  retries: number;
}

const RETRY_PAUSE_MS = 50;
const GIVE_UP_MS = 90_000;
const ANSWER_WITHIN_MS = 10_000;

export function sendAll(
  events: readonly SentEvent[],
  options: LoadClientOptions,
): Promise<LoadTally> {
  return startLoad(events, options).done;
}

/** The tally grows while the load runs; `done` gives it at the end. */
export function startLoad(
  events: readonly SentEvent[],
  options: LoadClientOptions,
): { tally: LoadTally; done: Promise<LoadTally> } {
  const tally: LoadTally = { accepted: [], duplicates: 0, rejected: {}, retries: 0 };
  const batches: SentEvent[][] = [];
  for (let from = 0; from < events.length; from += options.batchEvents)
    batches.push(events.slice(from, from + options.batchEvents));
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < batches.length) {
      const index = next++;
      const url = options.urls[index % options.urls.length]!;
      record(batches[index]!, await sendUntilAnswered(batches[index]!, url, options, tally), tally);
    }
  };
  const lanes = Promise.all(Array.from({ length: options.concurrency }, lane));
  return { tally, done: lanes.then(() => tally) };
}

async function sendUntilAnswered(
  batch: readonly SentEvent[],
  url: string,
  { key }: LoadClientOptions,
  tally: LoadTally,
): Promise<ItemResult[]> {
  const deadline = Date.now() + GIVE_UP_MS;
  for (;;) {
    const answer = await send(batch, url, key).catch((error: unknown) => {
      if (error instanceof UnexpectedAnswer) throw error;
      return null;
    });
    if (answer) return answer;
    tally.retries++;
    if (Date.now() > deadline) throw new Error(`no answer from ${url} within ${GIVE_UP_MS} ms`);
    await Bun.sleep(RETRY_PAUSE_MS);
  }
}

/** Null when it may be sent again. */
async function send(
  batch: readonly SentEvent[],
  url: string,
  key: string,
): Promise<ItemResult[] | null> {
  const answer = await fetch(`${url}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(batch),
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  });
  if (answer.status === 202) return ((await answer.json()) as { results: ItemResult[] }).results;
  const text = await answer.text();
  if (answer.status === 503 || answer.status === 429) return null;
  throw new UnexpectedAnswer(`${answer.status} ${text}`);
}

export class UnexpectedAnswer extends Error {}

function record(
  batch: readonly SentEvent[],
  results: readonly ItemResult[],
  tally: LoadTally,
): void {
  results.forEach(({ status, position, problem }, index) => {
    if (status === 'rejected') {
      const code = problem?.code ?? 'unnamed';
      tally.rejected[code] = (tally.rejected[code] ?? 0) + 1;
    } else {
      if (status === 'duplicate') tally.duplicates++;
      tally.accepted.push({ ...batch[index]!, position: position! });
    }
  });
}
