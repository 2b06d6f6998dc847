// Where a run takes place: two ingress processes, a worker and an effects process, each of which
// may be killed at any moment and comes back where it was, over a sandbox that nobody touches.
// Invariant: what was started here is gone after close(), in whatever state it was.
import { join } from 'node:path';
import type { Sql } from '../../src/io/postgres.ts';
import { withRedis } from '../../src/io/redis.ts';
import { PARTITIONS, offsetKey } from '../../src/stream/topology.ts';
import { gatewayNames } from '../../schemas/payments.ts';
import { findFreePort } from '../../src/supervisor/ports.ts';
import { Client } from '../client.ts';
import { type Started, startProcess } from '../processes.ts';
import { ROOT } from '../services.ts';
import { type TestTenant, createTenant } from '../tenants.ts';
import { type Ground, openGround } from './ground.ts';
import { SandboxDesk } from './sandbox-desk.ts';

export type Target = 'ingress' | 'worker' | 'effects' | 'redis' | 'postgres';
type Verb = Exclude<Target, 'redis' | 'postgres'>;

interface Kept {
  verb: Verb;
  environment: Record<string, string>;
  process: Started;
}

const processes: readonly Verb[] = ['worker', 'effects', 'ingress', 'ingress'];
const WEBHOOK_SECRET = 'whsec_of_the_run';
const accounts = {
  stripe: { secret_key: 'sk_test_shop', webhook_secret: WEBHOOK_SECRET },
  razorpay: {
    ...{ key_id: 'rzp_test_shop', key_secret: 'secret_run', webhook_secret: WEBHOOK_SECRET },
    ...{ email: 'payments@shop.example', contact: '+919900000000' },
  },
};

export class Stage {
  private readonly kept: Kept[] = [];
  /** Of processes that nobody killed, with what they said last. */
  readonly deaths: string[] = [];

  private killed: Started | null = null;

  private constructor(
    private readonly ground: Ground,
    readonly sandbox: SandboxDesk,
    readonly tenant: TestTenant,
  ) {}

  /** `own`: Redis and Postgres may be killed as well. */
  static async open(own: boolean): Promise<Stage> {
    const ground = await openGround('payments_run', own);
    let sandbox: SandboxDesk | null = null;
    let stage: Stage | null = null;
    try {
      sandbox = await SandboxDesk.open(ground.environment['TALLYRACE_HOME']!);
      Object.assign(ground.environment, {
        ...{ STRIPE_URL: sandbox.urls.stripe, RAZORPAY_URL: sandbox.urls.razorpay },
        // As many requests at once as are wanted here, however long they wait.
        ...{ QUEUE_WAIT_MS_MAX: '3600000', LEASE_MS: '2000', LEASE_RENEW_MS: '500' },
      });
      const made = new Stage(ground, sandbox, await createTenant(ground.owner, 'payments_run'));
      stage = made;
      await Promise.all(processes.map((verb, n) => made.start(verb, n)));
      await made.openAccounts();
      return made;
    } catch (error) {
      if (stage) await stage.close();
      else {
        await sandbox?.close();
        await ground.close();
      }
      throw error;
    }
  }

  get urls(): string[] {
    return this.kept.filter(({ verb }) => verb === 'ingress').map(({ process }) => process.url);
  }

  get owner(): Sql {
    return this.ground.owner;
  }

  get client(): Client {
    return new Client(this.urls[0]!, this.tenant.key);
  }

  private async start(verb: Verb, number: number): Promise<void> {
    const environment: Record<string, string> = {
      ...this.ground.environment,
      PROCESS_NAME: `${verb}-${number}`,
    };
    if (verb === 'ingress') environment['PORT'] = String(await findFreePort());
    const kept = { verb, environment, process: await startProcess(verb, environment) };
    this.kept.push(kept);
    this.watch(kept);
  }

  private watch({ verb, process: one }: Kept): void {
    void one.exited.then((code) => {
      if (one === this.killed) return;
      this.deaths.push(`${verb} ended by itself with ${code}: ${one.output().slice(-500)}`);
    });
  }

  private async openAccounts(): Promise<void> {
    for (const [gateway, account] of Object.entries(accounts)) {
      const { status, body } = await this.client.put(`/v1/gateways/${gateway}`, account);
      if (status >= 300) throw new Error(`${gateway}: ${JSON.stringify(body)}`);
    }
  }

  /** From now on the sandbox tells us what happens, at either of the addresses. */
  async listenToWebhooks(webhook: object): Promise<void> {
    const settings: Record<string, object> = {};
    for (const [n, gateway] of gatewayNames.entries()) {
      const { body } = await this.client.get(`/v1/gateways/${gateway}`);
      const url = `${this.urls[n % this.urls.length]}${String(body['webhook_path'])}`;
      settings[gateway] = { webhook: { ...webhook, url, secrets: [WEBHOOK_SECRET] } };
    }
    await this.sandbox.set(settings);
  }

  /** At once, without a word; it comes back where it was. */
  async kill(target: Target): Promise<void> {
    if (target === 'redis' || target === 'postgres') {
      const victim = this.ground.victims[target];
      if (!victim) throw new Error(`this ${target} is not ours to kill`);
      await victim.kill();
      await victim.start();
      return;
    }
    const one = this.kept.find(({ verb }) => verb === target)!;
    this.killed = one.process;
    await one.process.kill('SIGKILL');
    one.process = await startProcess(target, one.environment);
    this.watch(one);
  }

  /** What is still to be done, by what it is. Also what a payment cost, where nobody said it yet. */
  async left(): Promise<Record<string, number>> {
    const [row] = await this.owner`
      select (select count(*) from effects where status = 'waiting')::int as calls,
             (select count(*) from deferred)::int as deferred,
             (select count(*) from payments
              where status = 'processing'
                 or status = 'authorized' and body->>'capture' = 'automatic'
                 or body->>'captured' <> '0' and body->>'fee' = '0')::int as undecided`;
    const deliveries = await this.sandbox.deliveries();
    const untold = deliveries.filter(({ state }) => state === 'waiting');
    const webhooks = untold.reduce((sum, { count }) => sum + count, 0);
    return { ...(row as Record<string, number>), events: await this.unsettled(), webhooks };
  }

  private async unsettled(): Promise<number> {
    const numbers = Array.from({ length: PARTITIONS }, (_, n) => n);
    const url = this.ground.environment['REDIS_URL']!;
    const offsets = await withRedis(url, 'payments run', (redis) =>
      redis.mget(numbers.map((n) => offsetKey('payments', n))),
    );
    const rows = await this.owner<{ stream: string; settled: number }[]>`
      select stream, settled::int as settled from streams`;
    const settled = new Map(rows.map((row) => [row.stream, row.settled]));
    const behind = numbers.map(
      (n) => Number(offsets[n] ?? 0) - (settled.get(`payments.${n}`) ?? 0),
    );
    return behind.reduce((sum, each) => sum + each, 0);
  }

  /** What `tallyrace verify` says of the books. */
  async verify(): Promise<{ ok: boolean; said: string }> {
    const child = Bun.spawn([process.execPath, join(ROOT, 'src/main.ts'), 'verify'], {
      env: { ...process.env, ...this.ground.environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const said = await new Response(child.stdout).text();
    return { ok: (await child.exited) === 0, said };
  }

  async close(): Promise<void> {
    for (const { process: one } of this.kept) await one.kill('SIGKILL');
    await this.sandbox.close();
    await this.ground.close();
  }
}
