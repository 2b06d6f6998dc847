// The faults, each as two steps: do the harm, and what heals it. Which one, whom it meets and how
// hard is drawn from the seed; several are under way at once and heal in any order.
import { connectPostgres } from '../../src/io/postgres.ts';
import type { Dice } from './dice.ts';
import type { Fleet, Kind, Member } from './fleet.ts';
import type { History } from './history.ts';
import type { LostReply, Proxy, Toxic } from './proxy.ts';
import type { PostgresVictim, RedisVictim } from './servers.ts';

export interface Field {
  fleet: Fleet;
  redis: RedisVictim;
  /** All that is between Redis and those who write to it. */
  redisProxies: readonly Proxy[];
  postgres: PostgresVictim;
  databaseUrl: string;
  history: History;
  dice: Dice;
  /** How often a reply was lost whose request was certainly carried out. */
  lostReplies: { append: number; write: number; read: number; http: number };
  leaseMs: number;
}

export type Heal = () => Promise<void> | void;
type Harm = (field: Field) => Promise<Heal> | Heal;

const memberOf = ({ fleet, dice }: Field, kind?: Kind): Member =>
  dice.pick(kind ? fleet.of(kind) : fleet.members);
const linkOf = (field: Field): Proxy => field.dice.pick(memberOf(field).proxies);

function toxic(make: (dice: Dice) => Toxic): Harm {
  return (field) => linkOf(field).put(make(field.dice));
}

const direction = (dice: Dice) => dice.pick(['up', 'down', 'both'] as const);

/** A reply of Postgres that ends idle, and has a result: the statement was committed. */
const COMMITTED = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
const SELECTED = Buffer.from('SELECT 1\0');

const replies: Record<keyof Field['lostReplies'], LostReply> = {
  append: { request: /evalsha[^]*:offset\r\n/i, done: (reply) => reply[0] !== 0x2d },
  // Names of event types travel in writes only.
  write: {
    request: /earning\.credited|game\.completed|redemption\./,
    done: (reply) => reply.includes(SELECTED) && reply.subarray(-6).equals(COMMITTED),
  },
  read: { request: /xreadgroup/i, done: (reply) => reply.byteLength > 40 },
  http: { request: /POST \/v1/, done: (reply) => reply.includes('HTTP/1.1 20') },
};

/** Forward the request, drop the reply, cut. */
function lostReply(which: keyof Field['lostReplies']): Harm {
  return (field) => {
    const proxies = field.fleet
      .of(which === 'append' || which === 'http' ? 'ingress' : 'worker')
      .map((member) => (which === 'write' ? member.postgres : member.redis));
    const at = which === 'http' ? field.fleet.of('ingress').map(({ http }) => http!) : proxies;
    const proxy = field.dice.pick(at);
    void proxy.loseReply(replies[which]).then((lost) => {
      if (lost) field.lostReplies[which]++;
    });
    return () => proxy.disarm();
  };
}

/** A whole worker cut off from Postgres with a write on its way, for longer than its lease. */
const heldWrite: Harm = async (field) => {
  const worker = memberOf(field, 'worker');
  const release = worker.postgres.put({ kind: 'stall', direction: 'up' });
  const woken = field.dice.chance(0.5);
  if (woken) worker.freeze();
  await Bun.sleep(field.leaseMs + field.dice.between(100, 400));
  return () => {
    release();
    worker.thaw();
  };
};

async function killServer(server: {
  kill(): Promise<void>;
  start(): Promise<void>;
}): Promise<Heal> {
  await server.kill();
  return () => server.start();
}

/** A power cut under `appendfsync always`: nobody was told of what is cut off. */
const cutUnacknowledged: Harm = async ({ redis, redisProxies, dice }) => {
  const muted = redisProxies.map((proxy) => proxy.put({ kind: 'blackhole', direction: 'down' }));
  const before = redis.logBytes();
  await Bun.sleep(dice.between(20, 150));
  await redis.kill();
  const after = redis.logBytes();
  redis.cutLog(dice.between(before, after));
  for (const heal of muted) heal();
  return () => redis.start();
};

/**
 * A power cut under `everysec`: what was acknowledged lately is gone too. Workers are kept from
 * committing meanwhile, so that what they hold has its offsets given out again.
 */
const cutAcknowledged: Harm = async ({ fleet, redis, dice, history }) => {
  const held = fleet
    .of('worker')
    .map(({ postgres }) => postgres.put({ kind: 'stall', direction: 'up' }));
  await Bun.sleep(dice.between(0, 100));
  const sinceMs = Date.now();
  const bytes = redis.logBytes();
  await Bun.sleep(dice.between(100, 400));
  await redis.kill();
  history.losses.push({ sinceMs, untilMs: Date.now() });
  redis.cutLog(Math.min(bytes + dice.between(0, 200), redis.logBytes()));
  await redis.start();
  await Bun.sleep(dice.between(0, 300));
  return () => held.forEach((release) => release());
};

const terminateBackends: Harm = async ({ databaseUrl }) => {
  const sql = connectPostgres(databaseUrl, { max: 1, name: 'nemesis', asOwner: true });
  try {
    await sql`select pg_terminate_backend(pid) from pg_stat_activity
              where datname = current_database() and pid <> pg_backend_pid()`;
  } catch {
    // The server is away itself.
  }
  await sql.end({ timeout: 1 }).catch(() => {});
  return () => {};
};

const fullDisk: Harm = async ({ postgres: { disk } }) => {
  if (!disk) return () => {};
  await disk.fill();
  return () => disk.empty();
};

export const nemeses = {
  latency: toxic((dice) => ({
    kind: 'latency',
    direction: direction(dice),
    delayMs: dice.between(5, 120),
    jitterMs: dice.between(0, 100),
  })),
  slicer: toxic((dice) => ({
    kind: 'slicer',
    direction: direction(dice),
    bytes: dice.between(8, 200),
    pauseMs: dice.chance(0.3) ? 1 : 0,
  })),
  bandwidth: toxic((dice) => ({
    kind: 'bandwidth',
    direction: direction(dice),
    bytesPerMs: dice.between(5, 100),
  })),
  stall: toxic((dice) => ({ kind: 'stall', direction: direction(dice) })),
  blackhole: toxic((dice) => ({ kind: 'blackhole', direction: direction(dice) })),
  partition: (field: Field) => {
    const heals = memberOf(field).proxies.map((proxy) =>
      proxy.put({ kind: 'stall', direction: 'both' }),
    );
    return () => heals.forEach((heal) => heal());
  },
  cut: (field: Field) => {
    linkOf(field).cut();
    return () => {};
  },
  refuse: (field: Field) => linkOf(field).refuse(),
  lost_append: lostReply('append'),
  lost_write: lostReply('write'),
  lost_read: lostReply('read'),
  lost_http: lostReply('http'),
  held_write: heldWrite,
  kill: async (field: Field) => {
    const member = memberOf(field);
    await member.kill();
    return () => member.start();
  },
  stop: async (field: Field) => {
    const member = memberOf(field);
    await member.stop();
    return () => member.start();
  },
  freeze: (field: Field) => {
    const member = memberOf(field);
    member.freeze();
    return () => member.thaw();
  },
  kill_redis: ({ redis }: Field) => killServer(redis),
  freeze_redis: ({ redis }: Field) => {
    redis.freeze();
    return () => redis.thaw();
  },
  kill_postgres: ({ postgres }: Field) => killServer(postgres),
  freeze_postgres: ({ postgres }: Field) => {
    postgres.freeze();
    return () => postgres.thaw();
  },
  terminate_backends: terminateBackends,
  full_disk: fullDisk,
  cut_unacknowledged: cutUnacknowledged,
  cut_acknowledged: cutAcknowledged,
} satisfies Record<string, Harm>;

export type NemesisName = keyof typeof nemeses;

export const weights: Partial<Record<NemesisName, number>> = {
  latency: 8,
  slicer: 5,
  bandwidth: 4,
  stall: 8,
  blackhole: 8,
  partition: 8,
  cut: 6,
  refuse: 6,
  lost_append: 12,
  lost_write: 12,
  lost_read: 6,
  lost_http: 8,
  held_write: 10,
  kill: 14,
  stop: 5,
  freeze: 10,
  kill_redis: 6,
  freeze_redis: 5,
  kill_postgres: 4,
  freeze_postgres: 5,
  terminate_backends: 5,
  full_disk: 4,
  cut_unacknowledged: 6,
};
