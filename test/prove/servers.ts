// Redis servers that the proof kills, empties, replaces and promotes, behind one address.
// Invariant: what was started here is gone after close(), in whatever state it was.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { findFreePort } from '../../src/supervisor/ports.ts';
import { startRedis } from '../../src/supervisor/redis.ts';
import { writeSecret } from '../../src/supervisor/secret.ts';
import { type Switch, openSwitch } from './switch.ts';

/** The same for all: clients need not know which one their address leads to. */
const PASSWORD = 'prove';
const REPLICA_WITHIN_MS = 20_000;

export class Server {
  private running: Awaited<ReturnType<typeof startRedis>> | null = null;
  private link: Switch | null = null;

  private constructor(
    private readonly dir: string,
    private readonly port: number,
  ) {}

  static async start(): Promise<Server> {
    const dir = mkdtempSync(join(tmpdir(), 'tallyrace-prove-'));
    mkdirSync(join(dir, 'data'));
    writeSecret(join(dir, 'password'), PASSWORD);
    const server = new Server(dir, await findFreePort());
    await server.restart();
    return server;
  }

  get url(): string {
    return `redis://:${PASSWORD}@127.0.0.1:${this.port}`;
  }

  /** On the data it has. */
  async restart(): Promise<void> {
    const { dir, port } = this;
    this.running = await startRedis({ dir, port, log: join(dir, 'log') });
  }

  async kill(): Promise<void> {
    if (!this.running) return;
    process.kill(this.running.pid, 'SIGKILL');
    await this.running.stop();
    this.running = null;
  }

  async ask<T>(question: (admin: Redis) => Promise<T>): Promise<T> {
    const admin = new Redis(this.url);
    admin.on('error', () => {});
    try {
      return await question(admin);
    } finally {
      admin.disconnect();
    }
  }

  /** Another server that has all of this one, and follows it over a link of its own. */
  async startReplica(): Promise<Server> {
    const replica = await Server.start();
    const link = await openSwitch(this.url);
    replica.link = link;
    await this.ask((admin) => admin.config('SET', 'repl-diskless-sync-delay', '0'));
    await replica.ask(async (admin) => {
      await admin.config('SET', 'masterauth', PASSWORD);
      await admin.replicaof('127.0.0.1', Number(new URL(link.url).port));
      for (const deadline = Date.now() + REPLICA_WITHIN_MS; ; await Bun.sleep(25)) {
        if ((await admin.info('replication')).includes('master_link_status:up')) return;
        if (Date.now() > deadline) throw new Error('the replica did not come up');
      }
    });
    return replica;
  }

  /** From now on this replica lags, without knowing it. */
  lag(): void {
    this.link?.freeze();
  }

  async promote(): Promise<void> {
    await this.ask((admin) => admin.replicaof('NO', 'ONE'));
    this.link?.close();
    this.link = null;
  }

  async close(): Promise<void> {
    this.link?.close();
    await this.kill();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
