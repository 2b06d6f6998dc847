// Keeps two writes under way: while Postgres writes one batch, the next is loaded, decided, sent
// and parsed, and waits there for the row lock of its streams. The database keeps the order: the
// second write names the position that the first will reach, so it cannot commit without it.
// Balances are loaded with the position of a stream that both batches have: it says whether the
// write before was seen; what was not is added from its plan. What cannot go ahead like this, and
// everything after a failure, goes one by one through the settler.
// Invariant: a decision never misses an effect of an earlier batch of this worker.
import { type BatchItem, type BatchPlan, planBatch } from '../ledger/batch.ts';
import type { LoadedBatch } from '../store/load.ts';
import type { StreamStep, WrittenBalance } from '../store/writer.ts';
import type { Batch } from './batcher.ts';
import type { OwnedStream } from './owned-stream.ts';
import { type Settler, type SettlerOptions, stepsOf } from './settle.ts';

interface Flight {
  batch: Batch;
  plan: BatchPlan;
  steps: StreamStep[];
  /** What it adds to each account, by key. */
  deltas: ReadonlyMap<string, number>;
  /** What it makes of each entity, by name. */
  saved: ReadonlyMap<string, object | null>;
  outcome: Promise<{ written: WrittenBalance[] } | { error: unknown }>;
}

/** One being written, one waiting behind it; a third would only wait longer. */
const FLIGHTS_MAX = 2;

export class Pipeline {
  private flights: Flight[] = [];

  constructor(
    private readonly settler: Settler,
    private readonly options: SettlerOptions,
  ) {}

  /** Resolves when the batch is settled or under way; rejects with SettleStopped. */
  async submit(batch: Batch): Promise<void> {
    while (this.flights.length >= FLIGHTS_MAX) await this.land();
    const flight = this.mayGoAhead(batch) ? await this.launch(batch) : null;
    if (flight) {
      this.flights.push(flight);
      return;
    }
    await this.drain();
    await this.oneByOne([batch]);
  }

  /** What is gone at the end of streams is counted, with nothing under way. */
  async settleGone(streams: readonly OwnedStream[]): Promise<void> {
    for (const stream of streams) {
      if (stream.goneTo <= stream.planned) continue;
      await this.drain();
      if (stream.goneTo > stream.settled) await this.settler.settleGone(stream);
    }
  }

  /** Resolves when nothing is under way. */
  async drain(): Promise<void> {
    while (this.flights.length > 0) await this.land();
  }

  /** Only what is plainly new: no repeats to look up, nothing broken, all of it still ours. */
  private mayGoAhead({ items, streams }: Batch): boolean {
    return (
      !this.settler.isSuspicious &&
      this.settler.stillOurs(items, streams).length === items.length &&
      items.every(
        (item) =>
          item.attempts === 0 && !item.broken && item.offset > streams.get(item.stream)!.planned,
      )
    );
  }

  private async launch(batch: Batch): Promise<Flight | null> {
    const { items, streams } = batch;
    const { store, rules, deferralsMax } = this.options;
    const underWay = [...this.flights];
    const common = underWay.map(({ steps }) => commonStep(steps, items));
    const isSettled = (): boolean => false;
    const request = {
      items,
      probe: false,
      isSettled,
      streams: common.flatMap((step) => (step ? [step.stream] : [])),
    };
    const loaded = await store.load(request).catch(() => null);
    if (!loaded) return null;
    for (const [index, flight] of underWay.entries())
      if (!addUnseen(loaded, flight, common[index]!)) return null;
    const { readsOf, known, state } = loaded;
    const plan = planBatch({ items, readsOf, known, rules, state, deferralsMax });
    const steps = stepsOf(items, streams, ({ planned }) => planned);
    for (const step of steps) streams.get(step.stream)!.planned = step.to;
    const deltas = new Map(state.touched().map(({ key, running }) => [key, running]));
    const saved = new Map(
      [...state.recordSlots()]
        .filter(([, { changed }]) => changed)
        .map(([name, { body }]) => [name, body]),
    );
    const outcome = store.write(plan, steps).then(
      (written) => ({ written }),
      (error: unknown) => ({ error }),
    );
    return { batch, plan, steps, deltas, saved, outcome };
  }

  /** Waits for the oldest write. When it failed, what stood on it fails too, and all go one by one. */
  private async land(): Promise<void> {
    const flight = this.flights.shift()!;
    const outcome = await flight.outcome;
    if ('written' in outcome) return await this.confirm(flight, outcome.written, false);
    const failed: Batch[] = [flight.batch];
    for (const next of this.flights.splice(0)) {
      const after = await next.outcome;
      // It had streams of its own only, or the one before has committed and its reply was lost.
      if ('written' in after) await this.confirm(next, after.written, standsOn(next, flight));
      else failed.push(next.batch);
    }
    this.options.onRetry('pipeline');
    await this.oneByOne(failed);
  }

  /** With nothing under way; what comes after goes on from where these have ended. */
  private async oneByOne(batches: readonly Batch[]): Promise<void> {
    for (const { items, streams } of batches) await this.settler.settle(items, streams);
    for (const { streams } of batches)
      for (const stream of streams.values()) stream.planned = stream.settled;
  }

  private async confirm(
    { batch, steps, plan }: Flight,
    written: WrittenBalance[],
    unseen: boolean,
  ): Promise<void> {
    await this.settler.confirm(batch, steps, { plan, written, unseen });
  }
}

/** A stream that a flight moves and these items go on with: without it, they do not stand on it. */
function commonStep(steps: readonly StreamStep[], items: readonly BatchItem[]): StreamStep | null {
  const names = new Set(items.map((item) => item.stream));
  return steps.find((step) => names.has(step.stream)) ?? null;
}

/** It could not have committed without the other. */
function standsOn(flight: Flight, before: Flight): boolean {
  return flight.steps.some(({ stream }) => before.steps.some((step) => step.stream === stream));
}

/** Gives whether the loaded balances and entities now include the flight. */
function addUnseen(
  { state, positions }: LoadedBatch,
  flight: Flight,
  common: StreamStep | null,
): boolean {
  const touched = state.loaded().filter(({ key }) => flight.deltas.has(key));
  const changed = [...state.recordSlots()].filter(([name]) => flight.saved.has(name));
  if (touched.length + changed.length === 0) return true;
  if (!common) return false;
  // Seen: the commit that moved the stream is the one that changed the balances.
  if (positions[common.stream]! >= common.to) return true;
  for (const slot of touched) slot.base = slot.base! + flight.deltas.get(slot.key)!;
  for (const [name, slot] of changed) slot.body = flight.saved.get(name)!;
  return true;
}
