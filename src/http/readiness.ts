// Whether this process can do its work: Redis, Postgres, the schema, the backlog. Asked by load
// balancers and by people in a hurry, so each part is named with what is wrong with it.
// Invariant: an answer comes within the deadline, whatever hangs, and asking often costs nothing.
import type { Redis } from 'ioredis';
import type { Sql } from '../io/postgres.ts';
import { replicasOnline } from '../io/redis-promise.ts';
import type { Admission } from './admission.ts';

export interface ReadinessParts {
  redis: Redis;
  /** Replicas that must confirm what is accepted. */
  replicasMin: number;
  sql: Sql;
  schemaIsCurrent(sql: Sql): Promise<{ current: boolean; detail: string }>;
  admission: Admission;
}

export interface Check {
  ok: boolean;
  detail: string;
}

export interface Readiness {
  ready: boolean;
  checks: Record<string, Check>;
}

const DEADLINE_MS = 1_500;
const REUSE_MS = 250;

export class ReadinessProbe {
  private last: Promise<Readiness> | null = null;

  constructor(private readonly parts: ReadinessParts) {}

  /** One round of checks at a time, shared by all who ask. */
  ask(): Promise<Readiness> {
    if (!this.last) {
      this.last = this.check();
      setTimeout(() => (this.last = null), REUSE_MS).unref();
    }
    return this.last;
  }

  private async check(): Promise<Readiness> {
    const { redis, replicasMin, sql, schemaIsCurrent, admission } = this.parts;
    const [redisCheck, postgresCheck, schemaCheck] = await Promise.all([
      attempt(async () => takesWrites(await replicasOnline(redis), replicasMin)),
      attempt(async () => ((await sql`select 1`).length === 1 ? answers : 'does not answer')),
      attempt(async () => {
        const { current, detail } = await schemaIsCurrent(sql);
        return current ? { ok: true, detail } : detail;
      }),
    ]);
    const { backlogEvents, options, draining } = admission;
    const checks: Record<string, Check> = {
      redis: redisCheck,
      postgres: postgresCheck,
      schema: schemaCheck,
      backlog: {
        ok: backlogEvents <= options.backlogEventsMax,
        detail: `${backlogEvents} events wait for the ledger, at most ${options.backlogEventsMax}`,
      },
    };
    if (draining) checks['process'] = { ok: false, detail: 'is stopping' };
    return { ready: Object.values(checks).every(({ ok }) => ok), checks };
  }
}

const answers: Check = { ok: true, detail: 'answers' };

function takesWrites(online: number | null, replicasMin: number): Check | string {
  if (online === null) return 'answers, and is a replica, which takes no writes';
  if (online < replicasMin) return `answers, with ${online} replicas of ${replicasMin}`;
  return answers;
}

async function attempt(probe: () => Promise<Check | string>): Promise<Check> {
  let timer: Timer | undefined;
  try {
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(resolve, DEADLINE_MS, `no answer within ${DEADLINE_MS} ms`);
    });
    const result = await Promise.race([probe(), late]);
    return typeof result === 'string' ? { ok: false, detail: result } : result;
  } catch (error) {
    // The kind of error only: messages of clients may hold addresses.
    const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
    return { ok: false, detail: typeof code === 'string' ? code : 'is away' };
  } finally {
    clearTimeout(timer);
  }
}
