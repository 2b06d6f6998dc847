// How long a request that arrives now waits for its turn. A busy process cannot see what waits in
// the sockets of its clients, so it sends itself a byte now and then: the kernel hands out ready
// sockets in the order in which they became ready, and the byte queues behind all of them.
// Invariant: a wait counts from when the byte was due, so a process that did not even come to send
// it cannot hide that; one byte at a time is under way.
import type { Socket } from 'bun';

const EVERY_MS = 20;
const AGAIN_MS = 1_000;

export interface Wait {
  ms: number;
  /** How much of it is laid to this process. When others take the processor, requests wait too, but
   * turning some away would not give it back. */
  ownMs: number;
}

/** Beside worker and stores a quarter of a core may be left to us; getting less is no overload. */
const WAIT_PER_WORK = 4;

export class LoopWait {
  private sender: Socket | null = null;
  private receiver: Socket | null = null;
  private dueMs = 0;
  private usedMs = 0;
  private timer: Timer | undefined;
  private stopped = false;

  constructor(private readonly observe: (wait: Wait, nowMs: number) => void) {}

  async start(): Promise<void> {
    await this.connect();
    this.schedule();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.sender?.terminate();
    this.receiver?.terminate();
  }

  /** The port is open for this one connection only. */
  private async connect(): Promise<void> {
    const listener = Bun.listen({
      hostname: '127.0.0.1',
      port: 0,
      socket: {
        open: (socket) => void (this.receiver = socket),
        data: () => this.arrived(),
        close: () => this.lost(),
      },
    });
    try {
      this.sender = await Bun.connect({
        hostname: '127.0.0.1',
        port: listener.port,
        socket: { data: () => {} },
      });
      this.sender.setNoDelay(true);
    } finally {
      listener.stop();
    }
  }

  private schedule(): void {
    this.dueMs = performance.now() + EVERY_MS;
    this.usedMs = processorMs();
    this.timer = setTimeout(() => this.sender?.write('.'), EVERY_MS);
    this.timer.unref();
  }

  private arrived(): void {
    const nowMs = performance.now();
    const ms = Math.max(0, nowMs - this.dueMs);
    const workMs = processorMs() - this.usedMs;
    this.observe({ ms, ownMs: Math.min(ms, workMs * WAIT_PER_WORK) }, nowMs);
    this.schedule();
  }

  /** A connection of a process to itself does not end; without it nothing would be known. */
  private lost(): void {
    if (!this.stopped)
      this.start().catch(() => {
        // Out of ports or of files: waits count as what they last were until there are some again.
        setTimeout(() => this.lost(), AGAIN_MS).unref();
      });
  }
}

function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
