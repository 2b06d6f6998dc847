// Admission: whether a request may come in at all, asked before its key or its body is looked at.
// Beyond what the process can do, it refuses the share that keeps waiting short, and holds the
// refusals back, so that its time goes to those it lets in.
// Invariant: past the limits the answer is 503 with Retry-After, at the price of a comparison.
import type { Redis } from 'ioredis';
import { topics } from '../../schemas/events.ts';
import { PARTITIONS, offsetKey, settledKey } from '../stream/topology.ts';
import { BodyBytes } from './body.ts';
import { Holding } from './holding.ts';
import { LoopWait } from './loop-wait.ts';
import { type Problem, unavailable } from './problem.ts';
import { type Question, StoreWait } from './store-wait.ts';
import { Valve } from './valve.ts';

export interface AdmissionOptions {
  requestsInFlightMax: number;
  /** Requests that wait for a store and append nothing: reads, and changes of settings. */
  readsInFlightMax: number;
  /** Of bodies that are on their way. */
  bodyBytesReadingMax: number;
  /** Events accepted but not yet settled, over all streams. */
  backlogEventsMax: number;
  /** What requests may wait for their turn, for longer than a burst takes. */
  queueWaitMsMax: number;
  refusalHoldMs: number;
  /** How often the backlog is looked at, and so how far behind the truth it may be. */
  backlogPollMs?: number;
}

const refusals = {
  in_flight: unavailable('overloaded', 'Too many requests are in flight.'),
  reads: unavailable('overloaded', 'Too many reads wait for a store.'),
  store_wait: unavailable('overloaded', 'Reads wait too long for a store.'),
  queue_wait: unavailable('overloaded', 'Requests wait too long for their turn.'),
  redis: unavailable('store_unavailable', 'Redis is away.'),
  backlog: unavailable('overloaded', 'Too many accepted events wait for the ledger.', 5),
} satisfies Record<string, Problem>;

/** What a request asks for: to append to a stream, to ask a store for something, or only what the
 * memory of the process nearly always answers. */
export type Work = 'append' | 'read' | 'memory';

type Reason = keyof typeof refusals;

/** A store that is slow with so few has no queue: to refuse some would not make it faster. */
const READS_ALWAYS = 64;

/** A request whose body is larger is not held: it would hold that too. */
const HELD_BODY_BYTES_MAX = 4_096;

export class Admission {
  inFlight = 0;
  /** Reads until their store has answered, which may be after they were given up: the clients of
   * the stores queue without a limit, and a deadline does not take a question back. */
  readsInFlight = 0;
  readonly bodyBytes: BodyBytes;
  /** How long a request has lately waited for its turn. */
  queueWaitMs = 0;
  readonly refused: Record<Reason, number> = {
    in_flight: 0,
    reads: 0,
    store_wait: 0,
    queue_wait: 0,
    redis: 0,
    backlog: 0,
  };
  /** Set when the process is about to stop: /readyz says so, and requests still run. */
  draining = false;
  backlogEvents = 0;
  readonly valve: Valve;
  /** For reads only: what appends or asks memory does not make the queue of a store longer. */
  readonly readsValve: Valve;
  /** How long a store has lately taken to answer, apart from our own turn. */
  storeWaitMs = 0;
  private readonly storeWait: StoreWait;
  private readonly holding: Holding;
  private readonly loopWait: LoopWait;
  private timer: Timer | undefined;
  private idle: (() => void)[] = [];

  constructor(
    private readonly redis: Redis,
    readonly options: AdmissionOptions,
    /** One to each store that reads wait for. */
    questions: readonly Question[] = [],
  ) {
    this.bodyBytes = new BodyBytes(options.bodyBytesReadingMax);
    this.valve = new Valve(options.queueWaitMsMax);
    this.readsValve = new Valve(options.queueWaitMsMax);
    this.storeWait = new StoreWait(questions, (waitMs, nowMs) => {
      this.storeWaitMs = Math.max(0, waitMs - this.queueWaitMs);
      this.readsValve.observe(this.storeWaitMs, nowMs);
    });
    this.holding = new Holding(options.refusalHoldMs);
    this.loopWait = new LoopWait((wait, nowMs) => {
      this.queueWaitMs = wait.ms;
      this.valve.observe(wait.ownMs, nowMs);
    });
  }

  /** Begins to follow the backlog and how long requests wait. */
  async start(): Promise<void> {
    await this.measureBacklog();
    await this.loopWait.start();
    this.storeWait.start();
    this.timer = setInterval(() => void this.measureBacklog(), this.options.backlogPollMs ?? 500);
    this.timer.unref();
  }

  stop(): void {
    clearInterval(this.timer);
    this.loopWait.stop();
    this.storeWait.stop();
  }

  /** From now on nobody is held: the process is about to stop. */
  drain(): void {
    this.draining = true;
    this.holding.release();
  }

  get held(): number {
    return this.holding.held;
  }

  /** Null: it may come in. */
  refusal(work: Work): Problem | null {
    const reason = this.reasonAgainst(work);
    if (reason === null) return null;
    this.refused[reason]++;
    return refusals[reason];
  }

  /** Resolves when a refusal is to be answered; null for at once. */
  hold(headers: Headers): Promise<void> | null {
    if (this.draining || headers.has('transfer-encoding')) return null;
    if (Number(headers.get('content-length') ?? 0) > HELD_BODY_BYTES_MAX) return null;
    return this.holding.enter();
  }

  private reasonAgainst(work: Work): Reason | null {
    const accepts = work === 'append';
    if (this.inFlight >= this.options.requestsInFlightMax) return 'in_flight';
    if (work === 'read' && this.readsInFlight >= this.options.readsInFlightMax) return 'reads';
    if (accepts && this.redis.status !== 'ready') return 'redis';
    if (accepts && this.backlogEvents > this.options.backlogEventsMax) return 'backlog';
    if (work === 'read' && this.readsInFlight > READS_ALWAYS && !this.readsValve.admits())
      return 'store_wait';
    return this.valve.admits() ? null : 'queue_wait';
  }

  enter(work: Work): void {
    this.inFlight++;
    if (work === 'read') this.readsInFlight++;
  }

  /** `asked`: what the request waits for, or null. */
  leaveRead(asked: unknown): void {
    const leave = (): void => void this.readsInFlight--;
    if (asked instanceof Promise) asked.then(leave, leave);
    else leave();
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
