// Asks for due deferred events now and then; called between batches, so none is handed out twice.
import type { BatchItem } from '../ledger/batch.ts';
import type { LeaseKeeper } from './lease.ts';
import type { World } from './ports.ts';

export interface DeferredStore {
  /** Events of these streams whose time has come. */
  due(streams: readonly string[], limit: number): Promise<BatchItem[]>;
}

const ASK_MS = 250;
const RETRIES_MAX = 500;

export class RetryQueue {
  private nextAt = 0;

  constructor(
    private readonly deferred: DeferredStore,
    private readonly leases: LeaseKeeper,
    private readonly world: World,
  ) {}

  async due(): Promise<BatchItem[]> {
    const now = this.world.time.now();
    if (now < this.nextAt) return [];
    this.nextAt = now + ASK_MS;
    const names = this.leases.readable().map((stream) => stream.name);
    return await this.deferred.due(names, RETRIES_MAX).catch((error: unknown) => {
      this.world.log.warn({ error: String(error) }, 'could not ask for deferred events');
      return [];
    });
  }
}
