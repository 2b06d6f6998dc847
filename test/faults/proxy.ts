// A TCP proxy that harms what passes through it: slow, in pieces, held back, swallowed without a
// word, cut. Any number of toxics at once, put on and taken off in any order.
// Invariant: without toxics bytes pass unchanged and in order; with them, what arrives is the
// beginning of what was sent.
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import type { Dice } from './dice.ts';
import { Pipe, type Toxic } from './pipe.ts';

export type { Toxic } from './pipe.ts';

/** Forward the request, drop the reply, cut: for the next request that has the mark. */
export interface LostReply {
  request: RegExp;
  /** Whether these bytes of replies say that the request was carried out. */
  done(reply: Buffer): boolean;
}

/** A reply that takes longer is not waited for; the connection is cut all the same. */
const REPLY_WITHIN_MS = 3_000;

export class Proxy {
  readonly toxics = new Set<Toxic>();
  private readonly links = new Set<Link>();
  private readonly armed: { what: LostReply; resolve(lost: boolean): void }[] = [];
  /** New connections are refused while above 0. */
  private refusals = 0;

  private constructor(
    private readonly server: Server,
    private readonly target: { host: string; port: number },
    readonly dice: Dice,
  ) {
    server.on('connection', (client) => this.accept(client));
  }

  static async open(target: { host: string; port: number }, dice: Dice): Promise<Proxy> {
    const server = createServer({ noDelay: true });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Proxy(server, target, dice);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get connections(): number {
    return this.links.size;
  }

  /** The same URL with this proxy in its place. */
  inFrontOf(url: string): string {
    const changed = new URL(url);
    changed.hostname = '127.0.0.1';
    changed.port = String(this.port);
    return changed.href;
  }

  /** Gives what takes it off again. */
  put(toxic: Toxic): () => void {
    this.toxics.add(toxic);
    return () => {
      if (!this.toxics.delete(toxic)) return;
      for (const link of this.links) link.relieved();
    };
  }

  /** Resets every connection. */
  cut(): void {
    for (const link of this.links) link.reset();
  }

  /** Present connections are dead from now on, and nobody is told; new ones are well. */
  abandon(): void {
    for (const link of this.links) link.abandoned = true;
  }

  /** Resets every connection and refuses new ones; gives what lets them in again. */
  refuse(): () => void {
    this.refusals++;
    this.cut();
    let refusing = true;
    return () => {
      if (refusing) this.refusals--;
      refusing = false;
    };
  }

  /** Resolves when a request had the mark and its reply, or none, came: whether it was done. */
  loseReply(what: LostReply): Promise<boolean> {
    return new Promise((resolve) => this.armed.push({ what, resolve }));
  }

  /** No mark is waited for any more. */
  disarm(): void {
    for (const { resolve } of this.armed.splice(0)) resolve(false);
  }

  close(): void {
    this.disarm();
    this.server.close();
    this.cut();
  }

  /** Gives the link its lost reply, where this request is the one. */
  armedFor(request: Buffer): ((reply: Buffer | null) => boolean) | null {
    if (this.armed.length === 0) return null;
    const text = request.toString('latin1');
    const index = this.armed.findIndex(({ what }) => what.request.test(text));
    if (index < 0) return null;
    const [{ what, resolve }] = this.armed.splice(index, 1) as [(typeof this.armed)[0]];
    return (reply) => {
      const done = reply !== null && what.done(reply);
      if (done || reply === null) resolve(done);
      return done;
    };
  }

  forget(link: Link): void {
    this.links.delete(link);
  }

  private accept(client: Socket): void {
    if (this.refusals > 0) {
      client.on('error', () => {});
      client.resetAndDestroy();
      return;
    }
    this.links.add(new Link(this, client, connect({ ...this.target, noDelay: true })));
  }
}

/** One connection through the proxy. */
class Link {
  private readonly up: Pipe;
  private readonly down: Pipe;
  /** Set while a reply is waited for that nobody will see. */
  private lost: { replies: Buffer[]; seen(reply: Buffer | null): boolean } | null = null;
  /** One side has gone and the other could not hear of it. */
  private half = false;
  /** What it is sent vanishes, for ever. */
  abandoned = false;

  constructor(
    private readonly proxy: Proxy,
    private readonly client: Socket,
    private readonly upstream: Socket,
  ) {
    this.up = new Pipe(proxy, 'up', client, upstream);
    this.down = new Pipe(proxy, 'down', upstream, client);
    for (const socket of [client, upstream]) {
      socket.on('error', () => {});
      socket.on('close', () => this.closed());
    }
    client.on('data', (chunk: Buffer) => this.request(chunk));
    upstream.on('data', (chunk: Buffer) => this.reply(chunk));
    client.on('end', () => this.up.end());
    upstream.on('end', () => this.down.end());
  }

  relieved(): void {
    if (this.up.swallowed || this.down.swallowed || this.half) return this.reset();
    this.up.wake();
    this.down.wake();
  }

  reset(): void {
    this.client.resetAndDestroy();
    this.upstream.resetAndDestroy();
  }

  private request(chunk: Buffer): void {
    if (this.abandoned) return;
    const seen = this.lost ? null : this.proxy.armedFor(chunk);
    if (seen) {
      this.lost = { replies: [], seen };
      setTimeout(() => this.reset(), REPLY_WITHIN_MS).unref();
    }
    this.up.push(chunk);
  }

  private reply(chunk: Buffer): void {
    if (this.abandoned) return;
    if (!this.lost) return this.down.push(chunk);
    this.lost.replies.push(chunk);
    if (this.lost.seen(Buffer.concat(this.lost.replies))) this.reset();
  }

  /** The other side hears of an end, unless even that vanishes: then it is reset in the end. */
  private closed(): void {
    this.lost?.seen(null);
    this.lost = null;
    this.half = [...this.proxy.toxics].some(({ kind }) => kind === 'blackhole') && !this.half;
    if (this.half) return;
    this.proxy.forget(this);
    this.up.stop();
    this.down.stop();
    this.client.destroy();
    this.upstream.destroy();
  }
}
