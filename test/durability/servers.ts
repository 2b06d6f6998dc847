// Redis servers that a test kills, cuts, copies and promotes, and one address that leads to
// whichever of them is the primary now, as a name or a virtual address does in production.
// Invariant: what was started here is gone after the test file, in whatever state it was.
import { afterAll } from 'bun:test';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { type Socket, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { findFreePort } from '../../src/supervisor/ports.ts';
import { startRedis } from '../../src/supervisor/redis.ts';
import { writeSecret } from '../../src/supervisor/secret.ts';

/** The same for all, so that clients of an address need not know which server it leads to. */
const PASSWORD = 'test';

export interface RedisOptions {
  appendfsync?: 'always' | 'everysec';
  port?: number;
}

/** One server and the directory that outlives it. */
export class RedisServer {
  private running: Awaited<ReturnType<typeof startRedis>> | null = null;
  private readonly clients: Redis[] = [];

  private constructor(
    readonly dir: string,
    readonly port: number,
    private readonly options: RedisOptions,
  ) {}

  /** On a copy of `from`, where that is given: a directory as it is now, changed by `damage`. */
  static async start(
    options: RedisOptions = {},
    from?: string,
    damage: (dir: string) => void = () => {},
  ): Promise<RedisServer> {
    const dir = mkdtempSync(join(tmpdir(), 'tallyrace-redis-'));
    if (from) cpSync(from, dir, { recursive: true });
    else mkdirSync(join(dir, 'data'));
    damage(dir);
    writeSecret(join(dir, 'password'), PASSWORD);
    const server = new RedisServer(dir, options.port ?? (await findFreePort()), options);
    afterAll(async () => {
      await server.kill();
      rmSync(dir, { recursive: true, force: true });
    });
    await server.restart();
    return server;
  }

  get url(): string {
    return `redis://:${PASSWORD}@127.0.0.1:${this.port}`;
  }

  get pid(): number {
    if (!this.running) throw new Error('this Redis does not run');
    return this.running.pid;
  }

  async restart(): Promise<void> {
    const { dir, port } = this;
    this.running = await startRedis({ ...this.options, dir, port, log: `${dir}.log` });
    rmSync(`${dir}.log`, { force: true });
  }

  /** At once, as a crash of the process: what it has written stays with the operating system. */
  async kill(): Promise<void> {
    for (const client of this.clients.splice(0)) client.disconnect();
    if (!this.running) return;
    process.kill(this.running.pid, 'SIGCONT');
    process.kill(this.running.pid, 'SIGKILL');
    await this.running.stop();
    this.running = null;
  }

  async client(): Promise<Redis> {
    const client = producerClient(this.url, 'test');
    this.clients.push(client);
    await redisReady(client);
    return client;
  }

  /** Resolves when it has all that the primary has. */
  async follow(primary: RedisServer): Promise<void> {
    const client = await this.client();
    await client.config('SET', 'masterauth', PASSWORD);
    await (await primary.client()).config('SET', 'repl-diskless-sync-delay', '0');
    await client.replicaof('127.0.0.1', primary.port);
    for (const deadline = Date.now() + 20_000; ; await Bun.sleep(25)) {
      if ((await client.info('replication')).includes('master_link_status:up')) return;
      if (Date.now() > deadline) throw new Error('the replica did not come up');
    }
  }

  async promote(): Promise<void> {
    await (await this.client()).replicaof('NO', 'ONE');
  }
}

/** A port that leads to one server after another. */
export class RedisAddress {
  private readonly sockets = new Set<Socket>();
  private target: RedisServer;

  private constructor(
    readonly port: number,
    target: RedisServer,
  ) {
    this.target = target;
  }

  static async open(target: RedisServer): Promise<RedisAddress> {
    const address = new RedisAddress(await findFreePort(), target);
    const listener = createServer((client) => address.join(client));
    await new Promise<void>((resolve) => listener.listen(address.port, '127.0.0.1', resolve));
    afterAll(() => {
      listener.close();
      address.cut();
    });
    return address;
  }

  get url(): string {
    return `redis://:${PASSWORD}@127.0.0.1:${this.port}`;
  }

  /** Who is connected is cut off, and comes back to the new one. */
  lead(target: RedisServer): void {
    this.target = target;
    this.cut();
  }

  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  private join(client: Socket): void {
    const server = connect(this.target.port, '127.0.0.1');
    client.pipe(server).pipe(client);
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.sockets.delete(socket);
        other.destroy();
      });
    }
  }
}
