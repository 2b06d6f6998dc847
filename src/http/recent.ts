// Events accepted a short while ago, by tenant and id, so that a repeat is answered with the first
// position at once. A help, not the authority: the ledger refuses repeats for ever.
// Invariant: an entry is dropped when its append fails, so that a retry is appended again.

export interface RecentEvent {
  fingerprint: bigint;
  /** A promise while Redis has not answered yet. */
  position: string | Promise<string>;
}

export class RecentEvents {
  private current = new Map<string, RecentEvent>();
  private previous = new Map<string, RecentEvent>();

  /** Holds from half of `eventsMax` up to all of it: two generations, the older dropped whole. */
  constructor(private readonly eventsMax: number) {}

  find(tenant: number, id: string): RecentEvent | undefined {
    const key = `${tenant} ${id}`;
    return this.current.get(key) ?? this.previous.get(key);
  }

  /** Redis went away and may come back without what it had: ask it again for everything. */
  clear(): void {
    this.current.clear();
    this.previous.clear();
  }

  /** Notes an event whose append has begun; forgets it if that fails. */
  add(tenant: number, id: string, fingerprint: bigint, position: Promise<string>): void {
    const key = `${tenant} ${id}`;
    const event: RecentEvent = { fingerprint, position };
    if (this.current.size >= this.eventsMax / 2) {
      this.previous = this.current;
      this.current = new Map();
    }
    this.current.set(key, event);
    position.then(
      (known) => {
        event.position = known;
      },
      () => {
        if (this.current.get(key) === event) this.current.delete(key);
        if (this.previous.get(key) === event) this.previous.delete(key);
      },
    );
  }
}
