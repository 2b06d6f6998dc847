// One direction of a connection through the proxy, and what toxics do to it.
// Invariant: bytes keep their order; what has been swallowed is never delivered.
import type { Socket } from 'node:net';
import type { Dice } from './dice.ts';

export type Direction = 'up' | 'down' | 'both';

export type Toxic = { direction: Direction } & (
  | { kind: 'latency'; delayMs: number; jitterMs: number }
  | { kind: 'slicer'; bytes: number; pauseMs: number }
  | { kind: 'bandwidth'; bytesPerMs: number }
  /** Nothing passes until it is taken off; then all of it does. */
  | { kind: 'stall' }
  /** Bytes vanish, no FIN is sent. What has lost some is reset when the toxic is taken off. */
  | { kind: 'blackhole' }
);

/** The proxy, as far as its pipes look at it. */
export interface Harmed {
  readonly toxics: ReadonlySet<Toxic>;
  readonly dice: Dice;
}

/** One direction of a connection: a queue that is emptied in order, as the toxics allow. */
export class Pipe {
  swallowed = false;
  private readonly queue: (Buffer | 'end')[] = [];
  private running = false;
  private stopped = false;
  private resume: (() => void) | null = null;

  constructor(
    private readonly proxy: Harmed,
    private readonly direction: 'up' | 'down',
    private readonly from: Socket,
    private readonly to: Socket,
  ) {}

  push(chunk: Buffer): void {
    this.queue.push(chunk);
    if (!this.running) void this.run();
  }

  end(): void {
    this.queue.push('end');
    if (!this.running) void this.run();
  }

  wake(): void {
    this.resume?.();
  }

  stop(): void {
    this.stopped = true;
    this.queue.length = 0;
    this.wake();
  }

  private get toxics(): Toxic[] {
    return [...this.proxy.toxics].filter(
      ({ direction }) => direction === 'both' || direction === this.direction,
    );
  }

  private async run(): Promise<void> {
    this.running = true;
    for (let next = this.queue.shift(); next && !this.stopped; next = this.queue.shift()) {
      if (this.proxy.toxics.size > 0) await this.wait(next === 'end' ? 0 : next.byteLength);
      if (this.stopped) break;
      await this.pass(next);
    }
    this.running = false;
  }

  /** Until what is in the way of this many bytes has passed. */
  private async wait(bytes: number): Promise<void> {
    let delayMs = 0;
    for (const toxic of this.toxics) {
      if (toxic.kind === 'latency')
        delayMs += toxic.delayMs + this.proxy.dice.between(0, toxic.jitterMs);
      if (toxic.kind === 'bandwidth') delayMs += bytes / toxic.bytesPerMs;
    }
    if (delayMs > 0) await Bun.sleep(delayMs);
    while (!this.stopped && this.toxics.some(({ kind }) => kind === 'stall'))
      await new Promise<void>((resolve) => (this.resume = resolve));
  }

  private async pass(chunk: Buffer | 'end'): Promise<void> {
    const { toxics } = this;
    if (toxics.some(({ kind }) => kind === 'blackhole')) {
      this.swallowed = true;
      return;
    }
    if (chunk === 'end') return void this.to.end();
    const slicer = toxics.find((toxic) => toxic.kind === 'slicer');
    if (!slicer) return await this.write(chunk);
    for (let from = 0; from < chunk.byteLength && !this.stopped;) {
      const size = this.proxy.dice.between(1, slicer.bytes);
      await this.write(chunk.subarray(from, from + size));
      from += size;
      if (slicer.pauseMs > 0) await Bun.sleep(slicer.pauseMs);
    }
  }

  private async write(chunk: Buffer): Promise<void> {
    if (this.to.destroyed || this.to.write(chunk)) return;
    this.from.pause();
    await new Promise<void>((resolve) => {
      this.to.once('drain', resolve);
      this.to.once('close', () => resolve());
    });
    this.from.resume();
  }
}
