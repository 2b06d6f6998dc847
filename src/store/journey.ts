// The journey of one event: accepted, then posted, refused, dead or deferred, with times and
// entries.
import type { Redis } from 'ioredis';
import { topics } from '../../schemas/events.ts';
import type { Sql } from '../io/postgres.ts';
import { eventKey } from '../ledger/identity.ts';
import { decodeEntry } from '../stream/codec.ts';
import {
  PARTITIONS,
  formatPosition,
  parsePosition,
  settledKey,
  streamKey,
} from '../stream/topology.ts';
import { transactionId } from './accounts.ts';

export interface JourneyEntry {
  account: string;
  sequence: number;
  amount: { amount: number; currency: string };
  balance_after: { amount: number; currency: string };
}

export interface Journey {
  id: string;
  type: string;
  status: 'accepted' | 'posted' | 'refused' | 'deferred' | 'dead' | 'discarded';
  reason?: string;
  position: string;
  accepted_at: string;
  posted_at?: string;
  refused_at?: string;
  died_at?: string;
  retry_at?: string;
  transaction_id?: string;
  entries: JourneyEntry[];
  /** Later events under this id with another body, and the fields that differed. */
  conflicts: { at: string; fields: string[] }[];
}

interface Place {
  type: string;
  reason: string;
  stream: string;
  offset: number;
  accepted_at: string;
}
type OutcomeJson = Place & { verdict: 1 | 2; posted_at: string };
type DeadJson = Place & { status: 'dead' | 'retried' | 'discarded'; died_at: string };
type DeferredJson = Place & { retry_at: string };
type EntryJson = {
  account: string;
  unit: string;
  amount: number;
  sequence: number;
  balance_after: number;
};

/** Null when nothing in Postgres knows the event: it is unknown, or still on its stream. */
export async function eventJourney(sql: Sql, tenant: number, id: string): Promise<Journey | null> {
  const key = eventKey(tenant, id);
  const [row] = await sql`select * from event_journey(${tenant}, ${key}::text::uuid)`;
  const conflicts = ((row!['conflicts'] ?? []) as { at: string; fields: string[] }[]).map(
    ({ at, fields }) => ({ at: instant(at), fields }),
  );
  const outcome = row!['outcome'] as OutcomeJson | null;
  if (outcome) {
    const posted = outcome.verdict === 1;
    return {
      ...placed(id, outcome),
      status: posted ? 'posted' : 'refused',
      ...(posted
        ? { posted_at: instant(outcome.posted_at), transaction_id: transactionId(key) }
        : { reason: outcome.reason, refused_at: instant(outcome.posted_at) }),
      entries: ((row!['entries'] ?? []) as EntryJson[]).map(entryOf),
      conflicts,
    };
  }
  const [deferred] = (row!['deferred'] ?? []) as DeferredJson[];
  if (deferred) {
    const { reason, retry_at } = deferred;
    const when = { reason, retry_at: instant(retry_at) };
    return { ...placed(id, deferred), status: 'deferred', ...when, entries: [], conflicts };
  }
  const dead = ((row!['dead'] ?? []) as DeadJson[]).at(-1);
  if (!dead) return null;
  const status = dead.status === 'discarded' ? 'discarded' : 'dead';
  const when = { reason: dead.reason, died_at: instant(dead.died_at) };
  return { ...placed(id, dead), status, ...when, entries: [], conflicts };
}

const ENTRIES_MAX = 2_000;

/**
 * Looks for an event among those that the ledger has not settled, newest first, at most 2,000
 * stream entries of each stream: how an accepted event is told from one that never came.
 */
export async function findPending(
  redis: Redis,
  tenant: number,
  id: string,
): Promise<Journey | null> {
  const wanted = Buffer.from(id);
  for (const topic of topics)
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const settled = Number((await redis.get(settledKey(topic, partition))) ?? 0);
      const entries = await redis.xrevrangeBuffer(
        streamKey(topic, partition),
        '+',
        '-',
        'COUNT',
        ENTRIES_MAX,
      );
      for (const [, fields] of entries) {
        const first = Number(fields[1]);
        const blob = fields[5];
        if (!blob || first + Number(fields[3]) <= settled) break;
        if (!blob.includes(wanted)) continue;
        const events = decodeEntry(blob);
        const index = events.findIndex((event) => event.tenant === tenant && event.id === id);
        const event = events[index];
        if (!event) continue;
        const position = formatPosition(topic, partition, first + index);
        const accepted_at = new Date(event.acceptedAt).toISOString();
        const { type } = event;
        return { id, type, status: 'accepted', position, accepted_at, entries: [], conflicts: [] };
      }
    }
  return null;
}

function placed(
  id: string,
  place: Place,
): Pick<Journey, 'id' | 'type' | 'position' | 'accepted_at'> {
  const stream = parsePosition(`${place.stream}.0`, topics)!;
  const position = formatPosition(stream.topic, stream.partition, place.offset);
  return { id, type: place.type, position, accepted_at: instant(place.accepted_at) };
}

function entryOf({ account, unit, amount, sequence, balance_after }: EntryJson): JourneyEntry {
  return {
    account,
    sequence,
    amount: { amount, currency: unit },
    balance_after: { amount: balance_after, currency: unit },
  };
}

/** Postgres prints its zone as +00:00; the contract says Z. */
function instant(text: string): string {
  return new Date(text).toISOString();
}
