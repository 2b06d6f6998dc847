// Keeps two writes under way: while Postgres writes one batch, the next is loaded, decided, sent
// and parsed, and waits there for the row lock of its streams. The database keeps the order: the
// second write names the position that the first will reach, so it cannot commit without it.
// A batch goes ahead only when what it decides on cannot be changed by the writes under way; else,
// and after any failure, batches go one by one through the settler.
// Invariant: a decision never misses an effect of an earlier batch of this worker.
import { type BatchPlan, planBatch } from '../ledger/batch.ts';
import type { StreamStep, WrittenBalance } from '../store/writer.ts';
import type { Batch } from './batcher.ts';
import type { OwnedStream } from './owned-stream.ts';
import { type Settler, type SettlerOptions, stepsOf } from './settle.ts';

interface Flight {
  batch: Batch;
  plan: BatchPlan;
  steps: StreamStep[];
  /** Keys of the accounts that it changes. */
  touched: ReadonlySet<string>;
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
    await this.settler.settle(batch.items, batch.streams);
    for (const stream of batch.streams.values()) stream.planned = stream.settled;
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
    // Taken before the load: a write that ends during it may or may not have been seen by it.
    const underWay = new Set(this.flights.flatMap(({ touched }) => [...touched]));
    const isSettled = (): boolean => false;
    const loaded = await store.load({ items, probe: false, isSettled }).catch(() => null);
    if (!loaded || loaded.state.loaded().some(({ key }) => underWay.has(key))) return null;
    const { readsOf, known, state } = loaded;
    const plan = planBatch({ items, readsOf, known, rules, state, deferralsMax });
    const steps = stepsOf(items, streams, isSettled, ({ planned }) => planned);
    for (const step of steps) streams.get(step.stream)!.planned = step.to;
    const touched = new Set(state.touched().map(({ key }) => key));
    const outcome = store.write(plan, steps).then(
      (written) => ({ written }),
      (error: unknown) => ({ error }),
    );
    return { batch, plan, steps, touched, outcome };
  }

  /** Waits for the oldest write. When it failed, what stood on it fails too, and all go one by one. */
  private async land(): Promise<void> {
    const flight = this.flights.shift()!;
    const outcome = await flight.outcome;
    if ('written' in outcome) return await this.confirm(flight, outcome.written);
    const failed: Batch[] = [flight.batch];
    for (const next of this.flights.splice(0)) {
      const after = await next.outcome;
      // It had streams of its own only.
      if ('written' in after) await this.confirm(next, after.written);
      else failed.push(next.batch);
    }
    const streams = new Set<OwnedStream>(failed.flatMap((batch) => [...batch.streams.values()]));
    for (const stream of streams) stream.planned = stream.settled;
    this.options.onRetry('pipeline');
    for (const batch of failed) await this.settler.settle(batch.items, batch.streams);
    for (const stream of streams) stream.planned = stream.settled;
  }

  private async confirm(flight: Flight, written: WrittenBalance[]): Promise<void> {
    const { batch, steps, plan } = flight;
    await this.settler.confirm(batch, steps, { plan, written, unseen: false });
  }
}
