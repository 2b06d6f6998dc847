// The product's processes of a fault run: several of each kind, every one behind proxies of its
// own, so that one can be cut off while its twin goes on. They end, freeze and start again.
// Invariant: a name keeps its ports for the whole run, as under a supervisor.
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { ROOT } from '../services.ts';
import type { Dice } from './dice.ts';
import { Proxy } from './proxy.ts';

export type Kind = 'ingress' | 'worker';

export interface FleetPlace {
  home: string;
  databaseUrl: string;
  redisUrl: string;
  environment: Record<string, string>;
}

/** After SIGTERM: the drain, and its last steps. */
const STOPPED_WITHIN_MS = 15_000;

export class Member {
  private child: Bun.Subprocess | null = null;
  frozen = false;
  /** Exit codes of processes that were asked to stop. */
  readonly exits: number[] = [];
  /** Of those that ended and were not. */
  readonly deaths: string[] = [];
  private ending = false;

  private constructor(
    readonly kind: Kind,
    readonly name: string,
    private readonly port: number,
    readonly redis: Proxy,
    readonly postgres: Proxy,
    /** In front of an ingress; null for a worker. */
    readonly http: Proxy | null,
    private readonly place: FleetPlace,
    private readonly clockOffMs: number,
  ) {}

  static async make(
    name: string,
    kind: Kind,
    place: FleetPlace,
    dice: Dice,
    clockOffMs: number,
  ): Promise<Member> {
    const open = (url: string, link: string): Promise<Proxy> => {
      const { hostname: host, port } = new URL(url);
      return Proxy.open({ host, port: Number(port) }, dice.fork(`${name} ${link}`));
    };
    const port = await lastingPort();
    const redis = await open(place.redisUrl, 'redis');
    const postgres = await open(place.databaseUrl, 'postgres');
    const http = kind === 'ingress' ? await open(`http://127.0.0.1:${port}`, 'http') : null;
    return new Member(kind, name, port, redis, postgres, http, place, clockOffMs);
  }

  /** As clients reach it. */
  get url(): string {
    return `http://127.0.0.1:${this.http!.port}`;
  }

  /** Past the proxy. */
  get directUrl(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get proxies(): Proxy[] {
    return [this.redis, this.postgres, ...(this.http ? [this.http] : [])];
  }

  get running(): boolean {
    return this.child !== null && this.child.exitCode === null && this.child.signalCode === null;
  }

  start(): void {
    if (this.running) return;
    const { home, databaseUrl, redisUrl, environment } = this.place;
    this.frozen = false;
    const log = Bun.file(join(home, 'logs', `${this.name}.${Date.now()}.log`));
    const preload = ['--preload', join(import.meta.dir, 'skewed-clock.ts')];
    const main = [join(ROOT, 'src/main.ts'), this.kind];
    this.child = Bun.spawn([process.execPath, ...preload, ...main], {
      env: {
        ...process.env,
        LOG_LEVEL: 'warn',
        QUEUE_WAIT_MS_MAX: '3600000',
        ...environment,
        TALLYRACE_HOME: home,
        DATABASE_URL: this.postgres.inFrontOf(databaseUrl),
        REDIS_URL: this.redis.inFrontOf(redisUrl),
        PROCESS_NAME: this.name,
        HOST: '127.0.0.1',
        PORT: String(this.port),
        TALLYRACE_TEST_CLOCK_OFF_MS: String(this.clockOffMs),
      },
      stdin: 'ignore',
      stdout: log,
      stderr: log,
    });
    this.ending = false;
    void this.child.exited.then((code) => {
      if (!this.ending) this.deaths.push(`${this.name} ended by itself with ${code}`);
    });
  }

  async kill(): Promise<void> {
    if (!this.child) return;
    this.ending = true;
    this.child.kill('SIGKILL');
    await this.child.exited;
    this.frozen = false;
  }

  /** In order; what does not end in time is killed, and counted as -1. */
  async stop(): Promise<void> {
    this.thaw();
    if (!this.child || !this.running) return;
    const { child } = this;
    this.ending = true;
    child.kill('SIGTERM');
    const code = await Promise.race([child.exited, Bun.sleep(STOPPED_WITHIN_MS).then(() => null)]);
    if (code === null) await this.kill();
    this.exits.push(code ?? -1);
  }

  freeze(): void {
    if (!this.running) return;
    this.child!.kill('SIGSTOP');
    this.frozen = true;
  }

  thaw(): void {
    if (this.frozen && this.running) this.child!.kill('SIGCONT');
    this.frozen = false;
  }

  async close(): Promise<void> {
    await this.kill();
    for (const proxy of this.proxies) proxy.close();
  }
}

export class Fleet {
  constructor(readonly members: readonly Member[]) {}

  static async make(
    counts: Record<Kind, number>,
    place: FleetPlace,
    dice: Dice,
    clockOffMs: (name: string) => number,
  ): Promise<Fleet> {
    mkdirSync(join(place.home, 'run'), { recursive: true });
    mkdirSync(join(place.home, 'logs'), { recursive: true });
    const names = (['ingress', 'worker'] as const).flatMap((kind) =>
      Array.from({ length: counts[kind] }, (_, n) => ({ kind, name: `${kind}-${n + 1}` })),
    );
    const members = await Promise.all(
      names.map(({ kind, name }) => Member.make(name, kind, place, dice, clockOffMs(name))),
    );
    return new Fleet(members);
  }

  get deaths(): string[] {
    return this.members.flatMap(({ deaths }) => deaths);
  }

  of(kind: Kind): Member[] {
    return this.members.filter((member) => member.kind === kind);
  }

  start(): void {
    for (const member of this.members) member.start();
  }

  /** Everything runs and nothing is in the way. */
  heal(): void {
    for (const member of this.members) {
      member.thaw();
      member.start();
      for (const proxy of member.proxies) {
        proxy.disarm();
        for (const toxic of proxy.toxics) proxy.put(toxic)();
      }
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.stop()));
  }

  async close(): Promise<void> {
    await Promise.all(this.members.map((member) => member.close()));
  }
}

/** Free now, and below those that the system gives to others while a process is down. */
async function lastingPort(): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 18_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
