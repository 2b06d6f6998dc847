// Deciding, without any store: events a second through planBatch, the state given, against a bare
// loop that adds the same legs to the same accounts. What is between them is rules, checks of sums,
// floors and ranges, and the bookkeeping of outcomes.
import { rules } from '../consumers/index.ts';
import { type BatchItem, type BatchPlan, planBatch } from '../src/ledger/batch.ts';
import type { Reads } from '../src/ledger/decision.ts';
import { eventKey, fingerprint } from '../src/ledger/identity.ts';
import { BatchState } from '../src/ledger/state.ts';
import { encodeBody } from '../src/stream/codec.ts';
import { measureLoop } from './lib/loop.ts';
import type { BenchOptions, Comparison } from './lib/rounds.ts';
import { type Sample, type SampleKind, partners, samples } from './lib/samples.ts';

/** Events in a batch: as many as a busy worker has; of games fewer, since each has 100 partners. */
const BATCH_EVENTS: Record<SampleKind, number> = { earning: 2_000, game: 50, redemption: 2_000 };
const PARTNERS = 100;
const TENANT = 1;
/** Enough for every debit of the batch. */
const BALANCE = 1_000_000;

interface Prepared {
  items: BatchItem[];
  readsOf: Map<BatchItem, Reads>;
}

const terms = partners(PARTNERS).map((partner) => ({ ...partner, version: 1 }));

export function rulesBench({ seconds }: BenchOptions): Comparison[] {
  return (Object.keys(samples) as SampleKind[]).map((kind) => {
    const prepared = prepare(samples[kind](BATCH_EVENTS[kind]));
    const legs = legsOf(plan(prepared, loadedState(prepared)));
    const timed = `a batch of ${BATCH_EVENTS[kind].toLocaleString('en')}`;
    return {
      name: `rules-${kind}`,
      target: 'limit: a loop over the same legs',
      unit: 'events/s',
      subject: () =>
        measureLoop({
          seconds,
          timed,
          prepare: () => loadedState(prepared),
          run: (state) => plan(prepared, state).outcomes.length,
        }),
      limit: () =>
        measureLoop({
          seconds,
          timed,
          prepare: () => new Map<string, Sum>(),
          run: (sums) => addLegs(legs, sums),
        }),
    };
  });
}

function prepare(events: readonly Sample[]): Prepared {
  const readsOf = new Map<BatchItem, Reads>();
  const items = events.map(({ definition, id, data }, index): BatchItem => {
    const body = encodeBody(definition, data);
    const { type } = definition;
    const event = { tenant: TENANT, id, type, acceptedAt: 1_769_860_800_000, data };
    const item: BatchItem = {
      stream: 'events.0',
      offset: index + 1,
      events: 1,
      key: eventKey(TENANT, id),
      fingerprint: fingerprint(type, body),
      attempts: 0,
      event,
      definition,
      traceparent: null,
      body,
      broken: null,
    };
    readsOf.set(item, rules.get(type)!.reads(event));
    return item;
  });
  return { items, readsOf };
}

/** As the store leaves it: accounts that are read have a balance, documents are there. */
function loadedState({ readsOf }: Prepared): BatchState {
  const state = new BatchState();
  for (const { accounts = [] } of readsOf.values())
    for (const { account, unit } of accounts)
      state.slot(TENANT, account, unit).base = unit === 'results' ? 0 : BALANCE;
  state.setDocuments(TENANT, 'partners', terms);
  return state;
}

function plan({ items, readsOf }: Prepared, state: BatchState): BatchPlan {
  const planned = planBatch({ items, readsOf, known: new Map(), rules, state, deferralsMax: 3 });
  if (planned.outcomes.some(({ reason }) => reason !== null) || planned.dead.length > 0)
    throw new Error('an event of the bench was not posted');
  return planned;
}

interface BareLeg {
  account: string;
  unit: string;
  amount: number;
}
interface Sum {
  running: number;
  count: number;
}

function legsOf({ outcomes }: BatchPlan): BareLeg[][] {
  return outcomes.map(({ entries }) =>
    entries.map(({ slot: { account, unit }, amount }) => ({ account, unit, amount })),
  );
}

function addLegs(events: readonly BareLeg[][], sums: Map<string, Sum>): number {
  for (const legs of events)
    for (const { account, unit, amount } of legs) {
      const name = `${account}\n${unit}`;
      let sum = sums.get(name);
      if (!sum) sums.set(name, (sum = { running: 0, count: 0 }));
      sum.running += amount;
      sum.count += 1;
    }
  return events.length;
}
