// Keeps this worker's leases: renews, takes over what it should own, hands over what it should not.
// Invariant: a stream leaves our hands only with nothing of it in memory (hand-over), or fenced:
// its epoch in Postgres is no longer the one that our writes name.
import { type Topic, topics } from '../../schemas/events.ts';
import type { LeaseStore, LeaseView, StreamRow } from '../store/leases.ts';
import { desiredOwner } from './assignment.ts';
import { OwnedStream } from './owned-stream.ts';
import type { World } from './ports.ts';
import { PARTITIONS, parsePosition, streamName } from './topology.ts';

export function streamsOf(taken: readonly Topic[]): string[] {
  return taken.flatMap((topic) =>
    Array.from({ length: PARTITIONS }, (_, partition) => streamName(topic, partition)),
  );
}

export const allStreams: readonly string[] = streamsOf(topics);

export interface LeaseKeeperOptions {
  worker: string;
  store: LeaseStore;
  renewMs: number;
  world: World;
  /** Called when a newer process of our name has taken our place. */
  onSuperseded(): void;
}

export class LeaseKeeper {
  readonly owned = new Map<string, OwnedStream>();
  /** Streams that another worker should own: read no more of them, release when empty. */
  private readonly leaving = new Set<string>();
  private callOff: () => void = () => {};
  private busy: Promise<void> | null = null;
  private stopping = false;

  constructor(private readonly options: LeaseKeeperOptions) {}

  async start(): Promise<void> {
    await this.tick(true);
    this.renewLater();
  }

  /** Streams to read from now. */
  readable(): OwnedStream[] {
    return [...this.owned.values()].filter((stream) => !this.leaving.has(stream.name));
  }

  holds(stream: OwnedStream): boolean {
    return this.owned.get(stream.name) === stream;
  }

  /** Renews and reconciles with Postgres now; calls during one share it. */
  refresh(): Promise<void> {
    this.busy ??= this.tick(false).finally(() => {
      this.busy = null;
    });
    return this.busy;
  }

  /** Stops renewing and gives everything back at once; what is in memory must be settled before. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.callOff();
    await this.busy?.catch(() => {});
    await this.options.store.release([...this.owned.values()]);
    this.owned.clear();
    await this.options.store.leave();
  }

  private renewLater(): void {
    const { world, renewMs } = this.options;
    this.callOff = world.time.after(renewMs, () => {
      this.renewLater();
      this.refresh().catch((error: unknown) =>
        world.log.warn({ error: String(error) }, 'could not renew leases'),
      );
    });
  }

  private async tick(starting: boolean): Promise<void> {
    // What was confirmed before we ask is in the answer, unless the ledger has lost it.
    const confirmed = new Map([...this.owned.values()].map((one) => [one, one.settled]));
    const view = await this.options.store.renew(starting);
    if (!view.current) {
      this.owned.clear();
      this.options.onSuperseded();
      return;
    }
    if (this.stopping) return;
    this.dropLost(view, confirmed);
    for (const row of view.streams) await this.reconcile(row);
  }

  private dropLost(view: LeaseView, confirmed: ReadonlyMap<OwnedStream, number>): void {
    const rows = new Map(view.streams.map((row) => [row.stream, row]));
    for (const stream of this.owned.values()) {
      const row = rows.get(stream.name);
      const forgotten = row ? (confirmed.get(stream) ?? 0) - row.settled : 0;
      if (row?.epoch === stream.epoch && forgotten <= 0) {
        stream.settledSeen = row.settled;
        continue;
      }
      this.owned.delete(stream.name);
      this.leaving.delete(stream.name);
      const said = { stream: stream.name };
      // Taken over anew, it is read from where the ledger is now, under an epoch of its own.
      if (forgotten > 0)
        this.options.world.log.error({ ...said, forgotten }, 'Postgres has lost commits');
      else this.options.world.log.warn(said, 'lost the lease of a stream');
    }
  }

  private async reconcile(row: StreamRow): Promise<void> {
    const { worker, store } = this.options;
    const wanted = desiredOwner(row.stream, row.takers) === worker;
    const held = this.owned.get(row.stream);
    if (wanted) {
      this.leaving.delete(row.stream);
      const { owner, takers } = row;
      if (!held && (owner === null || owner === worker || !takers.includes(owner)))
        await this.acquire(row.stream);
    } else if (held) {
      this.leaving.add(row.stream);
      if (held.inMemory > 0) return;
      await store.release([held]);
      this.owned.delete(row.stream);
      this.leaving.delete(row.stream);
    } else if (row.owner === worker) {
      // Ours without our knowing: the reply to an acquisition was lost, or a process of our name
      // had it before us. While we live nobody else may take it, so it is given back.
      await store.release([{ name: row.stream, epoch: row.epoch }]);
    }
  }

  private async acquire(name: string): Promise<void> {
    const lease = await this.options.store.acquire(name);
    const position = parsePosition(`${name}.0`, topics);
    if (!lease || !position || this.stopping) return;
    const { topic, partition } = position;
    this.owned.set(name, new OwnedStream(topic, partition, lease.epoch, lease.settled));
  }
}
