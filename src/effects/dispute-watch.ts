// Disputes that are due: counted for alerts, and reminded of by an event before their deadline.
// Invariant: one reminder for each deadline, since its event has an id made of it; so it does no
// harm that several processes look.
import type { Log } from '../io/log.ts';
import type { Metrics } from '../io/metrics.ts';
import { type Periodic, periodic } from '../io/periodic.ts';
import type { Sql } from '../io/postgres.ts';
import { type DueDispute, disputeCounts, dueDisputes } from '../store/disputes.ts';
import type { reporter } from './report.ts';

/** Guess: two working days, or a weekend. */
const REMIND_BEFORE_MS = 48 * 3_600_000;
const LOOK_MS = 60_000;
const DUE_MAX = 200;

export interface DisputeWatchParts {
  sql: Sql;
  metrics: Metrics;
  log: Log;
  report: ReturnType<typeof reporter>;
  lookMs?: number;
}

export function watchDisputes(parts: DisputeWatchParts): Periodic {
  const { sql, metrics, log, report, lookMs = LOOK_MS } = parts;
  const open = metrics.gauge(
    'tallyrace_disputes_open',
    'Open disputes of all tenants; unanswered ones past their deadline are overdue',
    ['state'],
  );
  const next = metrics
    .gauge(
      'tallyrace_disputes_next_due_timestamp_seconds',
      'The nearest deadline of a dispute that nobody has answered; 0: none',
    )
    .labels();
  return periodic(
    'disputes',
    lookMs,
    async () => {
      const { nextDueS, ...counts } = await disputeCounts(sql);
      for (const [state, count] of Object.entries(counts)) open.labels(state).set(count);
      next.set(nextDueS ?? 0);
      const before = new Date(Date.now() + REMIND_BEFORE_MS);
      const due = await dueDisputes(sql, before, DUE_MAX);
      await Promise.all(due.map((dispute) => remindOf(dispute, report)));
    },
    log,
  );
}

async function remindOf(
  { tenant, id, paymentId, dueBy }: DueDispute,
  report: DisputeWatchParts['report'],
): Promise<void> {
  const due_by = dueBy.toISOString();
  const data = { payment_id: paymentId, dispute_id: id, due_by, actor: 'clock' };
  await report({ key: id, tenant }, [{ suffix: `due/${due_by}`, type: 'dispute.reminded', data }]);
}
