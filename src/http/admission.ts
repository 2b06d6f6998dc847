// Admission: whether a request may come in at all, asked before its key or its body is looked at.
// Invariant: past the limits the answer is 503 with Retry-After, at the price of a comparison.
import type { Redis } from 'ioredis';
import { topics } from '../../schemas/events.ts';
import { PARTITIONS, offsetKey, settledKey } from '../stream/topology.ts';
import { type Problem, unavailable } from './problem.ts';

export interface AdmissionOptions {
  requestsInFlightMax: number;
  /** Events accepted but not yet settled, over all streams. */
  backlogEventsMax: number;
  /** How often the backlog is looked at, and so how far behind the truth it may be. */
  backlogPollMs?: number;
}

export class Admission {
  inFlight = 0;
  /** Set when the process is about to stop: /readyz says so, and requests still run. */
  draining = false;
  backlogEvents = 0;
  private timer: Timer | undefined;
  private idle: (() => void)[] = [];

  constructor(
    private readonly redis: Redis,
    readonly options: AdmissionOptions,
  ) {}

  /** Begins to follow the backlog. */
  async start(): Promise<void> {
    await this.measureBacklog();
    this.timer = setInterval(() => void this.measureBacklog(), this.options.backlogPollMs ?? 500);
    this.timer.unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** `accepts`: the request would append to a stream. */
  refusal(accepts: boolean): Problem | null {
    if (this.inFlight >= this.options.requestsInFlightMax)
      return unavailable('overloaded', 'Too many requests are in flight.');
    if (!accepts) return null;
    if (this.redis.status !== 'ready') return unavailable('store_unavailable', 'Redis is away.');
    if (this.backlogEvents > this.options.backlogEventsMax)
      return unavailable('overloaded', 'Too many accepted events wait for the ledger.', 5);
    return null;
  }

  leave(): void {
    if (--this.inFlight === 0) for (const resolve of this.idle.splice(0)) resolve();
  }

  async whenIdle(): Promise<void> {
    if (this.inFlight > 0) await new Promise<void>((resolve) => this.idle.push(resolve));
  }

  /** Keeps the last figure while Redis is away: then nothing is accepted anyway. */
  private async measureBacklog(): Promise<void> {
    try {
      const offsets = await this.redis.mget(streamKeys.map(({ offset }) => offset));
      const settled = await this.redis.mget(streamKeys.map((keys) => keys.settled));
      let backlog = 0;
      offsets.forEach((offset, index) => {
        backlog += Math.max(0, Number(offset ?? 0) - Number(settled[index] ?? 0));
      });
      this.backlogEvents = backlog;
    } catch {
      // Asked again at the next turn of the timer.
    }
  }
}

const streamKeys = topics.flatMap((topic) =>
  Array.from({ length: PARTITIONS }, (_, partition) => ({
    offset: offsetKey(topic, partition),
    settled: settledKey(topic, partition),
  })),
);
