// A second opinion on balances: recomputes them from the events that were acknowledged, in the
// order of their positions, with arithmetic of its own.
// Invariant: imports nothing of the product; a mistake shared with src/ledger would hide itself.

export interface SentEvent {
  id: string;
  type: string;
  data: Record<string, unknown>;
}

export interface AcceptedEvent extends SentEvent {
  /** As the 202 said: `<topic>.<partition>.<offset>`. */
  position: string;
}

export interface AuditedPartner {
  id: string;
  share_bp: number;
  commission_bp: number;
  currency: string;
  status: string;
}

interface Money {
  amount: number;
  currency: string;
}

/** `<account> <unit>` → balance. */
export type Balances = Map<string, bigint>;

export interface Audit {
  balances: Balances;
  /** By event id: `posted`, `refused <reason>`, or `conflict` for each later other body. */
  verdicts: Map<string, string>;
}

export function audit(
  events: readonly AcceptedEvent[],
  partners: readonly AuditedPartner[],
): Audit {
  const balances: Balances = new Map();
  const verdicts = new Map<string, string>();
  for (const event of events.toSorted(byPosition)) {
    if (verdicts.has(event.id)) continue;
    const refusal = apply(event, balances, partners);
    verdicts.set(event.id, refusal ? `refused ${refusal}` : 'posted');
  }
  for (const [account, balance] of balances) if (balance === 0n) balances.delete(account);
  return { balances, verdicts };
}

/** Order matters within a stream only, since events that share a floor share a stream. */
function byPosition(a: AcceptedEvent, b: AcceptedEvent): number {
  const [one, other] = [a.position.split('.'), b.position.split('.')];
  return Number(one[1]) - Number(other[1]) || Number(one[2]) - Number(other[2]);
}

function apply(
  event: SentEvent,
  balances: Balances,
  partners: readonly AuditedPartner[],
): string | null {
  if (event.type === 'earning.credited') return applyEarning(event, balances);
  if (event.type === 'game.completed') return applyGame(event, balances, partners);
  throw new Error(`the auditor does not know ${event.type}`);
}

function applyEarning({ data }: SentEvent, balances: Balances): string | null {
  const { amount, currency } = data['amount'] as Money;
  const account = `user:${String(data['user_id'])}:earnings`;
  const before = balances.get(`${account} ${currency}`) ?? 0n;
  if (amount === 0) return 'zero_amount';
  if (amount < 0 && before + BigInt(amount) < 0n) return 'insufficient_balance';
  add(balances, account, currency, BigInt(amount));
  add(balances, 'platform:earnings', currency, -BigInt(amount));
  return null;
}

function applyGame(
  { data }: SentEvent,
  balances: Balances,
  partners: readonly AuditedPartner[],
): string | null {
  const { amount: profit, currency } = data['profit'] as Money;
  const result = `game:${String(data['game_id'])}:result`;
  if (balances.has(`${result} results`)) return 'already_completed';
  add(balances, result, 'results', -1n);
  add(balances, 'platform:games', 'results', 1n);
  for (const partner of partners) {
    const earning = earningOf(partner, profit, currency);
    add(balances, `partner:${partner.id}:available`, currency, earning);
    add(balances, 'platform:commissions', currency, -earning);
  }
  return null;
}

/** Profit times share times commission, in whole minor units, halves to the even one. */
export function earningOf(partner: AuditedPartner, profit: number, currency: string): bigint {
  if (partner.status !== 'active' || partner.currency !== currency || profit <= 0) return 0n;
  const scaled = BigInt(profit) * BigInt(partner.share_bp) * BigInt(partner.commission_bp);
  const one = 10n ** 8n;
  if (scaled < one) return 0n;
  const whole = scaled / one;
  const doubled = 2n * (scaled - whole * one);
  if (doubled < one) return whole;
  if (doubled > one) return whole + 1n;
  return whole + (whole & 1n);
}

function add(balances: Balances, account: string, unit: string, amount: bigint): void {
  const name = `${account} ${unit}`;
  balances.set(name, (balances.get(name) ?? 0n) + amount);
}
