// Verification beside the work: of all workers one takes each turn, on a connection of its own; all
// of them publish what was found last, so that an alert can be made of it.
// Invariant: a worker's work never waits for it, and a stop does not either.
import type { Redis } from 'ioredis';
import { couponChecks } from './cache/coupon-verify.ts';
import type { Log } from './io/log.ts';
import type { Metrics } from './io/metrics.ts';
import { periodic } from './io/periodic.ts';
import { connectPostgres } from './io/postgres.ts';
import { verify } from './store/verify.ts';

export interface VerifierParts {
  metrics: Metrics;
  log: Log;
  name: string;
}

const ASK_MS = 30_000;

export function verifyInTurns(
  url: string,
  redis: Redis,
  { metrics, log, name }: VerifierParts,
  { verifyEveryS, askMs = ASK_MS }: { verifyEveryS: number; askMs?: number },
) {
  const sql = connectPostgres(url, { max: 1, name: `${name}-verify`, statementTimeoutMs: 0 });
  const gauge = (of: string, help: string) => metrics.gauge(`tallyrace_${of}`, help).labels();
  const finished = gauge('verify_finished_timestamp_seconds', 'When the books were last verified');
  const clean = gauge('verify_clean_timestamp_seconds', 'When they were last found whole');
  const problems = gauge('verify_problems', 'Problems that the last verification has named');
  let stopped = false;

  async function turn(): Promise<void> {
    const [due] =
      verifyEveryS > 0 ? await sql`select system_verify_turn(${verifyEveryS}) as mine` : [];
    if (due?.['mine']) {
      const verdict = await verify(redis, sql, couponChecks, { connections: 1 });
      const { ok, found, seconds, scope, verified_to } = verdict;
      for (const problem of verdict.problems) log.error(problem, 'the books do not hold');
      log.info({ ok, found, seconds, scope, verified_to }, 'verified');
    }
    const [state] = await sql`select * from system_verify_state()`;
    finished.set(Number(state!['finished_s'] ?? 0));
    clean.set(Number(state!['clean_s'] ?? 0));
    problems.set(Number(state!['problems']));
  }

  const task = periodic(
    'verify',
    askMs,
    () => turn().catch((error: unknown) => (stopped ? undefined : Promise.reject(error as Error))),
    log,
  );
  return {
    /** What is under way is given up; the next turn does it again. */
    async stop(): Promise<void> {
      stopped = true;
      const ended = task.stop();
      await sql.end({ timeout: 0 });
      await ended;
    },
  };
}
