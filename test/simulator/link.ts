// A process's connection to a server: each call is a request that arrives, is served, and is
// answered, each a step of its own. Here every call can fail: before it arrives, midway, after it
// took effect, late, or never until the client's deadline.
// Invariants: a call settles at most once; requests of one connection arrive in order, unless the
// connection was replaced meanwhile.
import { fraction } from './chance.ts';
import type { CallFault, FaultOfCall } from './schedule.ts';
import type { Process, Scheduler } from './scheduler.ts';

export interface Answer<T> {
  value(value: T): void;
  error(error: Error): void;
  /** What share of a call of several commands is carried out before the connection is cut. */
  share: number;
  /** The statement runs into the server's own timeout. */
  timesOut: boolean;
}

/** Gives what stops it when its connection is cut. */
export type Serve<T> = (answer: Answer<T>) => (() => void) | void;

/** An end of many connections. A restart cuts them all. */
export class Server {
  isUp = true;
  readonly open = new Map<() => void, Process>();

  /** Redis drops a read that waits for a client that has gone; Postgres finishes its statement. */
  constructor(
    readonly name: string,
    readonly noticesCuts: boolean,
  ) {}

  cut(process?: Process): void {
    for (const [cut, whose] of [...this.open]) if (!process || whose === process) cut();
  }
}

export interface LinkOptions {
  server: Server;
  process: Process;
  scheduler: Scheduler;
  seed: number;
  /** How many calls of this name the process has made before, under any of its incarnations. */
  nthOf(process: string, call: string): number;
  faultOf(process: string, call: string, nth: number): FaultOfCall | undefined;
  isSilent(process: Process): boolean;
  /** The client's own; null where it has none and waits for the kernel to give up. */
  deadlineMs: number | null;
  isOrdered: boolean;
  /** A planted bug: a client that sends again what was not answered before the connection broke. */
  resends: boolean;
  say(text: string): void;
}

/** How long a connection that has gone silent is kept by the kernel. */
const KERNEL_GIVES_UP_MS = 900_000;

export class ConnectionLost extends Error {}

export class Link {
  private arrivedMs = 0;
  private answeredMs = 0;

  constructor(private readonly options: LinkOptions) {}

  call<T>(name: string, serve: Serve<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    new Call<T>(this.options, this, name, serve, resolve, reject).start();
    return promise;
  }

  /** When it arrives; behind what was sent before, if the connection is the same by then. */
  arriveInMs(ms: number): number {
    const { scheduler, isOrdered, deadlineMs } = this.options;
    if (!isOrdered || ms > (deadlineMs ?? 0)) return ms;
    this.arrivedMs = Math.max(this.arrivedMs, scheduler.nowMs + ms);
    return this.arrivedMs - scheduler.nowMs;
  }

  answerInMs(ms: number): number {
    const { scheduler, isOrdered, deadlineMs } = this.options;
    if (!isOrdered || ms > (deadlineMs ?? 0)) return ms;
    this.answeredMs = Math.max(this.answeredMs, scheduler.nowMs + ms);
    return this.answeredMs - scheduler.nowMs;
  }
}

class Call<T> {
  private readonly nth: number;
  private fault: FaultOfCall | undefined;
  private isOpen = true;
  private stopServing: (() => void) | void = undefined;
  private callOffDeadline: () => void = () => {};
  private readonly cut = (): void => this.lose('the connection was cut');

  constructor(
    private readonly options: LinkOptions,
    private readonly link: Link,
    private readonly name: string,
    private readonly serve: Serve<T>,
    private readonly resolve: (value: T) => void,
    private readonly reject: (error: Error) => void,
  ) {
    this.nth = options.nthOf(options.process.name, name);
    this.fault = options.faultOf(options.process.name, name, this.nth);
    if (this.fault) options.say(`${name} number ${this.nth + 1} will be ${this.fault.fault}`);
  }

  start(): void {
    const { server, process, scheduler, deadlineMs } = this.options;
    if (!server.isUp || this.is('refused')) return this.lose(`${server.name} is away`);
    const deadline = deadlineMs ?? KERNEL_GIVES_UP_MS;
    this.callOffDeadline = scheduler.after(deadline, process, () => {
      this.close();
      this.options.say(`has no answer to ${this.name} (${this.nth + 1}): its deadline`);
      this.reject(new ConnectionLost('no answer in time'));
    });
    this.options.say(`asks for ${this.name} (${this.nth + 1})`);
    if (this.is('unheard') || this.options.isSilent(process)) return;
    server.open.set(this.cut, process);
    this.send();
  }

  private send(): void {
    const { scheduler, server } = this.options;
    const late = this.is('late') ? this.fault!.ms : 0;
    scheduler.after(this.link.arriveInMs(this.latencyMs(1) + late), null, () => {
      // A late request outlives its client's patience, but not its connection.
      if (!server.open.has(this.cut)) return;
      this.stopServing = this.serve({
        share: this.is('cut midway') ? 0.5 : 1,
        timesOut: this.is('timed out there'),
        value: (value) => this.answer(() => this.resolve(value)),
        error: (error) => this.answer(() => this.reject(error)),
      });
    });
  }

  private answer(deliver: () => void): void {
    const { scheduler, process } = this.options;
    this.options.server.open.delete(this.cut);
    this.stopServing = undefined;
    if (!this.isOpen || this.is('unanswered') || this.options.isSilent(process)) return;
    if (this.is('reply lost') || this.is('cut midway')) return this.lose('the reply was lost');
    const late = this.is('answered late') ? this.fault!.ms : 0;
    scheduler.after(this.link.answerInMs(this.latencyMs(2) + late), process, () => {
      if (!this.isOpen) return;
      this.close();
      this.options.say(`has its answer to ${this.name} (${this.nth + 1})`);
      deliver();
    });
  }

  private lose(reason: string): void {
    const { server, scheduler, process } = this.options;
    server.open.delete(this.cut);
    if (server.noticesCuts || !server.isUp) this.stopServing?.();
    if (!this.isOpen) return;
    if (this.options.resends && !this.is('refused') && server.isUp) {
      server.open.set(this.cut, process);
      this.fault = undefined;
      return this.send();
    }
    scheduler.after(this.latencyMs(3), process, () => {
      if (!this.isOpen) return;
      this.close();
      this.options.say(`has no answer to ${this.name} (${this.nth + 1}): ${reason}`);
      this.reject(new ConnectionLost(reason));
    });
  }

  private close(): void {
    this.isOpen = false;
    this.callOffDeadline();
  }

  private is(fault: CallFault): boolean {
    return this.fault?.fault === fault;
  }

  /** Mostly under a millisecond, now and then many. */
  private latencyMs(which: number): number {
    const { seed, process } = this.options;
    const draw = fraction(seed, process.number, this.name.length, this.nth, which);
    return draw < 0.9 ? 0.05 + draw : draw < 0.98 ? 20 * (draw - 0.88) : 400 * (draw - 0.97);
  }
}
