// One call of Stripe's API: its parameters read and checked, and the parts that answer it.
import type { Bank } from '../bank.ts';
import type { Kind, OfKind } from '../objects.ts';
import type { Refunds } from '../refunds.ts';
import type { SandboxStore } from '../store.ts';
import type { Matched, WireRequest } from '../wire.ts';
import { invalid, missing, unknownObject } from './errors.ts';
import { type Form, text, texts } from './form.ts';
import { type Shape, shapeOf } from './shapes.ts';

export interface StripeParts {
  store: SandboxStore;
  bank: Bank;
  refunds: Refunds;
  searchLagMs(): number;
  now(): number;
}

const objectNames: Record<Kind, string> = {
  intent: 'payment_intent',
  charge: 'charge',
  refund: 'refund',
  dispute: 'dispute',
  line: 'balance_transaction',
  payout: 'payout',
  event: 'event',
};
const everywhere = ['expand'];
const PAGE_MAX = 100;

export class StripeCall {
  readonly store: SandboxStore;

  constructor(
    readonly parts: StripeParts,
    readonly form: Form,
    readonly params: Matched<StripeCall>['params'],
    readonly request: WireRequest,
  ) {
    this.store = parts.store;
  }

  /** Refuses what the route does not know, as Stripe does. */
  knows(...names: readonly string[]): void {
    const stray = Object.keys(this.form).find(
      (name) => !names.includes(name) && !everywhere.includes(name),
    );
    if (stray !== undefined)
      throw invalid(`Received unknown parameter: ${stray}`, {
        code: 'parameter_unknown',
        param: stray,
      });
  }

  text(name: string): string | null {
    return text(this.form, name);
  }

  /** Minor units. */
  amount(name: string): number | null {
    const value = this.text(name);
    if (value === null) return null;
    if (!/^-?\d+$/.test(value))
      throw invalid(`Invalid integer: ${value}`, {
        code: 'parameter_invalid_integer',
        param: name,
      });
    const amount = Number(value);
    if (amount < 1)
      throw invalid('This value must be greater than or equal to 1.', {
        code: 'parameter_invalid_integer',
        param: name,
      });
    if (amount > 99_999_999)
      throw invalid('Amount must be no more than 99999999.', {
        code: 'amount_too_large',
        param: name,
      });
    return amount;
  }

  required<T>(value: T | null, name: string): T {
    if (value === null) throw missing(name);
    return value;
  }

  one<K extends Kind>(kind: K, id: string = this.params['id']!, param = 'id'): OfKind<K> {
    const found = this.store.get(kind, id);
    if (found?.gateway !== 'stripe') throw unknownObject(objectNames[kind], id, param);
    return found;
  }

  shown<K extends Kind>(kind: K): Shape {
    return shapeOf(this.one(kind), this.store);
  }

  /** Newest first; `starting_after` names the last of the page before. */
  list<K extends Kind>(kind: K, filter: { parent?: string; lookup?: string } = {}): Shape {
    const limit = this.limit();
    const after = this.text('starting_after');
    const found = this.store.list('stripe', kind, {
      ...filter,
      ...this.created(),
      ...(after ? { after: this.one(kind, after, 'starting_after').id } : {}),
      limit: limit + 1,
    });
    return listShape(
      found.slice(0, limit).map((object) => shapeOf(object, this.store)),
      found.length > limit,
      this.request.path,
    );
  }

  limit(): number {
    const limit = Number(this.text('limit') ?? 10);
    if (!Number.isInteger(limit) || limit < 1 || limit > PAGE_MAX)
      throw invalid('This value must be between 1 and 100.', { param: 'limit' });
    return limit;
  }

  expands(): string[] {
    return texts(this.form, 'expand');
  }

  private created(): { fromMs?: number; toMs?: number } {
    const created = this.form['created'];
    if (typeof created !== 'object' || Array.isArray(created)) return {};
    const from = text(created, 'gte') ?? text(created, 'gt');
    const to = text(created, 'lte') ?? text(created, 'lt');
    return {
      ...(from ? { fromMs: Number(from) * 1_000 } : {}),
      ...(to ? { toMs: Number(to) * 1_000 + 999 } : {}),
    };
  }
}

export function listShape(data: Shape[], hasMore: boolean, url: string): Shape {
  return { object: 'list', data, has_more: hasMore, url };
}
