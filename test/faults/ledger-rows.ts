// What the ledger recorded, read from its tables as they are and decoded with msgpack alone, so
// that the auditors need not believe the product's own reading of it.
import { Packr } from 'msgpackr';
import type { Sql } from '../../src/io/postgres.ts';
import type { AcceptedEvent, SentEvent } from '../auditor.ts';
import type { RedemptionEvent } from './coupon-auditor.ts';

interface OutcomeRow {
  event_id: string;
  event_key: string;
  type: string;
  verdict: number;
  reason: string | null;
  stream: string;
  stream_offset: bigint;
  body: Buffer;
}

export interface Recorded {
  /** Earnings and games, with the body that won. */
  events: AcceptedEvent[];
  verdicts: Map<string, string>;
  redemptions: RedemptionEvent[];
  keys: Map<string, string>;
  problems: string[];
}

const packr = new Packr({ useRecords: false, moreTypes: false, int64AsType: 'number' });
type Money = [amount: number, currency: string];

export async function recorded(
  owner: Sql,
  submitted: ReadonlyMap<string, readonly SentEvent[]>,
): Promise<Recorded> {
  const rows = await owner<OutcomeRow[]>`
    select event_id, event_key, type, verdict, reason, stream, stream_offset, body
    from outcomes order by stream, stream_offset`;
  const found: Recorded = {
    events: [],
    verdicts: new Map(),
    redemptions: [],
    keys: new Map(),
    problems: [],
  };
  for (const row of rows) {
    found.keys.set(row.event_id, row.event_key);
    const values = packr.unpack(row.body) as unknown[];
    const verdict = row.verdict === 1 ? 'posted' : `refused ${row.reason}`;
    found.verdicts.set(row.event_id, verdict);
    if (row.type.startsWith('redemption.')) {
      found.redemptions.push(redemptionOf(row, values));
      if (verdict !== 'posted') found.problems.push(`${row.event_id} was ${verdict}`);
    } else if (row.type !== 'coupon.checked') {
      const event = (submitted.get(row.event_id) ?? []).find((each) => says(each, values));
      const position = `${row.stream}.${row.stream_offset}`;
      if (event) found.events.push({ ...event, position });
      else found.problems.push(`${row.event_id} is recorded as nobody sent it`);
    }
  }
  return found;
}

function says({ type, data }: SentEvent, values: unknown[]): boolean {
  const [, subject, second, third] = values;
  const isGame = type === 'game.completed';
  const [amount, currency] = (isGame ? second : third) as Money;
  const sent = data[isGame ? 'profit' : 'amount'] as { amount: number; currency: string };
  const of = data[isGame ? 'game_id' : 'user_id'];
  return subject === of && amount === sent.amount && currency === sent.currency;
}

function redemptionOf({ type, event_id: id }: OutcomeRow, values: unknown[]): RedemptionEvent {
  const [, redemption, uses, , customer, order, next] = values;
  const [[code, discount]] = uses as [[string, number, number]];
  const kind = type.slice('redemption.'.length) as RedemptionEvent['kind'];
  if (id !== `${String(redemption)}/${kind}`) throw new Error(`${id} is about another redemption`);
  return {
    kind,
    redemption: redemption as string,
    code,
    discount,
    customer: customer as string,
    order: order as string,
    reason: kind === 'released' ? String(next) : '',
  };
}
