// The virtual clock, and the one place that decides what goes on next: what is due first, and of
// what is due together, what was asked first. A step runs one continuation and everything that
// follows from it at once (all microtasks), so that a run is a function of its seed.
// Invariant: nothing runs for a process that is dead or frozen.
import { drainMicrotasks } from 'bun:jsc';
import { mix } from './chance.ts';

/** Whose continuations are run: a worker, a client. Frozen, they wait; dead, they are dropped. */
export class Process {
  alive = true;
  frozenUntilMs = 0;

  constructor(
    readonly name: string,
    readonly number: number,
  ) {}
}

interface Continuation {
  dueMs: number;
  order: number;
  process: Process | null;
  run: (() => void) | null;
}

const START_MS = 1_700_000_000_000;

export class Scheduler {
  nowMs = START_MS;
  steps = 0;
  /** Of everything that was run, in order: two runs with one hash were the same run. */
  hash = 0;
  /** How often somebody has looked at the clock in this step. */
  looks = 0;
  private readonly heap: Continuation[] = [];
  private order = 0;

  get sinceStartMs(): number {
    return this.nowMs - START_MS;
  }

  /** Gives what calls it off. A `process` of null is a server's, or the world's. */
  after(ms: number, process: Process | null, run: () => void): () => void {
    const continuation = { dueMs: this.nowMs + ms, order: this.order++, process, run };
    this.push(continuation);
    return () => void ((continuation as Continuation).run = null);
  }

  /** Runs the next continuation; false when none is left. */
  step(): boolean {
    for (;;) {
      const next = this.pop();
      if (!next) return false;
      const { process, run } = next;
      if (!run || process?.alive === false) continue;
      if (process && process.frozenUntilMs > next.dueMs) {
        next.dueMs = process.frozenUntilMs;
        this.push(next);
        continue;
      }
      this.nowMs = next.dueMs;
      this.steps++;
      this.looks = 0;
      this.hash = mix(this.hash, next.order, process?.number ?? 0, (this.nowMs * 64) | 0);
      run();
      drainMicrotasks();
      return true;
    }
  }

  private push(added: Continuation): void {
    const { heap } = this;
    let index = heap.length;
    heap.push(added);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!before(added, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = added;
  }

  private pop(): Continuation | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (!last || heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

function before(one: Continuation, other: Continuation): boolean {
  return one.dueMs < other.dueMs || (one.dueMs === other.dueMs && one.order < other.order);
}
