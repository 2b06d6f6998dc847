// `Prefer: wait=ledger; timeout=ms` (RFC 7240): answer after the commit, or 202 after the timeout.
// Invariant: a malformed preference is ignored, as the RFC asks; it never fails a request.
import type { Settlement } from '../stream/settlement.ts';
import { positionOf } from './position.ts';
import { Answer, type Outcome, type Route, json } from './route.ts';

export interface WaitLimits {
  defaultMs: number;
  maxMs: number;
}

/** How long to wait for the ledger, in ms; null when the caller did not ask for it. */
export function ledgerWaitOf(headers: Headers, limits: WaitLimits): number | null {
  const given = headers.get('prefer');
  if (given === null || !/(^|[,;\s])wait\s*=\s*"?ledger"?($|[,;\s])/i.test(given)) return null;
  const timeout = /(^|[,;\s])timeout\s*=\s*"?(\d{1,9})"?($|[,;\s])/i.exec(given);
  return Math.min(timeout ? Number(timeout[2]) : limits.defaultMs, limits.maxMs);
}

/** Said of an answer that was given after the commit; what timed out does not say it. */
export const PREFERENCE_APPLIED = { 'Preference-Applied': 'wait=ledger' } as const;

/**
 * A route whose answer carries the `position` of what it appended: when the caller prefers so, the
 * answer waits for the ledger, and is a 202 when the ledger did not come so far in time.
 */
export function afterLedger(
  route: Route,
  { settlement, waits }: { settlement: Settlement; waits: WaitLimits },
): Route {
  if (!route.accepts) return route;
  const [answered] = Object.values(route.answers);
  const late = { ...answered!, description: 'Done, but the ledger did not come so far in time.' };
  return {
    ...route,
    answers: { ...route.answers, 202: late },
    async handler(context): Promise<Outcome> {
      const outcome = await route.handler(context);
      const waitMs = ledgerWaitOf(context.headers, waits);
      const position = waitMs === null ? null : appendedAt(outcome);
      if (waitMs === null || position === null) return outcome;
      const { status, body, headers } = outcome as Answer;
      return (await settlement.waitSettled(position, waitMs))
        ? json(status, body, { ...headers, ...PREFERENCE_APPLIED })
        : json(202, body, headers);
    },
  };
}

function appendedAt(outcome: Outcome) {
  const body = outcome instanceof Answer ? outcome.body : null;
  const position =
    body !== null && typeof body === 'object' && 'position' in body ? body.position : null;
  return typeof position === 'string' ? positionOf(position) : null;
}
