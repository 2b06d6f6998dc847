// Loading a batch from the model of the ledger, as BatchLoader does from Postgres: what is asked is
// settled when it is sent, what is found is one snapshot. Rules of the simulator need no documents.
// Invariant: it gives no more than was asked for.
import { BatchState } from '../../src/ledger/state.ts';
import type { LoadRequest, LoadedBatch } from '../../src/store/load.ts';
import type { Ledger } from './ledger.ts';
import { simulatedRules } from './traffic.ts';

interface Found {
  known: [string, NonNullable<ReturnType<Ledger['outcomes']['get']>>][];
  elsewhere: string[];
  bases: number[];
  positions: [string, number][];
}

export async function load(
  { items, probe, isSettled, accounts = [], streams = [] }: LoadRequest,
  ledger: Ledger,
  query: (ask: () => Found) => Promise<Found>,
): Promise<LoadedBatch> {
  const state = new BatchState();
  const readsOf: LoadedBatch['readsOf'] = new Map();
  for (const item of items) {
    const rule = item.broken ? undefined : simulatedRules.get(item.event.type);
    if (rule) readsOf.set(item, rule.reads(item.event));
  }
  const slots = [...readsOf].flatMap(([{ event }, reads]) =>
    (reads.accounts ?? []).map(({ account, unit }) => state.slot(event.tenant, account, unit)),
  );
  for (const { tenant, account, unit } of accounts) slots.push(state.slot(tenant, account, unit));
  const settled = items.filter((item) => isSettled(item)).map(({ key }) => key);
  const suspects = items.filter((item) => probe || isSettled(item) || item.attempts > 0);
  const found = await query(() => ({
    known: suspects.flatMap(({ key }): Found['known'] => {
      const outcome = ledger.outcomes.get(key);
      return outcome ? [[key, outcome]] : [];
    }),
    elsewhere: settled.filter((key) => ledger.isElsewhere(key)),
    bases: slots.map(({ account }) => ledger.accounts.get(account)?.balance ?? 0),
    positions: streams.map((name) => [name, ledger.streams.get(name)!.settled]),
  }));
  for (const [index, slot] of slots.entries()) slot.base = found.bases[index]!;
  return {
    state,
    readsOf,
    known: new Map(found.known),
    elsewhere: new Set(found.elsewhere),
    positions: Object.fromEntries(found.positions),
  };
}
