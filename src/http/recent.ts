// Events accepted a short while ago, by tenant and id, so that a repeat is answered with the first
// position at once. A help, not the authority: the ledger refuses repeats for ever.
// Invariant: an event whose append failed counts as never seen, so that a retry is appended again.
import type { Topic } from '../../schemas/events.ts';
import { formatPosition } from '../stream/topology.ts';

/** What Redis said, or will say, to a group of events that were appended together. */
export class Receipt {
  failed = false;
  private first = 0;
  /** Rejects with what the append was refused with. */
  readonly settled: Promise<void>;

  constructor(
    private readonly topic: Topic,
    private readonly partition: number,
    appended: Promise<number>,
  ) {
    this.settled = appended.then(
      (offset) => {
        this.first = offset;
      },
      (error: unknown) => {
        this.failed = true;
        throw error;
      },
    );
  }

  get isSettled(): boolean {
    return this.first > 0;
  }

  /** Of the event at this place in the group, once it is settled. */
  position(index: number): string {
    return formatPosition(this.topic, this.partition, this.first + index);
  }
}

/** Of events whose request broke before they were appended. */
export const NEVER_SENT = new Receipt('events', 0, Promise.resolve(0));
NEVER_SENT.failed = true;

export interface RecentEvent {
  fingerprint: bigint;
  /** Null while the request that brought it is still being read. */
  receipt: Receipt | null;
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
    return event?.receipt?.failed ? undefined : event;
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
