// Leases and progress of streams, as Postgres keeps them.
import type { Sql } from '../io/postgres.ts';
import { numberArray, textArray } from './columns.ts';

export interface StreamRow {
  stream: string;
  owner: string | null;
  epoch: string;
  settled: number;
  /** The live workers that take it. */
  takers: readonly string[];
}

export interface LeaseView {
  /** False when a newer process of our name has started: we are superseded. */
  current: boolean;
  /** Those that this worker takes. */
  streams: StreamRow[];
}

export interface LeaseStore {
  renew(starting: boolean): Promise<LeaseView>;
  /** Null when its owner is alive and takes it. */
  acquire(stream: string): Promise<{ epoch: string; settled: number } | null>;
  release(streams: readonly { name: string; epoch: string }[]): Promise<void>;
  /** Says that this worker is gone, so that others need not wait for its lease to run out. */
  leave(): Promise<void>;
}

export function leaseStore(
  sql: Sql,
  options: { worker: string; instance: string; leaseMs: number; streams: readonly string[] },
): LeaseStore {
  const { worker, instance, leaseMs } = options;
  const all = textArray(options.streams);
  return {
    async renew(starting) {
      const [row] = await sql`
        select * from lease_renew(${worker}, ${instance}, ${leaseMs}, ${starting},
          ${all}::text::text[])`;
      return {
        current: row!['current'] as boolean,
        streams: (row!['streams'] ?? []) as StreamRow[],
      };
    },
    async acquire(stream) {
      const [row] = await sql`select * from lease_acquire(${stream}, ${worker})`;
      return row ? { epoch: row['epoch'] as string, settled: Number(row['settled']) } : null;
    },
    async release(streams) {
      const names = textArray(streams.map(({ name }) => name));
      const epochs = numberArray(streams.map(({ epoch }) => epoch));
      await sql`select lease_release(${names}::text::text[], ${epochs}::text::bigint[])`;
    },
    async leave() {
      await sql`select worker_gone(${worker}, ${instance})`;
    },
  };
}
