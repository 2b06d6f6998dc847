// Events accepted a short while ago, by tenant and id, so that a repeat is answered with the first
// position at once. A help, not the authority: the ledger refuses repeats for ever.
// Invariant: an event whose append failed counts as never seen, so that a retry is appended again.
import type { Topic } from '../../schemas/events.ts';
import type { Waiter } from '../stream/append.ts';
import { streamName } from '../stream/topology.ts';

/** What Redis said, or will say, to a group of events that were appended together. */
export class Receipt implements Waiter {
  private first = 0;
  private error: Error | null = null;
  private waiting: PromiseWithResolvers<void> | null = null;
  private readonly prefix: string;

  constructor(topic: Topic, partition: number) {
    this.prefix = `${streamName(topic, partition)}.`;
  }

  appended(first: number): void {
    this.first = first;
    this.waiting?.resolve();
  }

  refused(error: Error): void {
    this.error = error;
    this.waiting?.reject(error);
  }

  get failed(): boolean {
    return this.error !== null;
  }

  /** Null when nothing is to be waited for; rejects with what the append was refused with. */
  get settled(): Promise<void> | null {
    if (this.first > 0) return null;
    if (this.error !== null) return Promise.reject(this.error);
    this.waiting ??= Promise.withResolvers<void>();
    return this.waiting.promise;
  }

  /** Of the event at this place in the group, once it is settled. */
  position(index: number): string {
    return this.prefix + (this.first + index);
  }
}

export interface RecentEvent {
  fingerprint: bigint;
  receipt: Receipt;
  /** Place among the events that the receipt is for. */
  index: number;
}

type Generation = Map<number, Map<string, RecentEvent>>;

export class RecentEvents {
  private current: Generation = new Map();
  private previous: Generation = new Map();
  private size = 0;

  /** Holds from half of `eventsMax` up to all of it: two generations, the older dropped whole. */
  constructor(private readonly eventsMax: number) {}

  find(tenant: number, id: string): RecentEvent | undefined {
    const event = this.current.get(tenant)?.get(id) ?? this.previous.get(tenant)?.get(id);
    return event?.receipt.failed ? undefined : event;
  }

  /** Redis went away and may come back without what it had: ask it again for everything. */
  clear(): void {
    this.current = new Map();
    this.previous = new Map();
    this.size = 0;
  }

  add(tenant: number, id: string, event: RecentEvent): void {
    if (this.size >= this.eventsMax / 2) {
      this.previous = this.current;
      this.current = new Map();
      this.size = 0;
    }
    let ofTenant = this.current.get(tenant);
    if (!ofTenant) this.current.set(tenant, (ofTenant = new Map()));
    ofTenant.set(id, event);
    this.size++;
  }
}
