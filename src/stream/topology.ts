// Where things live in Redis: one hash tag per partition, so that everything one decision touches
// is in one slot. Names here are the only place where stream keys are spelled.
import { crc32 } from 'node:zlib';
import { type Topic, topics } from '../../schemas/events.ts';

export const PARTITIONS = 8;
export const GROUP = 'ledger';

/** A stream of a topic, named `<topic>.<partition>`: `events.3`. Positions are `<stream>.<offset>`. */
export interface StreamId {
  topic: Topic;
  partition: number;
}

/** CRC-32 (ISO-HDLC) of tenant and key: the same on every machine and in every version. */
export function partitionOf(tenant: number, key: string): number {
  return crc32(`${tenant}\n${key}`) % PARTITIONS;
}

export function hashTag(partition: number): string {
  return `{p${String(partition).padStart(2, '0')}}`;
}

export function streamKey(topic: Topic, partition: number): string {
  return `${hashTag(partition)}:${topic}`;
}

/** Counts the events ever appended to a stream; the last offset given out. */
export function offsetKey(topic: Topic, partition: number): string {
  return `${hashTag(partition)}:${topic}:offset`;
}

/** The last offset whose effects are committed, as announced by the worker that owns the stream. */
export function settledKey(topic: Topic, partition: number): string {
  return `${hashTag(partition)}:${topic}:settled`;
}

/** Stands while what is decided at the door of this partition knows all that the ledger knows. */
export function lifeKey(topic: Topic, partition: number): string {
  return `${hashTag(partition)}:${topic}:life`;
}

/** Pub/sub channel on which workers announce `<topic>.<partition>.<offset>` after each commit. */
export const SETTLED_CHANNEL = 'tallyrace:settled';

/** Of this process only: streams counted through, topic by topic. */
export function streamNumber(topic: Topic, partition: number): number {
  return topics.indexOf(topic) * PARTITIONS + partition;
}

export function streamName(topic: Topic, partition: number): string {
  return `${topic}.${partition}`;
}

export function formatPosition(topic: Topic, partition: number, offset: number): string {
  return `${topic}.${partition}.${offset}`;
}

export interface Position extends StreamId {
  offset: number;
}

/** Null when the text is not a position of this installation. */
export function parsePosition(text: string, topics: readonly string[]): Position | null {
  const match = /^([a-z]+)\.(\d{1,3})\.(\d{1,16})$/.exec(text);
  if (!match) return null;
  const [, topic, partition, offset] = match;
  if (!topics.includes(topic!) || Number(partition) >= PARTITIONS) return null;
  const value = Number(offset);
  return Number.isSafeInteger(value)
    ? { topic: topic as Topic, partition: Number(partition), offset: value }
    : null;
}
