// Settles a batch: load, decide, write, again and again until every event of it is accounted for or
// the stream is no longer ours. One bad event must not sink its batch: a write that fails on data
// is halved until the culprit stands alone, and that one goes to the dead letters.
// Invariant: events of a stream are settled in order, and `settled` moves only with a commit.
import { sleep } from '../io/clock.ts';
import { type BatchItem, type BatchPlan, planBatch } from '../ledger/batch.ts';
import type { Rule } from '../ledger/decision.ts';
import { BatchState } from '../ledger/state.ts';
import type { LoadRequest, LoadedBatch } from '../store/load.ts';
import type { StreamStep, WriteFault, WrittenBalance } from '../store/writer.ts';
import { backoffMs } from './backoff.ts';
import type { Batch } from './batcher.ts';
import type { OwnedStream } from './owned-stream.ts';
import type { World } from './ports.ts';

export interface LedgerStore {
  load(request: LoadRequest): Promise<LoadedBatch>;
  write(plan: BatchPlan, steps: readonly StreamStep[]): Promise<WrittenBalance[]>;
  faultOf(error: unknown): WriteFault;
}

export interface Settled {
  plan: BatchPlan;
  written: readonly WrittenBalance[];
  streams: readonly OwnedStream[];
  /** Some of the batch had been committed before, unseen: what it wrote is not in `written`. */
  unseen: boolean;
}

export interface SettlerOptions {
  store: LedgerStore;
  rules: ReadonlyMap<string, Rule>;
  world: World;
  deferralsMax: number;
  /** Whether we still hold the lease of this very stream object. */
  holds(stream: OwnedStream): boolean;
  /** Reads epochs and positions again after a fence. */
  refreshLeases(): Promise<void>;
  /** After each commit, in commit order. */
  onSettled(settled: Settled): Promise<void>;
  onRetry(reason: string): void;
  isStopped(): boolean;
}

type Decidable = Pick<LoadedBatch, 'readsOf' | 'known' | 'state'>;

const BACKOFF = { baseMs: 50, maxMs: 5_000 };
/** Floors and repeats are met with fresh state; so often in a row only by a bug. */
const RELOADS_MAX = 20;
/** Guess: what one batch met, those after it will meet too. */
const CAREFUL_BATCHES = 50;

/** Thrown out of a settle that must end unfinished; the entries stay pending in Redis. */
export class SettleStopped extends Error {}

export class Settler {
  /** Batches that still ask for known outcomes, after one met a repeat. */
  private suspicious = 0;
  /** Batches that still load every account they touch, after one would have left the range. */
  private exact = 0;

  constructor(private readonly options: SettlerOptions) {}

  /** Whether a batch met a repeat or a range lately, so that more is asked for than is usual. */
  get isSuspicious(): boolean {
    return this.suspicious > 0 || this.exact > 0;
  }

  async settle(
    all: readonly BatchItem[],
    streams: ReadonlyMap<string, OwnedStream>,
  ): Promise<void> {
    let items = all;
    let reloads = 0;
    for (let attempt = 1; ;) {
      items = this.stillOurs(items, streams);
      if (items.length === 0) return;
      if (this.options.isStopped()) throw new SettleStopped();
      try {
        await this.once(items, streams, attempt > 1 || reloads > 0);
        return;
      } catch (error) {
        const fault = this.options.store.faultOf(error);
        this.options.onRetry(fault);
        const tooLarge = fault === 'slow' && items.length > 1;
        if (fault === 'data' || tooLarge || reloads > RELOADS_MAX)
          return await this.bisect(items, streams, error);
        if (fault === 'repeat') this.suspicious = CAREFUL_BATCHES;
        if (fault === 'range') this.exact = CAREFUL_BATCHES;
        if (fault === 'repeat' || fault === 'floor' || fault === 'range') {
          reloads++;
          continue;
        }
        if (fault !== 'fenced') this.warn(error, 'write failed, trying again');
        // The commit may have happened: a deferred event is looked up again, not taken from memory.
        items = items.filter((item) => item.attempts === 0);
        await this.pause(attempt++);
        await this.refresh();
        for (const stream of streams.values()) stream.catchUp();
      }
    }
  }

  private async once(
    items: readonly BatchItem[],
    streams: ReadonlyMap<string, OwnedStream>,
    probe: boolean,
  ): Promise<void> {
    const isSettled = (item: BatchItem): boolean =>
      item.attempts === 0 && item.offset <= streams.get(item.stream)!.settled;
    const suspicious = this.suspicious > 0;
    if (suspicious) this.suspicious--;
    const request = { items, probe: probe || suspicious, isSettled };
    const loaded = await this.load(request);
    const done = (item: BatchItem): boolean =>
      isSettled(item) && (loaded.known.has(item.key) || loaded.elsewhere.has(item.key));
    const open = items.filter((item) => !done(item));
    const plan = this.plan(open, loaded);
    const steps = stepsOf(open, streams, ({ settled }) => settled);
    const written = steps.length === 0 ? [] : await this.options.store.write(plan, steps);
    const unseen = open.length < items.length;
    await this.confirm({ items, streams }, steps, { plan, written, unseen });
  }

  /** Where ranges matter, decides once for the accounts it touches, and loads those too. */
  private async load(request: LoadRequest): Promise<LoadedBatch> {
    const loaded = await this.options.store.load(request);
    if (this.exact === 0) return loaded;
    this.exact--;
    const accounts = this.plan(request.items, loaded).state.touched();
    return await this.options.store.load({ ...request, accounts });
  }

  private plan(items: readonly BatchItem[], { readsOf, known, state }: Decidable): BatchPlan {
    const { rules, deferralsMax } = this.options;
    return planBatch({ items, readsOf, known, rules, state, deferralsMax });
  }

  /**
   * Counts what is gone at the end of a stream as lost. With nothing under way. Where it fails,
   * upkeep says it again.
   */
  async settleGone(stream: OwnedStream): Promise<void> {
    const { name, epoch, settled: from, goneTo: to } = stream;
    stream.goneTo = 0;
    const lost = [{ first: from + 1, count: to - from }];
    const state = new BatchState();
    const plan = this.plan([], { readsOf: new Map(), known: new Map(), state });
    try {
      await this.options.store.write(plan, [
        { stream: name, epoch, from, to, renumbered: [], lost },
      ]);
      stream.passTo(to);
    } catch (error) {
      this.options.onRetry(this.options.store.faultOf(error));
      this.warn(error, 'could not count lost events, trying again');
      await this.refresh();
      // The commit may have happened.
      stream.catchUp();
      stream.passTo(stream.settled);
    }
    if (stream.settled < to) return;
    this.options.world.log.error({ stream: name, lost: to - from }, 'accepted events are gone');
    await this.options.onSettled({ plan, written: [], streams: [stream], unseen: false });
  }

  /** After a commit: positions move, entries may be acknowledged. */
  async confirm(
    { items, streams }: Batch,
    steps: readonly StreamStep[],
    committed: Omit<Settled, 'streams'>,
  ): Promise<void> {
    for (const step of steps) streams.get(step.stream)!.settled = step.to;
    for (const item of items) if (item.attempts === 0) streams.get(item.stream)!.itemSettled(item);
    const names = new Set(items.map((item) => item.stream));
    const touched = [...names].map((name) => streams.get(name)!);
    await this.options.onSettled({ ...committed, streams: touched });
  }

  private async bisect(
    items: readonly BatchItem[],
    streams: ReadonlyMap<string, OwnedStream>,
    error: unknown,
  ): Promise<void> {
    this.options.onRetry('bisection');
    if (items.length === 1) {
      const [item] = items;
      // A dead letter that cannot be written either is no data error: it is retried, loudly.
      if (item!.broken) await this.pause(10);
      item!.broken = { reason: 'write_failed', detail: messageOf(error) };
      return await this.settle(items, streams);
    }
    const middle = items.length >> 1;
    await this.settle(items.slice(0, middle), streams);
    await this.settle(items.slice(middle), streams);
  }

  stillOurs(
    items: readonly BatchItem[],
    streams: ReadonlyMap<string, OwnedStream>,
  ): readonly BatchItem[] {
    const lost = [...streams.values()].filter((stream) => !this.options.holds(stream));
    if (lost.length === 0) return items;
    const names = new Set(lost.map((stream) => stream.name));
    return items.filter((item) => !names.has(item.stream));
  }

  private async refresh(): Promise<void> {
    await this.options
      .refreshLeases()
      .catch((error: unknown) => this.warn(error, 'could not read the leases'));
  }

  private async pause(attempt: number): Promise<void> {
    const { time, random } = this.options.world;
    await sleep(backoffMs(attempt, BACKOFF, random), time);
  }

  private warn(error: unknown, what: string): void {
    this.options.world.log.warn({ error: String(error) }, what);
  }
}

/** How each stream moves. A hole in the offsets means that Redis has lost entries: it is counted. */
export function stepsOf(
  items: readonly BatchItem[],
  streams: ReadonlyMap<string, OwnedStream>,
  from: (stream: OwnedStream) => number,
): StreamStep[] {
  const steps = new Map<string, StreamStep>();
  for (const item of items) {
    const stream = streams.get(item.stream)!;
    let step = steps.get(item.stream);
    if (!step) {
      const start = from(stream);
      const { epoch } = stream;
      step = { stream: item.stream, epoch, from: start, to: start, renumbered: [], lost: [] };
      steps.set(item.stream, step);
    }
    if (item.attempts > 0) continue;
    const last = item.offset + item.events - 1;
    // Offsets that others have had: settled before, or in this very batch, where what was read
    // before Redis lost its tail meets what came after it.
    const again = Math.min(last, step.to) - item.offset + 1;
    if (again > 0) step.renumbered.push({ first: item.offset, count: again });
    const missing = item.offset - step.to - 1;
    if (missing > 0) step.lost.push({ first: step.to + 1, count: missing });
    step.to = Math.max(step.to, last);
  }
  return [...steps.values()];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
