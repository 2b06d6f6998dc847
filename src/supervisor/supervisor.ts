// The whole stack as one process's children: servers, schema, demo tenant, workers, ingresses.
// Invariant: whatever way it ends, nothing that it started stays; it stops in the order in which
// each part needs the next: ingress, worker, then Redis and Postgres.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { migrate } from '../store/migrate.ts';
import { type SandboxUrls, SANDBOX_PORTS, sandboxUrls } from '../gateways/sandbox/sandbox.ts';
import { aimSandbox, demoGateways } from './demo-gateways.ts';
import { ensureDemo } from './demo.ts';
import { makeHome, serverPorts, type Home } from './home.ts';
import { Keeper } from './keeper.ts';
import { Unavailable, type Launch } from './launch.ts';
import { lockHome, type Lock } from './lock.ts';
import { endOrphans } from './orphans.ts';
import {
  effectsPlan,
  ingressPlan,
  localUrl,
  processNames,
  sandboxPlan,
  workerPlan,
  type Urls,
} from './plans.ts';
import { findPortRow, portIsFree } from './ports.ts';
import { preparePostgres } from './postgres.ts';
import { prepareRedis } from './redis.ts';

export interface Started {
  url: string;
  key: string;
  home: Home;
  /** Null: payments go to the gateways themselves. */
  sandbox: SandboxUrls | null;
}

export class Supervisor {
  private lock: Lock | null = null;
  private readonly ingresses: Keeper[] = [];
  private readonly workers: Keeper[] = [];
  private readonly effects: Keeper[] = [];
  private readonly sandbox: Keeper[] = [];
  private readonly servers: Keeper[] = [];
  private stopping: Promise<void> | null = null;

  constructor(
    private readonly config: Config,
    private readonly say: (line: string) => void,
  ) {}

  /** Everything up, or everything that was started stopped again and the reason thrown. */
  async start(): Promise<Started> {
    try {
      return await this.startAll();
    } catch (error) {
      await this.stop();
      throw diskFull(error, this.config.home) ?? error;
    }
  }

  /**
   * Replaces what runs but Redis and Postgres, one at a time: each must serve before the next
   * one's turn. Rejects at the first that does not; those after it go on as they are.
   */
  async restart(): Promise<void> {
    const { sandbox, workers, effects, ingresses } = this;
    for (const keeper of [...sandbox, ...workers, ...effects, ...ingresses]) {
      if (this.stopping) throw new Unavailable('stopped while restarting');
      this.say(`replacing ${keeper.name}`);
      await keeper.replace();
    }
  }

  /** Ends everything, once; more calls wait for the same end. */
  stop(): Promise<void> {
    this.stopping ??= this.stopAll();
    return this.stopping;
  }

  private async startAll(): Promise<Started> {
    const home = makeHome(this.config.home);
    this.lock = lockHome(home);
    await endOrphans(home, this.say);
    await this.requirePort();
    const urls = await this.startServers(home);
    this.say('preparing the database');
    await migrate(urls.databaseUrl);
    const key = await ensureDemo(this.config, urls.databaseUrl, home);
    const sandbox = await this.startSandbox(home, urls);
    this.say('starting worker, effects and ingress');
    const { workerProcesses, effectsProcesses, ingressProcesses } = this.config;
    const workers = processNames('worker', workerProcesses).map((name) =>
      this.keep(this.workers, workerPlan(name, this.config, urls), home),
    );
    const ingresses = processNames('ingress', ingressProcesses).map((name) =>
      this.keep(this.ingresses, ingressPlan(name, this.config, urls), home),
    );
    const effects = processNames('effects', effectsProcesses).map((name) =>
      this.keep(this.effects, effectsPlan(name, this.config, urls, sandbox), home),
    );
    await all([...workers, ...effects, ...ingresses]);
    return { url: localUrl(this.config), key, home, sandbox };
  }

  /** Null when it is not wanted. */
  private async startSandbox(home: Home, urls: Urls): Promise<SandboxUrls | null> {
    if (this.config.sandbox === 'off') return null;
    const port = await findPortRow(SANDBOX_PORTS, this.config.sandboxPort);
    this.say(`starting the sandbox gateways on ports ${port} to ${port + SANDBOX_PORTS - 1}`);
    const sandbox = sandboxUrls(port);
    const paths = await demoGateways(this.config, urls.databaseUrl, home);
    await this.keep(this.sandbox, sandboxPlan(this.config, urls, port), home);
    await aimSandbox(sandbox.control, localUrl(this.config), paths);
    return sandbox;
  }

  private async startServers(home: Home): Promise<Urls> {
    const ports = await serverPorts(home);
    const { databaseUrl, redisUrl, redisAppendfsync, redisMaxmemoryMb } = this.config;
    const log = (name: string): string => join(home.logs, `${name}.log`);
    // Prepared before anything starts: what is missing is said while there is nothing to stop.
    const redis = redisUrl
      ? null
      : prepareRedis({
          dir: home.redis,
          port: ports.redis,
          log: log('redis'),
          appendfsync: redisAppendfsync,
          maxmemoryMb: redisMaxmemoryMb,
          say: this.say,
        });
    const postgres = databaseUrl
      ? null
      : preparePostgres({ dir: home.postgres, port: ports.postgres, log: log('postgres') });
    if (redis) this.say(`starting Redis on port ${ports.redis}`);
    if (postgres) this.say(`starting Postgres on port ${ports.postgres}`);
    const plans = [redis, postgres].flatMap((server) => (server ? [server.plan] : []));
    await all(plans.map((plan) => this.keep(this.servers, plan, home)));
    return {
      databaseUrl: databaseUrl ?? postgres?.url ?? '',
      redisUrl: redisUrl ?? redis?.url ?? '',
    };
  }

  /** The ingress shares its port, so that another program on it would go unnoticed. */
  private async requirePort(): Promise<void> {
    const { host, port } = this.config;
    if (await portIsFree(port, host)) return;
    throw new Unavailable(
      `Port ${port} is in use on ${host}. Stop what listens there, or start with ` +
        `"npm start -- --port ${port + 1}".`,
    );
  }

  private keep(list: Keeper[], plan: Launch, home: Home): Promise<void> {
    if (this.stopping) return Promise.reject(new Unavailable('stopped while starting'));
    const keeper = new Keeper(plan, home, this.say);
    list.push(keeper);
    return keeper.start();
  }

  private async stopAll(): Promise<void> {
    const { ingresses, effects, workers, sandbox, servers } = this;
    for (const group of [ingresses, effects, workers, sandbox, servers])
      await Promise.all(group.map((keeper) => keeper.stop()));
    if (!this.lock) return;
    rmSync(join(this.config.home, 'run', 'supervisor.pid'), { force: true });
    this.lock.release();
  }
}

/** Waits for all, also when one fails: what is half started could not be stopped otherwise. */
async function all(starts: Promise<void>[]): Promise<void> {
  const ends = await Promise.allSettled(starts);
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

function diskFull(error: unknown, root: string): Unavailable | null {
  const text =
    error instanceof Error ? `${'code' in error ? error.code : ''} ${error.message}` : '';
  // 53100 is Postgres's way of saying it; in a migration's message it is spelled out.
  return /\b(ENOSPC|EDQUOT|53100)\b|no space left on device/i.test(text)
    ? new Unavailable(`The disk of ${root} is full. Free some space and start again.`)
    : null;
}
