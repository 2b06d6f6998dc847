// Drives HTTP/1.1 keep-alive connections over raw sockets, one request in flight on each, without
// pipelining. fetch costs several times what the servers under test do, and would be measured.
// Closed loop: a connection sends as soon as it has its answer. Open loop: requests have a
// timetable, and latency counts from the intended start, so a server that stalls cannot hide it.
import type { Socket } from 'bun';
import { Histogram, type Percentiles } from './histogram.ts';

export interface LoadPlan {
  host: string;
  port: number;
  connections: number;
  seconds: number;
  /** Not counted: caches fill, code is compiled. */
  warmUpSeconds: number;
  /** Requests per second of an open loop; null for a closed loop. */
  rate: number | null;
  /** Of an open loop: what is due while every connection is busy is dropped and counted instead of
   * sent late, and a connection that is lost is counted and opened again. */
  beyondCapacity?: boolean;
}

export interface LoadResult extends Percentiles {
  requests: number;
  seconds: number;
  perSecond: number;
  statuses: Record<number, number>;
  latencies: Record<number, Percentiles>;
  /** Due while every connection was busy; see `beyondCapacity`. */
  dropped: number;
  lostConnections: number;
  /** When the last request was sent, by the clock of the wall. */
  endedAtMs: number;
  /** Open loop: requests that were due and not sent when the time was up. */
  unsent: number;
}

/** Makes the bytes of the n-th request; `answer` is what the connection was answered last. */
export type RequestMaker = (n: number, answer: string) => Buffer | string;

interface Connection {
  intendedMs: number;
  busy: boolean;
  lost: boolean;
  /** Bytes of the answer that are still to come, or -1 while its head is incomplete. */
  missing: number;
  /** Head and body, until the next request. */
  answer: string;
}

type LoadSocket = Socket<Connection>;

export class HttpLoad {
  private readonly histogram = new Histogram();
  private readonly byStatus: Record<number, Histogram> = {};
  private readonly idle: LoadSocket[] = [];
  private readonly sockets: LoadSocket[] = [];
  private sent = 0;
  private dropped = 0;
  private lostConnections = 0;
  private measuring = false;
  private stopping = false;
  private inFlight = 0;
  private dueMs = 0;
  private failure: Error | null = null;

  constructor(
    private readonly plan: LoadPlan,
    private readonly makeRequest: RequestMaker,
  ) {}

  async run(): Promise<LoadResult> {
    const { plan } = this;
    for (let index = 0; index < plan.connections; index++) this.sockets.push(await this.connect());
    this.idle.push(...this.sockets);
    this.dueMs = performance.now();
    const timer = plan.rate === null ? null : setInterval(() => this.sendDue(), 1);
    if (plan.rate === null) for (const socket of this.idle.splice(0)) this.send(socket);
    await Bun.sleep(plan.warmUpSeconds * 1000);
    this.measuring = true;
    const startMs = performance.now();
    await Bun.sleep(plan.seconds * 1000);
    this.measuring = false;
    const endMs = performance.now();
    const endedAtMs = Date.now();
    this.stopping = true;
    if (timer) clearInterval(timer);
    await this.finish();
    const behindMs = Math.max(0, endMs - this.dueMs);
    return { ...this.result((endMs - startMs) / 1000, behindMs), endedAtMs };
  }

  private result(seconds: number, behindMs: number): Omit<LoadResult, 'endedAtMs'> {
    const { rate } = this.plan;
    const requests = this.histogram.total;
    const statuses: Record<number, number> = {};
    const latencies: Record<number, Percentiles> = {};
    for (const [status, histogram] of Object.entries(this.byStatus)) {
      statuses[Number(status)] = histogram.total;
      latencies[Number(status)] = histogram.summary();
    }
    return {
      requests,
      seconds,
      perSecond: requests / seconds,
      ...{ statuses, latencies },
      dropped: this.dropped,
      lostConnections: this.lostConnections,
      unsent: rate === null ? 0 : Math.round((behindMs / 1000) * rate),
      ...this.histogram.summary(),
    };
  }

  private async finish(): Promise<void> {
    const deadlineMs = performance.now() + 5_000;
    while (this.inFlight > 0 && performance.now() < deadlineMs) await Bun.sleep(2);
    for (const socket of this.sockets) socket.end();
    if (this.failure) throw this.failure;
  }

  private connect(): Promise<LoadSocket> {
    return Bun.connect<Connection>({
      hostname: this.plan.host,
      port: this.plan.port,
      data: { intendedMs: 0, busy: false, lost: false, missing: -1, answer: '' },
      socket: {
        data: (socket, chunk) => this.receive(socket, chunk),
        close: (socket) => this.lost(socket, new Error('the server closed a connection')),
        error: (socket, error) => this.lost(socket, error),
      },
    });
  }

  private lost(socket: LoadSocket, error: Error): void {
    if (this.stopping && !socket.data.busy) return;
    // A server may close what is idle for long; a client then connects again.
    const wasIdle = this.plan.rate !== null && !socket.data.busy;
    if (socket.data.busy) this.inFlight--;
    socket.data.busy = false;
    if (wasIdle || this.plan.beyondCapacity) return this.replace(socket);
    this.stopping = true;
    this.failure ??= error;
  }

  private replace(socket: LoadSocket): void {
    if (socket.data.lost || this.stopping) return;
    socket.data.lost = true;
    this.lostConnections++;
    this.connect().then(
      (opened) => {
        this.sockets.push(opened);
        this.idle.push(opened);
      },
      (error: unknown) => (this.failure ??= error as Error),
    );
  }

  private sendDue(): void {
    const now = performance.now();
    const stepMs = 1000 / this.plan.rate!;
    while (this.dueMs <= now && this.idle.length > 0 && !this.stopping) {
      const socket = this.idle.pop()!;
      if (socket.data.lost) continue;
      this.send(socket, this.dueMs);
      this.dueMs += stepMs;
    }
    if (!this.plan.beyondCapacity || this.dueMs > now) return;
    const missed = Math.ceil((now - this.dueMs) / stepMs);
    if (this.measuring) this.dropped += missed;
    this.dueMs += missed * stepMs;
  }

  private send(socket: LoadSocket, intendedMs = performance.now()): void {
    socket.data.intendedMs = intendedMs;
    socket.data.busy = true;
    this.inFlight++;
    const request = this.makeRequest(this.sent++, socket.data.answer);
    socket.data.answer = '';
    socket.data.missing = -1;
    if (socket.write(request) < request.length)
      this.lost(socket, new Error('the server stopped reading'));
  }

  private receive(socket: LoadSocket, chunk: Buffer): void {
    const { data } = socket;
    data.answer += chunk.toString('latin1');
    if (data.missing >= 0) data.missing -= chunk.length;
    else this.receiveHead(data);
    if (data.missing === 0) this.complete(socket);
  }

  private receiveHead(data: Connection): void {
    const end = data.answer.indexOf('\r\n\r\n');
    if (end < 0) return;
    const length = /\r\ncontent-length: *(\d+)/i.exec(data.answer);
    if (!length) throw new Error(`an answer without Content-Length: ${data.answer.slice(0, 200)}`);
    data.missing = end + 4 + Number(length[1]) - data.answer.length;
  }

  private complete(socket: LoadSocket): void {
    const { data } = socket;
    if (this.measuring) {
      const latencyMs = performance.now() - data.intendedMs;
      this.histogram.record(latencyMs);
      const status = Number(data.answer.slice(9, 12));
      (this.byStatus[status] ??= new Histogram()).record(latencyMs);
    }
    data.busy = false;
    this.inFlight--;
    if (this.stopping) return;
    if (this.plan.rate === null) this.send(socket);
    else this.idle.push(socket);
  }
}
