// A sender of events: earnings and debits that may hit a floor, games with partners, repeats, the
// same id with another body. It reads balances too, and wants to see what it wrote.
import type { SentEvent } from '../auditor.ts';
import type { Caller } from './caller.ts';
import type { Dice } from './dice.ts';
import type { History, Times } from './history.ts';

interface ItemResult {
  id: string;
  status: 'accepted' | 'duplicate' | 'rejected';
  position?: string;
  problem?: { code: string };
  outcome?: { verdict: string; reason?: string };
}

const USERS = 10;
const GAMES = 400;
const CURRENCIES = ['USD', 'EUR'] as const;

export class EventClient {
  private readonly sent: SentEvent[] = [];
  private number = 0;

  constructor(
    private readonly name: string,
    private readonly caller: Caller,
    private readonly history: History,
    private readonly dice: Dice,
  ) {}

  async turn(): Promise<void> {
    const events = this.compose();
    for (const event of events) this.history.submit(event);
    const waits = this.dice.chance(0.2);
    const answer = await this.caller.persist({
      method: 'POST',
      path: '/v1/events',
      body: events,
      headers: waits ? { prefer: 'wait=ledger; timeout=600' } : {},
    });
    if (!answer) return;
    if (answer.status !== 202 && answer.status !== 200)
      return this.history.violate(`events were answered ${answer.status}`);
    const results = answer.body['results'] as ItemResult[];
    results.forEach((result, index) => this.record(events[index]!, result, answer.times));
    if (this.dice.chance(0.4)) await this.readBack(events, results);
  }

  private record(event: SentEvent, result: ItemResult, times: Times): void {
    const { id, status, position, problem, outcome } = result;
    if (id !== event.id) this.history.violate(`the result for ${event.id} is about ${id}`);
    if (status === 'rejected') {
      if (problem?.code !== 'event_id_reused' || this.history.submitted.get(id)!.length < 2)
        this.history.violate(`${event.id} was rejected: ${problem?.code}`);
      return;
    }
    this.history.acknowledged.push({ event, position: position!, ...times });
    if (outcome) {
      const { verdict, reason } = outcome;
      this.history.verdicts.push({ id, verdict: reason ? `${verdict} ${reason}` : verdict });
    }
  }

  /** The balance of an account that one of these events was for. */
  private async readBack(events: readonly SentEvent[], results: readonly ItemResult[]) {
    const index = events.findIndex(
      ({ type }, at) => type === 'earning.credited' && results[at]!.status === 'accepted',
    );
    if (index < 0) return;
    const event = events[index]!;
    const unit = (event.data['amount'] as { currency: string }).currency;
    const account = `user:${String(event.data['user_id'])}:earnings`;
    const sees = this.dice.chance(0.7);
    const query = `currency=${unit}${sees ? `&at_least=${results[index]!.position}` : ''}`;
    const path = `/v1/accounts/${account}/balance?${query}`;
    const answer = await this.caller.persist({ method: 'GET', path }, 0.5);
    if (answer?.status !== 200) return;
    const balance = answer.body['balance'] as { amount: number };
    const sequence = answer.body['sequence'] as number;
    const after = sees ? event.id : null;
    const { amount } = balance;
    this.history.reads.push({ account, unit, amount, sequence, after, ...answer.times });
  }

  private compose(): SentEvent[] {
    const { dice } = this;
    return Array.from({ length: dice.between(1, 16) }, () => {
      const earlier = this.sent.length > 0 ? dice.pick(this.sent) : null;
      if (earlier && dice.chance(0.06)) return earlier;
      if (earlier && dice.chance(0.02)) return contradict(earlier);
      const event = dice.chance(0.15) ? this.game() : this.earning();
      this.sent.push(event);
      return event;
    });
  }

  private nextId(): string {
    return `evt_${this.name}_${this.number++}`;
  }

  private earning(): SentEvent {
    const { dice } = this;
    const amount = dice.chance(0.6) ? dice.between(1, 500) : -dice.between(0, 600);
    const data = {
      user_id: `u_${dice.between(1, USERS)}`,
      kind: 'faults',
      amount: { amount, currency: dice.pick(CURRENCIES) },
      reference: 'r',
    };
    return { id: this.nextId(), type: 'earning.credited', data };
  }

  private game(): SentEvent {
    const { dice } = this;
    const data = {
      game_id: `g_${dice.between(1, GAMES)}`,
      profit: { amount: dice.between(-50_000, 300_000), currency: dice.pick(CURRENCIES) },
      completed_at: '2026-01-31T12:00:00Z',
    };
    return { id: this.nextId(), type: 'game.completed', data };
  }
}

/** Same id and order key, another amount. */
function contradict(event: SentEvent): SentEvent {
  const field = event.type === 'game.completed' ? 'profit' : 'amount';
  const money = event.data[field] as { amount: number; currency: string };
  return { ...event, data: { ...event.data, [field]: { ...money, amount: money.amount + 1 } } };
}
