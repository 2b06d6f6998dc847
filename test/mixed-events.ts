// A mixed stream of events that repeats itself, contradicts itself and overdraws: what real senders
// do. The same seed gives the same events.
import { seededRandom } from '../bench/lib/zipf.ts';
import type { AuditedPartner, SentEvent } from './auditor.ts';

export interface MixedEvents {
  /** In the order of sending, repeats and contradictions among them. */
  sent: SentEvent[];
  distinct: number;
  repeated: number;
  contradicting: number;
}

export interface MixedOptions {
  count: number;
  users: number;
  seed: number;
  /** Share of ids that come again with another body. */
  contradictions?: number;
}

const CURRENCIES = ['USD', 'EUR', 'JPY'] as const;

export function mixedEvents(options: MixedOptions): MixedEvents {
  const { count, users, seed, contradictions: share = 0.01 } = options;
  const random = seededRandom(seed);
  const pick = (below: number): number => Math.floor(random() * below);
  const distinct = Array.from({ length: count }, (_, n): SentEvent => {
    const kind = random();
    if (kind < 0.15) return game(n, pick);
    const amount = kind < 0.65 ? 1 + pick(5_000) : kind < 0.99 ? -1 - pick(4_000) : 0;
    return earning(n, pick(users), amount, CURRENCIES[pick(CURRENCIES.length)]!);
  });
  const repeats = distinct.filter(() => random() < 0.1);
  const contradictions = distinct.filter(() => random() < share).map(contradict);
  const sent = [...distinct];
  for (const event of [...repeats, ...contradictions]) sent.splice(pick(sent.length), 0, event);
  return {
    sent,
    distinct: distinct.length,
    repeated: repeats.length,
    contradicting: contradictions.length,
  };
}

function earning(n: number, user: number, amount: number, currency: string): SentEvent {
  const data = {
    user_id: `u_${user}`,
    kind: 'mixed',
    amount: { amount, currency },
    reference: 'r',
  };
  return { id: `evt_${n}`, type: 'earning.credited', data };
}

/** Some games are reported twice under different ids, some are lost by the house. */
function game(n: number, pick: (below: number) => number): SentEvent {
  const profit = { amount: pick(3_000_000) - 500_000, currency: CURRENCIES[pick(2)]! };
  const data = { game_id: `g_${n - (n % 3)}`, profit, completed_at: '2026-01-31T12:00:00Z' };
  return { id: `evt_${n}`, type: 'game.completed', data };
}

/** Same id and same order key, another body. */
function contradict(event: SentEvent): SentEvent {
  const field = event.type === 'game.completed' ? 'profit' : 'amount';
  const money = event.data[field] as { amount: number; currency: string };
  return { ...event, data: { ...event.data, [field]: { ...money, amount: money.amount + 1 } } };
}

export function mixedPartners(count: number): (AuditedPartner & { name: string })[] {
  return Array.from({ length: count }, (_, n) => ({
    id: `p_${n}`,
    name: `Partner ${n}`,
    share_bp: 1 + ((n * 631) % 10_000),
    commission_bp: n % 7 === 0 ? 1 : 1 + ((n * 97) % 3_000),
    currency: CURRENCIES[n % 2]!,
    status: n % 5 === 0 ? 'inactive' : n % 11 === 0 ? 'pending' : 'active',
  }));
}
