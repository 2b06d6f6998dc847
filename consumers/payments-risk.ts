// What the rule of a new payment keeps of its risk: the decision with its reasons in a row of its
// own, and in the payment only what later decisions are made by.
import type { LedgerEvent, Row } from '../src/ledger/decision.ts';
import type { Initiated } from './payments-facts.ts';

/** None for an event of a time before there were rules. */
export function riskRows({ data }: LedgerEvent<Initiated>): Row[] {
  const { payment_id, initiated_at, risk } = data;
  const { score, decision, version } = risk;
  if (version === undefined) return [];
  const values = { payment_id, decided_at: initiated_at, score, decision, version, body: risk };
  return [{ table: 'risk_decisions', values }];
}

export function riskOf({ risk }: Initiated): Initiated['risk'] {
  const { score, decision, device, token } = risk;
  return { score, decision, ...(device && { device }), ...(token && { token }) };
}
