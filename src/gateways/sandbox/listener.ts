// A listener of one wire: reads requests, lets them meet the trouble that the settings ask for, and
// answers. Node's server rather than Bun's: it can cut a connection without a word.
// Invariant: what a request changes is one transaction; a fault before it leaves no trace, a fault
// after it changes only what the caller gets to know.
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Log } from '../../io/log.ts';
import { drawn, drawnLatencyMs } from './chance.ts';
import type { Fault, GatewaySettings } from './settings.ts';
import type { SandboxStore } from './store.ts';
import { type Wire, type WireAnswer, type WireRequest, stays } from './wire.ts';

export interface ListenerParts {
  wire: Wire;
  store: SandboxStore;
  seed(): number;
  settings(): GatewaySettings;
  /** Something may have to be told. */
  nudge(): void;
  log: Log;
}

/** The next so many requests that fit meet this fault, whatever the settings say. */
export interface Ambush {
  fault: Fault;
  method: string | null;
  /** Part of the path. */
  path: string;
  times: number;
}

const BODY_BYTES_MAX = 1_048_576;
const KEEP_ALIVE_MS = 300_000;
const SEEN_MAX = 100_000;
/** Ids that the sandbox gave out differ from run to run; what is drawn does not depend on them. */
const givenIds = /\b(pi|ch|re|dp|po|order|pay|rfnd|disp|setl)_[A-Za-z0-9]{14,24}\b/g;

export class Listener {
  private server: Server | null = null;
  private port = 0;
  private readonly underWay = new Set<string>();
  private readonly seen = new Map<string, number>();
  private ambushes: Ambush[] = [];
  private following = Promise.resolve();

  constructor(private readonly parts: ListenerParts) {}

  /** Port 0 takes any; once taken it stays the same. */
  async listen(port: number): Promise<number> {
    if (this.server) return this.port;
    const server = createServer((request, response) => {
      this.serve(request, response).catch((error: unknown) => {
        this.parts.log.error({ error, path: request.url }, 'a request could not be answered');
        request.socket.destroy();
      });
    });
    // Longer than clients keep theirs: a connection is cut by a fault or not at all.
    server.keepAliveTimeout = KEEP_ALIVE_MS;
    await listening(server, port);
    this.server = server;
    this.port = (server.address() as AddressInfo).port;
    return this.port;
  }

  /** Connections are cut, and new ones refused. */
  async close(): Promise<void> {
    const { server } = this;
    if (!server) return;
    this.server = null;
    await ended(server);
  }

  /** Follows changes of the settings, one after the other. */
  async follow(): Promise<void> {
    const follow = async (): Promise<void> => {
      if (this.parts.settings().down === 'refused') await this.close();
      else if (!this.server) await this.listen(this.port);
    };
    this.following = this.following.then(follow, follow);
    await this.following;
  }

  lieInWait(ambush: Ambush): void {
    this.ambushes.push({ ...ambush });
  }

  private async serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await requestOf(incoming);
    const { wire, settings } = this.parts;
    const { down } = settings();
    if (down === 'silent') return this.hang(incoming);
    if (down === 'unavailable') return send(response, wire.unavailable());
    const key = wire.idempotencyKey(request);
    if (key !== null && this.underWay.has(key)) return send(response, wire.busy());
    if (key !== null) this.underWay.add(key);
    try {
      await this.meet(request, key, incoming, response);
    } finally {
      if (key !== null) this.underWay.delete(key);
    }
  }

  private async meet(
    request: WireRequest,
    key: string | null,
    incoming: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { wire, seed, settings, nudge } = this.parts;
    const label = this.labelOf(request, key);
    const { latency_median_ms, latency_p99_ms } = settings();
    const latencyMs = drawnLatencyMs(latency_median_ms, latency_p99_ms, seed(), label);
    if (latencyMs > 0) await Bun.sleep(latencyMs);
    const fault = this.ambushed(request) ?? this.drawnFault(request, label);
    if (fault === 'reset_before') return void incoming.socket.destroy();
    if (fault === 'timeout_before') return this.hang(incoming);
    if (fault === 'server_error') return send(response, wire.broken());
    if (fault === 'rate_limited') return send(response, wire.rateLimited());
    const answer = this.parts.store.together(() => wire.handle(request), stays);
    nudge();
    if (fault === 'reset_after') return void incoming.socket.destroy();
    if (fault === 'timeout_after') return this.hang(incoming);
    send(response, answer);
  }

  private ambushed({ method, path }: WireRequest): Fault | null {
    const found = this.ambushes.find(
      (each) => (each.method ?? method) === method && path.includes(each.path),
    );
    if (!found) return null;
    found.times -= 1;
    if (found.times === 0) this.ambushes = this.ambushes.filter((each) => each !== found);
    return found.fault;
  }

  private drawnFault({ method }: WireRequest, label: string): Fault | null {
    const { fault_scope, faults } = this.parts.settings();
    const meets = fault_scope === 'all' || method !== 'GET';
    return meets ? faultOf(faults, drawn(this.parts.seed(), 'fault', label)) : null;
  }

  /** The same request draws anew each time it comes. */
  private labelOf({ method, path, body }: WireRequest, key: string | null): string {
    const what = `${method} ${path} ${key ?? body}`.replaceAll(givenIds, '$1');
    if (this.seen.size > SEEN_MAX) this.seen.clear();
    const times = (this.seen.get(what) ?? 0) + 1;
    this.seen.set(what, times);
    return `${what} ${times}`;
  }

  /** Not awaited: the request is over as far as the sandbox is concerned. */
  private hang({ socket }: IncomingMessage): void {
    const timer = setTimeout(() => socket.destroy(), this.parts.settings().hold_ms);
    socket.once('close', () => clearTimeout(timer));
  }
}

export async function listening(server: Server, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
}

/** Whatever is under way. */
export async function ended(server: Server): Promise<void> {
  if (!server.listening) return;
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

function faultOf(faults: GatewaySettings['faults'], chance: number): Fault | null {
  let reached = 0;
  for (const [fault, rate] of Object.entries(faults) as [Fault, number][]) {
    reached += rate;
    if (chance < reached) return fault;
  }
  return null;
}

export async function requestOf(incoming: IncomingMessage): Promise<WireRequest> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new Error('the body is too large');
    chunks.push(chunk);
  }
  const url = new URL(incoming.url ?? '/', 'http://sandbox');
  return {
    method: incoming.method ?? 'GET',
    path: url.pathname.length > 1 ? url.pathname.replace(/\/$/, '') : url.pathname,
    query: url.searchParams,
    headers: incoming.headers,
    body: Buffer.concat(chunks).toString(),
  };
}

export function send(response: ServerResponse, { status, body, headers }: WireAnswer): void {
  const isText = typeof body === 'string';
  const type = isText ? 'text/csv; charset=utf-8' : 'application/json; charset=utf-8';
  response.writeHead(status, { 'content-type': type, ...headers });
  response.end(isText ? body : JSON.stringify(body));
}
