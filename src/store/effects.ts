// Effects: calls that rules have asked for, kept in Postgres until somebody has answered.
// Invariant: a call is remembered and settled under the claim it was given out with, so a worker
// that was away for longer than its claim changes nothing.
import type { Sql } from '../io/postgres.ts';

export type Memory = Readonly<Record<string, unknown>>;

/** A call to make. `attempts` counts this one. */
export interface ClaimedEffect {
  key: string;
  tenant: number;
  kind: string;
  data: Readonly<Record<string, unknown>>;
  attempts: number;
  askedAt: Date;
  /** Of the try before; null where it was the first, or nobody knows what became of it. */
  lastError: string | null;
  /** What tries before this one left for it. */
  memory: Memory;
  claim: string;
}

/** How many of a call's keys bring nothing any more. */
export function keysSpent(memory: Memory): number {
  return Number(memory['keys_spent'] ?? 0);
}

/** Tenants who are passed by: those with calls enough under way; those whose calls fail, except for
 * what was never tried. */
export interface PassedBy {
  full: readonly number[];
  resting: readonly number[];
}

export interface EffectStore {
  claim(lane: string, limit: number, holdMs: number, passedBy?: PassedBy): Promise<ClaimedEffect[]>;
  /** False when the claim holds no more: then another worker decides. */
  remember(effect: ClaimedEffect, memory: Memory): Promise<boolean>;
  done(effect: ClaimedEffect): Promise<boolean>;
  again(effect: ClaimedEffect, delayMs: number, error: string): Promise<boolean>;
  giveUp(effect: ClaimedEffect, error: string): Promise<boolean>;
}

const ERROR_LENGTH_MAX = 500;
const nobody: PassedBy = { full: [], resting: [] };

export function effectStore(sql: Sql): EffectStore {
  async function settle(
    { key, tenant, claim }: ClaimedEffect,
    status: 'waiting' | 'done' | 'given_up',
    delayMs: number,
    error: string | null,
  ): Promise<boolean> {
    const said = error?.slice(0, ERROR_LENGTH_MAX) ?? null;
    const [row] = await sql`
      select system_effect_settle(${key}, ${tenant}, ${claim}, ${status},
        ${String(Math.round(delayMs))}::text::bigint, ${said}) as held`;
    return row!['held'] as boolean;
  }

  return {
    async claim(lane, limit, holdMs, { full, resting } = nobody) {
      const claim = crypto.randomUUID();
      const rows = await sql`
        select * from system_effects_claim(${lane}, ${limit}, ${claim}, ${holdMs},
          ${`{${full.join()}}`}::text::int[], ${`{${resting.join()}}`}::text::int[])`;
      return rows.map((row): ClaimedEffect => ({
        key: row['key'] as string,
        tenant: row['tenant_id'] as number,
        kind: row['kind'] as string,
        data: row['data'] as ClaimedEffect['data'],
        attempts: row['attempts'] as number,
        askedAt: row['asked_at'] as Date,
        lastError: row['last_error'] as string | null,
        memory: (row['memory'] as Memory | null) ?? {},
        claim,
      }));
    },
    async remember({ key, tenant, claim }, memory) {
      const [row] = await sql`
        select system_effect_remember(${key}, ${tenant}, ${claim},
          ${JSON.stringify(memory)}::text::jsonb) as held`;
      return row!['held'] as boolean;
    },
    done: (effect) => settle(effect, 'done', 0, null),
    again: (effect, delayMs, error) => settle(effect, 'waiting', delayMs, error),
    giveUp: (effect, error) => settle(effect, 'given_up', 0, error),
  };
}
