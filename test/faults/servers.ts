// The Redis and the Postgres of a fault run: started, killed, frozen and started again; the log of
// one cut, the disk of the other filled.
// Invariant: a server that was killed comes back on the same port with what its disk holds.
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync, statSync, truncateSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Sql, connectPostgres } from '../../src/io/postgres.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { migrate } from '../../src/store/migrate.ts';
import { type Launch, type Running, launch } from '../../src/supervisor/launch.ts';
import { findFreePort } from '../../src/supervisor/ports.ts';
import { preparePostgres } from '../../src/supervisor/postgres.ts';
import { prepareRedis } from '../../src/supervisor/redis.ts';
import { TinyDisk, noTinyDisk } from './tiny-disk.ts';

const STARTED_WITHIN_MS = 30_000;

/** A process that may be killed and frozen together with its children. */
export class Victim {
  private running: Running | null = null;

  constructor(
    protected readonly plan: Launch,
    private readonly log: string,
  ) {}

  get pid(): number {
    return this.running?.pid ?? 0;
  }

  /** After a kill the old one may hold its lock or port for a moment. */
  async start(): Promise<void> {
    if (this.running) return;
    for (const deadline = Date.now() + STARTED_WITHIN_MS; ; await Bun.sleep(50)) {
      try {
        this.running = await launch(this.plan, this.log);
        return;
      } catch (error) {
        if (Date.now() > deadline) throw error;
      }
    }
  }

  async kill(): Promise<void> {
    const { running } = this;
    if (!running) return;
    this.running = null;
    this.signal('SIGKILL', running.pid);
    await running.exited;
  }

  async stop(): Promise<void> {
    this.thaw();
    const { running } = this;
    this.running = null;
    await running?.stop();
  }

  freeze(): void {
    if (this.running) this.signal('SIGSTOP', this.running.pid);
  }

  thaw(): void {
    if (this.running) this.signal('SIGCONT', this.running.pid);
  }

  /** Children first, where they shall not see the parent go. */
  private signal(signal: NodeJS.Signals, pid: number): void {
    const children = spawnSync('pgrep', ['-P', String(pid)])
      .stdout.toString()
      .split('\n');
    for (const each of [pid, ...children.filter(Boolean).map(Number)])
      try {
        process.kill(each, signal);
      } catch {
        // It has ended meanwhile.
      }
  }
}

export class RedisVictim extends Victim {
  readonly url: string;
  private readonly data: string;
  private torn = false;

  constructor(dir: string, port: number) {
    const { plan, url } = prepareRedis({ dir, port, log: join(dir, 'redis.log') });
    super(plan, join(dir, 'redis.log'));
    this.url = url;
    this.data = join(dir, 'data');
  }

  /** As new; only while it is down. */
  wipe(): void {
    rmSync(this.data, { recursive: true, force: true });
    mkdirSync(this.data, { recursive: true, mode: 0o700 });
  }

  /** Bytes of its log. */
  logBytes(): number {
    return statSync(this.logFile()).size;
  }

  /** A power cut: what came after this byte never reached the disk. Only while it is down. */
  cutLog(bytes: number): void {
    truncateSync(this.logFile(), bytes);
    this.torn = true;
  }

  /** A log that was torn is written anew at the start; another cut shall not come before that. */
  override async start(): Promise<void> {
    await super.start();
    if (!this.torn) return;
    const redis = producerClient(this.url, 'fault suite');
    await redisReady(redis);
    while (/aof_rewrite_in_progress:1/.test(await redis.info('persistence'))) await Bun.sleep(5);
    redis.disconnect();
    this.torn = false;
  }

  private logFile(): string {
    const dir = join(this.data, 'appendonlydir');
    const files = readdirSync(dir).filter((name) => name.endsWith('.incr.aof'));
    const number = (name: string): number => Number(name.split('.')[2]);
    return join(dir, files.sort((a, b) => number(a) - number(b)).at(-1)!);
  }
}

export class PostgresVictim extends Victim {
  private constructor(
    plan: Launch,
    dir: string,
    readonly url: string,
    /** Null where this machine cannot make one. */
    readonly disk: TinyDisk | null,
  ) {
    super(plan, join(dir, 'postgres.log'));
  }

  static async make(dir: string): Promise<PostgresVictim> {
    const port = await findFreePort();
    const { plan, url } = preparePostgres({ dir, port, log: join(dir, 'postgres.log') });
    const disk = noTinyDisk() ? null : await TinyDisk.make(join(dir, 'tiny'), 96);
    const wrapped = disk ? { ...plan, wrapper: disk.wrapper } : plan;
    const server = new PostgresVictim(wrapped, dir, url, disk);
    await server.start();
    await server.makeTemplate();
    return server;
  }

  /** Gives its URL. */
  async createDatabase(name: string): Promise<string> {
    await this.asOwner((sql) => sql.unsafe(`create database ${name} template origin`));
    return this.urlOf(name);
  }

  async dropDatabase(name: string): Promise<void> {
    await this.asOwner((sql) => sql.unsafe(`drop database ${name} with (force)`));
  }

  override async stop(): Promise<void> {
    await super.stop();
    this.disk?.close();
  }

  private async makeTemplate(): Promise<void> {
    if (this.disk)
      await this.asOwner((sql) =>
        sql.unsafe(`create tablespace tiny location '${this.disk!.path}'`),
      );
    const where = this.disk ? 'tablespace tiny' : '';
    await this.asOwner((sql) => sql.unsafe(`create database origin ${where}`));
    await migrate(this.urlOf('origin'));
  }

  private async asOwner(run: (sql: Sql) => Promise<unknown>): Promise<void> {
    const sql = connectPostgres(this.url, { max: 1, name: 'faults', asOwner: true });
    try {
      await run(sql);
    } finally {
      await sql.end({ timeout: 1 });
    }
  }

  private urlOf(database: string): string {
    const changed = new URL(this.url);
    changed.pathname = `/${database}`;
    return changed.href;
  }
}
