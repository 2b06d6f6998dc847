// One call of Razorpay's API: its parameters read and checked, and the parts that answer it.
import type { Bank } from '../bank.ts';
import type { Kind, Labels, OfKind } from '../objects.ts';
import type { Refunds } from '../refunds.ts';
import type { Page, SandboxStore } from '../store.ts';
import type { Matched, WireRequest } from '../wire.ts';
import { unknownId, wrong } from './errors.ts';

export interface RazorpayParts {
  store: SandboxStore;
  bank: Bank;
  refunds: Refunds;
  /** Signs what a buyer brings back, with the secret of the key. */
  secretOf(request: WireRequest): string;
}

type Body = Record<string, unknown>;
const COUNT_MAX = 100;
const NOTES_MAX = 15;
const NOTE_LENGTH_MAX = 256;

export class RazorpayCall {
  readonly store: SandboxStore;
  readonly body: Body;

  constructor(
    readonly parts: RazorpayParts,
    readonly params: Matched<RazorpayCall>['params'],
    readonly request: WireRequest,
  ) {
    this.store = parts.store;
    this.body = bodyOf(request);
  }

  text(name: string): string | null {
    const value = this.body[name];
    if (typeof value === 'number') return String(value);
    return typeof value === 'string' && value !== '' ? value : null;
  }

  /** Minor units; numbers and their texts are both taken. */
  amount(name: string): number | null {
    const value = this.body[name];
    if (value === undefined || value === null) return null;
    const amount = Number(value);
    if (!Number.isInteger(amount) || typeof value === 'boolean')
      throw wrong('The amount must be an integer.', name);
    if (amount < 1) throw wrong('The amount must be atleast INR 1.00', name);
    return amount;
  }

  required<T>(value: T | null, name: string): T {
    if (value === null) throw wrong(`The ${name.replaceAll('_', ' ')} field is required.`, name);
    return value;
  }

  notes(): Labels {
    const notes = this.body['notes'];
    if (typeof notes !== 'object' || notes === null) return {};
    const entries = Object.entries(notes).map(([key, value]) => [key, String(value)] as const);
    if (entries.length > NOTES_MAX) throw wrong('Number of fields in notes should be at most 15');
    if (entries.some(([, value]) => value.length > NOTE_LENGTH_MAX))
      throw wrong('The notes may not be greater than 256 characters.', 'notes');
    return Object.fromEntries(entries);
  }

  one<K extends Kind>(kind: K, id: string = this.params['id']!): OfKind<K> {
    const found = this.store.get(kind, id);
    if (found?.gateway !== 'razorpay') throw unknownId();
    return found;
  }

  page(): Page {
    const { query } = this.request;
    const limit = Number(query.get('count') ?? 10);
    const skip = Number(query.get('skip') ?? 0);
    if (!Number.isInteger(limit) || limit < 1 || limit > COUNT_MAX)
      throw wrong('The count must be between 1 and 100.', 'count');
    if (!Number.isInteger(skip) || skip < 0) throw wrong('The skip must be an integer.', 'skip');
    const from = query.get('from');
    const to = query.get('to');
    return {
      limit,
      skip,
      ...(from ? { fromMs: Number(from) * 1_000 } : {}),
      ...(to ? { toMs: Number(to) * 1_000 + 999 } : {}),
    };
  }
}

function bodyOf({ method, body }: WireRequest): Body {
  if (method === 'GET' || body === '') return {};
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed))
      return parsed as Body;
  } catch {
    // Answered below, as any body that is not an object.
  }
  throw wrong('The request body is not valid JSON.');
}
