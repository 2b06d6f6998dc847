// A ledger in memory for the rules of payments: one record, balances, and the calls asked for.
// Deferred events are tried again after every other one, as the worker does later.
import { rules } from '../../consumers/index.ts';
import type { PaymentFacts } from '../../consumers/payments-facts.ts';
import type { Decision, Row, State } from '../../src/ledger/decision.ts';

export interface Step {
  type: string;
  data: { payment_id: string } & Record<string, unknown>;
}

export class PaymentLedger {
  payment: PaymentFacts | null = null;
  readonly balances = new Map<string, number>();
  readonly calls: { key: string; kind: string; data: object }[] = [];
  /** Of all tables. */
  readonly rows: Row[] = [];
  private deferred: Step[] = [];

  constructor(payment: PaymentFacts | null = null) {
    this.payment = payment;
  }

  /** Decides one event; deferred ones come round again after each that counted. */
  play(step: Step): Decision {
    const decision = this.once(step);
    if (decision.verdict === 'defer') this.deferred.push(step);
    else if (decision.verdict === 'post') this.retry();
    return decision;
  }

  get waiting(): number {
    return this.deferred.length;
  }

  private retry(): void {
    for (const step of this.deferred.splice(0)) this.play(step);
  }

  private once({ type, data }: Step): Decision {
    const state: State = {
      balance: (account, unit) => this.balances.get(`${account} ${unit}`) ?? 0,
      documents: () => [],
      record: <Body>() => this.payment as Body | null,
    };
    const event = { tenant: 1, id: 'evt_1', type, acceptedAt: 1, data };
    const decision = rules.get(type)!.decide(event, state);
    if (decision.verdict !== 'post') return decision;
    for (const { account, unit, amount } of decision.legs) {
      const name = `${account} ${unit}`;
      this.balances.set(name, (this.balances.get(name) ?? 0) + amount);
      if (this.balances.get(name) === 0) this.balances.delete(name);
    }
    for (const { body } of decision.records ?? []) this.payment = body as PaymentFacts;
    this.rows.push(...(decision.rows ?? []));
    for (const { table, values } of decision.rows ?? [])
      if (table === 'effects') this.calls.push(values as never);
    return decision;
  }
}
