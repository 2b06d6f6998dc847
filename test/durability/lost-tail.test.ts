// Redis comes back older than what was acknowledged: its tail is cut, as a power cut does it under
// a setting that allows it, or it is empty. What is gone is told, and no position is given twice.
import { expect, setDefaultTimeout, test } from 'bun:test';
import { Client, type Reply as Answer } from '../client.ts';
import { type Started, eventually } from '../processes.ts';
import { type Stack, openStack } from '../stack.ts';
import { RedisAddress, RedisServer } from './servers.ts';

// Other tests may have the machine at the same time.
setDefaultTimeout(60_000);
/** All of one user, so that they are on one stream. */
const event = (id: string) => ({
  id,
  type: 'earning.credited',
  data: { user_id: 'u_1', kind: 'test', amount: { amount: 5, currency: 'USD' }, reference: id },
});
const ids = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `${prefix}_${n}`);

interface Accepted {
  results: { status: string; position: string; outcome?: { verdict: string } }[];
}

/** A stack whose Redis is reached by an address that may lead elsewhere. */
class Scene {
  private client: Client | null = null;

  private constructor(
    private readonly stack: Stack,
    private readonly key: string,
    readonly server: RedisServer,
    readonly address: RedisAddress,
  ) {}

  static async open(name: string): Promise<Scene> {
    const stack = await openStack(name);
    const { key } = await stack.createTenant(name);
    const server = await RedisServer.start();
    const address = await RedisAddress.open(server);
    const short = { LEASE_MS: '600', LEASE_RENEW_MS: '200' };
    Object.assign(stack.environment, short, { REDIS_URL: address.url });
    return new Scene(stack, key, server, address);
  }

  async startIngress(): Promise<Started> {
    const ingress = await this.stack.startIngress();
    this.client = new Client(ingress.url, this.key);
    return ingress;
  }

  startWorker(): Promise<Started> {
    return this.stack.startWorker();
  }

  post(id: string, prefer: string): Promise<Answer<Accepted>> {
    return this.client!.post<Accepted>('/v1/events', event(id), { prefer });
  }

  /** The offsets that were acknowledged. */
  async accept(names: readonly string[], prefer = 'respond-async'): Promise<number[]> {
    const { body } = await eventually('it is accepted', async () => {
      const sent = names.map(event);
      const reply = await this.client!.post<Accepted>('/v1/events', sent, { prefer });
      return reply.status === (prefer === 'respond-async' ? 202 : 200) ? reply : null;
    });
    return body.results.map(({ position }) => Number(position.split('.')[2]));
  }

  async settledTo(offset: number): Promise<void> {
    await eventually('the ledger has settled it', async () => {
      const [row] = await this.stack.owner`select max(settled)::int as settled from streams`;
      return row!['settled'] >= offset;
    });
  }

  async outcomes(): Promise<number> {
    const [row] = await this.stack.owner`select count(*)::int as outcomes from outcomes`;
    return row!['outcomes'] as number;
  }

  async problems(): Promise<{ check: string; detail: string }[]> {
    const { stdout } = await this.stack.run('verify', '--json');
    return (JSON.parse(stdout) as { problems: { check: string; detail: string }[] }).problems;
  }
}

test('a failover to a replica that lags: the lost is counted; sent again it gets in', async () => {
  const scene = await Scene.open('lagging');
  await scene.startIngress();
  const replica = await RedisServer.start();
  await replica.follow(scene.server);
  expect(await scene.accept(ids('kept', 10))).toHaveLength(10);
  await (await scene.server.client()).wait(1, 5_000);
  await replica.promote();
  const lost = ids('lost', 7);
  expect(await scene.accept(lost)).toEqual([11, 12, 13, 14, 15, 16, 17]);
  await scene.server.kill();
  scene.address.lead(replica);
  // No position of a lost event is given to another one: the hole is how the loss is known.
  expect(await scene.accept(['after'])).toEqual([18]);
  const worker = await scene.startWorker();
  await scene.settledTo(18);
  expect(await scene.problems()).toEqual([
    { check: 'lost', detail: expect.stringMatching(/stream events\.\d: Redis lost 7 accepted/) },
  ]);
  // The client was told 202. One that keeps what it sent until the ledger has it sends it again.
  expect(await scene.accept(lost)).toHaveLength(7);
  await scene.settledTo(25);
  expect(await scene.outcomes()).toBe(18);
  await worker.kill('SIGTERM');
});

test('a tail that the ledger had settled costs nothing, and no offset is given twice', async () => {
  const scene = await Scene.open('older');
  const ingress = await scene.startIngress();
  const first = await scene.startWorker();
  await scene.accept(ids('kept', 5), 'wait=ledger');
  const copy = await RedisServer.start({}, scene.server.dir);
  await scene.accept(ids('tail', 5), 'wait=ledger');
  await first.kill('SIGKILL');
  await ingress.kill('SIGKILL');
  await scene.server.kill();
  scene.address.lead(copy);
  // Nobody who was there remembers, and no worker runs to raise what Redis has forgotten.
  await scene.startIngress();
  expect(await scene.accept(['after'])).toEqual([11]);
  const { status, body } = await scene.post('waits', 'wait=ledger; timeout=300');
  expect([status, body.results[0]!.outcome]).toEqual([202, undefined]);
  const second = await scene.startWorker();
  await scene.settledTo(12);
  expect(await scene.problems()).toEqual([]);
  expect(await scene.outcomes()).toBe(12);
  await second.kill('SIGTERM');
});
