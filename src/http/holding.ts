// Where refused requests wait for their answer. A refusal costs the process almost what an answer
// does (the two system calls), and a caller that is refused at once is back at once: then nothing
// but refusals gets done. Held, its connection stays quiet meanwhile.
// Invariant: nobody is held longer than one and a half times the holding time.

const TICK_MS = 20;
/** About 4 KB each; who is refused beyond them hears it at once. */
const HELD_MAX = 10_000;
/** Successive multiples of it modulo 1 are spread evenly: callers must not come back as a crowd. */
const SPREAD = 0.618_034;

interface Slot {
  count: number;
  promise: Promise<void>;
  resolve(): void;
}

export class Holding {
  held = 0;
  private readonly slots = new Map<number, Slot>();
  private timer: Timer | undefined;
  private turn = 0;

  constructor(private readonly holdMs: number) {}

  /** Resolves when the refusal is to be answered; null for at once. */
  enter(nowMs = performance.now()): Promise<void> | null {
    if (this.holdMs === 0 || this.held >= HELD_MAX) return null;
    this.turn = (this.turn + SPREAD) % 1;
    const dueMs = nowMs + this.holdMs * (0.5 + this.turn);
    const slot = this.slotAt(Math.floor(dueMs / TICK_MS));
    slot.count++;
    this.held++;
    this.timer ??= setInterval(() => this.answer(performance.now()), TICK_MS);
    return slot.promise;
  }

  /** Nobody waits any longer. */
  release(): void {
    this.answer(Infinity);
  }

  /** Those whose time has come. */
  answer(nowMs: number): void {
    for (const [tick, slot] of this.slots) {
      if (tick * TICK_MS > nowMs) continue;
      this.slots.delete(tick);
      this.held -= slot.count;
      slot.resolve();
    }
    if (this.slots.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private slotAt(tick: number): Slot {
    let slot = this.slots.get(tick);
    if (!slot) {
      slot = { count: 0, ...Promise.withResolvers<void>() };
      this.slots.set(tick, slot);
    }
    return slot;
  }
}
