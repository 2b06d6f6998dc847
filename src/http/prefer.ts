// `Prefer: wait=ledger; timeout=ms` (RFC 7240): answer after the commit, or 202 after the timeout.
// Invariant: a malformed preference is ignored, as the RFC asks; it never fails a request.

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
