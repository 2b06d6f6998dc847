// What is attacked: several ingress processes and workers over a Postgres and a Redis of their own,
// each of which an attack may kill; or somebody's stack, of which only the addresses are known.
import { findFreePort } from '../../src/supervisor/ports.ts';
import { PARTITIONS, offsetKey } from '../../src/stream/topology.ts';
import { type Started, eventually } from '../processes.ts';
import { type Stack, openServices } from '../services.ts';
import type { TestTenant } from '../tenants.ts';
import { Server } from './servers.ts';
import { type Switch, openSwitch } from './switch.ts';

const LEASES = { LEASE_MS: '2000', LEASE_RENEW_MS: '500' };
const SETTLED_WITHIN_MS = 60_000;

interface Kept {
  verb: 'ingress' | 'worker';
  environment: Record<string, string>;
  process: Started;
}

export class Stage {
  private readonly kept: Kept[] = [];
  private readonly servers: Server[] = [];

  private constructor(
    readonly stack: Stack,
    readonly tenant: TestTenant,
    private readonly front: Switch,
    /** Where the address leads to. */
    public redis: Server,
  ) {
    this.servers.push(redis);
  }

  static async open(ingresses: number, workers: number): Promise<Stage> {
    const stack = await openServices('prove');
    try {
      const redis = await Server.start();
      const front = await openSwitch(redis.url);
      stack.environment['REDIS_URL'] = front.url;
      // Thousands of requests at once are what is wanted here, however long they wait.
      stack.environment['QUEUE_WAIT_MS_MAX'] = '3600000';
      const stage = new Stage(stack, await stack.createTenant('prove'), front, redis);
      const numbers = (count: number) => Array.from({ length: count }, (_, n) => n + 1);
      await Promise.all([
        ...numbers(workers).map((n) => stage.start('worker', n)),
        ...numbers(ingresses).map((n) => stage.start('ingress', n)),
      ]);
      return stage;
    } catch (error) {
      await stack.close();
      throw error;
    }
  }

  get urls(): string[] {
    return this.kept.filter(({ verb }) => verb === 'ingress').map(({ process }) => process.url);
  }

  private async start(verb: Kept['verb'], number: number): Promise<void> {
    const environment: Record<string, string> = { ...LEASES, PROCESS_NAME: `${verb}-${number}` };
    if (verb === 'ingress') environment['PORT'] = String(await findFreePort());
    this.kept.push({ verb, environment, process: await this.launch(verb, environment) });
  }

  private launch(verb: Kept['verb'], environment: Record<string, string>): Promise<Started> {
    return verb === 'ingress'
      ? this.stack.startIngress(environment)
      : this.stack.startWorker(environment);
  }

  /** Any of them, at once, without a word; it comes back where it was. */
  async kill(verb: Kept['verb'], pick: number, more: Record<string, string> = {}): Promise<void> {
    const some = this.kept.filter((one) => one.verb === verb);
    const one = some[pick % some.length]!;
    await one.process.kill('SIGKILL');
    one.process = await this.launch(verb, { ...one.environment, ...more });
  }

  async restartIngresses(more: Record<string, string>): Promise<void> {
    for (let n = 0; n < this.urls.length; n++) await this.kill('ingress', n, more);
  }

  /** Workers stop in the middle of whatever they do, and go on later. */
  signalWorkers(signal: 'SIGSTOP' | 'SIGCONT'): void {
    for (const { verb, process: one } of this.kept)
      if (verb === 'worker') process.kill(one.pid, signal);
  }

  async startReplica(): Promise<Server> {
    const replica = await this.redis.startReplica();
    this.servers.push(replica);
    return replica;
  }

  async startEmptyServer(): Promise<Server> {
    const server = await Server.start();
    this.servers.push(server);
    return server;
  }

  /** The old one dies, and clients are led to the new one. */
  async failOver(to: Server): Promise<void> {
    await this.redis.kill();
    this.redis = to;
    this.front.leadTo(to.url);
  }

  /** Resolves when the ledger has every redemption that Redis has given out. */
  async settled(): Promise<void> {
    const keys = Array.from({ length: PARTITIONS }, (_, n) => offsetKey('coupons', n));
    await eventually(
      'the ledger has caught up',
      async () => {
        const offsets = await this.redis.ask((admin) => admin.mget(keys));
        const rows = await this.stack.owner<{ stream: string; settled: number }[]>`
          select stream, settled::int as settled from streams where stream like 'coupons.%'`;
        const settled = new Map(rows.map((row) => [row.stream, row.settled]));
        return offsets.every((last, n) => Number(last ?? 0) <= (settled.get(`coupons.${n}`) ?? 0));
      },
      SETTLED_WITHIN_MS,
    );
  }

  async close(): Promise<void> {
    await this.stack.close();
    this.front.close();
    for (const server of this.servers) await server.close();
  }
}
