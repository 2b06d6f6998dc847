// A variant: our own tables and our own write with one thing changed.
// Invariant: a change that does not fit our SQL is never measured as if it were one.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from '../../src/io/postgres.ts';
import { writeBatch } from '../../src/store/writer.ts';
import type { Backend } from './backend.ts';
import type { DecidedBatch } from './decided.ts';

export interface Variant {
  name: string;
  /** Run by the owner in a fresh copy of the migrated database. */
  schema?: string;
  /** Pieces of sql/queries/ledger.sql and what stands in their place. */
  replace?: readonly (readonly [string | RegExp, string])[];
  settings?: Record<string, string>;
  batchEvents?: number;
  /** Run by a superuser before each turn, and not counted. */
  beforeTurn?: string;
  /** Another statement than our writer's. */
  write?: (backend: Backend, batch: DecidedBatch) => Promise<unknown>;
}

export const BATCH_EVENTS = 2_000;

const LEDGER = readFileSync(join(import.meta.dir, '../../sql/queries/ledger.sql'), 'utf8');

/** Our SQL has moved on, and the variant has not. */
export class DoesNotFit extends Error {}

/** All that a fresh copy of the database needs to become the variant's. */
export function schemaOf({ name, schema = '', replace = [] }: Variant): string {
  if (replace.length === 0) return schema;
  let changed = LEDGER;
  for (const [piece, other] of replace) {
    const before = changed;
    changed = changed.replace(piece, () => other);
    if (changed === before) throw new DoesNotFit(`${name}: ledger.sql has no ${piece}`);
  }
  return `${schema};\n${changed}`;
}

export function writeOf({ write }: Variant) {
  return (
    write ?? (({ sql }: Backend, { plan, steps }: DecidedBatch) => writeBatch(sql, plan, steps))
  );
}

export interface Call {
  statement: string;
  parameters: string[];
}

/** Our writer's own statement and columns, changed on their way to the server. */
export function changing(change: (call: Call) => Call): NonNullable<Variant['write']> {
  return ({ sql }, { plan, steps }) => {
    const between = {
      unsafe(statement: string, parameters: string[], options: { prepare: boolean }) {
        const call = change({ statement, parameters });
        return sql.unsafe(call.statement, call.parameters, options);
      },
    };
    return writeBatch(between as unknown as Sql, plan, steps);
  };
}
