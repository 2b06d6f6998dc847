// What the laboratory writes: batches decided beforehand by the real rules, balances running on
// from batch to batch, so that every variant gets the very same rows.
// Invariant: written in order into an empty ledger, no batch is refused.
import { rules } from '../../consumers/index.ts';
import { EarningCredited } from '../../schemas/accounts.ts';
import { type BatchItem, type BatchPlan, planBatch } from '../../src/ledger/batch.ts';
import { floorOf } from '../../src/ledger/accounts.ts';
import { accountKey, eventKey, fingerprint } from '../../src/ledger/identity.ts';
import { BatchState } from '../../src/ledger/state.ts';
import { NumberColumn, numberArray, textArray } from '../../src/store/columns.ts';
import type { StreamStep } from '../../src/store/writer.ts';
import { encodeBody } from '../../src/stream/codec.ts';
import { PARTITIONS, partitionOf, streamName } from '../../src/stream/topology.ts';
import { DEBIT_EVERY, type Earning, earningData } from '../lib/earnings.ts';
import { seededRandom, zipf } from '../lib/zipf.ts';

export const TENANT = 1;
const UNIT = 'USD';
const USERS = 100_000;
const SEED = 20_260_131;
const ACCEPTED_AT = Date.UTC(2026, 0, 31);

export interface DecidedBatch {
  plan: BatchPlan;
  steps: StreamStep[];
}

export const streams = Array.from({ length: PARTITIONS }, (_, n) => streamName('events', n));

/** Events of Zipf-distributed users, the platform's account in each, every twentieth a debit. */
export function* decidedBatches(batchEvents: number): Generator<DecidedBatch> {
  const draw = zipf(USERS, seededRandom(SEED));
  const settled = new Map(streams.map((stream) => [stream, 0]));
  const balances = new Map<string, number>();
  for (let from = 0; ; from += batchEvents) {
    const before = new Map(settled);
    const items = Array.from({ length: batchEvents }, (_, n) =>
      itemOf(earning(from + n, draw()), settled),
    );
    const plan = decide(items, balances);
    const steps = streams.flatMap((stream) => stepOf(stream, before, settled));
    yield { plan, steps };
  }
}

function earning(n: number, user: number): Earning {
  const amount = n % DEBIT_EVERY === DEBIT_EVERY - 1 ? -1 : 125;
  return { id: `evt-${n}`, user: `u_${user}`, amount };
}

function itemOf(event: Earning, settled: Map<string, number>): BatchItem {
  const data = earningData(event);
  const { type } = EarningCredited;
  const body = encodeBody(EarningCredited, data);
  const stream = streams[partitionOf(TENANT, EarningCredited.orderKey(data))]!;
  const offset = settled.get(stream)! + 1;
  settled.set(stream, offset);
  return {
    stream,
    offset,
    events: 1,
    key: eventKey(TENANT, event.id),
    fingerprint: fingerprint(type, body),
    attempts: 0,
    event: { tenant: TENANT, id: event.id, type, acceptedAt: ACCEPTED_AT, data },
    definition: EarningCredited,
    traceparent: null,
    body,
    broken: null,
  };
}

function decide(items: BatchItem[], balances: Map<string, number>): BatchPlan {
  const readsOf = new Map(
    items.map((item) => [item, rules.get(item.event.type)!.reads(item.event)]),
  );
  const state = new BatchState();
  for (const { accounts = [] } of readsOf.values())
    for (const { account, unit } of accounts) {
      const slot = state.slot(TENANT, account, unit);
      slot.base = balances.get(slot.key) ?? 0;
    }
  const plan = planBatch({ items, readsOf, known: new Map(), rules, state, deferralsMax: 3 });
  for (const { key, running } of state.touched())
    balances.set(key, (balances.get(key) ?? 0) + running);
  return plan;
}

function stepOf(
  stream: string,
  before: Map<string, number>,
  settled: Map<string, number>,
): StreamStep[] {
  const [from, to] = [before.get(stream)!, settled.get(stream)!];
  return to > from ? [{ stream, epoch: '1', from, to, renumbered: [], lost: [] }] : [];
}

/** Columns of the accounts that occur, before their first event. */
export function accountColumns(): string[] {
  const names = Array.from({ length: USERS }, (_, user) => `user:u_${user}:earnings`);
  names.push('platform:earnings');
  const floors = new NumberColumn();
  for (const name of names) floors.push(floorOf(name));
  return [
    numberArray(names.map((name) => accountKey(TENANT, name, UNIT))),
    numberArray(names.map(() => 0)),
    floors.literal(),
    numberArray(names.map(() => TENANT)),
    textArray(names),
    textArray(names.map(() => UNIT)),
  ];
}
