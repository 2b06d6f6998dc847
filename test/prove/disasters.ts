// Attacks by what befalls servers: processes killed at any moment, Redis emptied, replaced, failed
// over to a replica that lags. The buyers go on all the while, and ask again until they are told.
import type { Arena, Attack } from './arena.ts';
import { fixed, shop } from './attacks.ts';

const LIMIT = 80;

/** One hot code, and another that comes in stacks with it and is never given back. */
async function shopping(arena: Arena, disaster: (hot: string) => Promise<void>): Promise<void> {
  const [hot, beside] = [arena.code('HOT'), arena.code('BESIDE')];
  await arena.put(hot, fixed({ global: LIMIT }));
  await arena.put(beside, fixed({ global: 10 * LIMIT }, { stackable: true }));
  await arena.put(arena.code('TOP'), fixed({ global: 10 * LIMIT }, { stackable: true }));
  const one = async (): Promise<void> => {
    if (arena.chance(0.9)) return await shop(arena, [hot], 1 + arena.pick(3));
    const codes = arena.chance(0.5) ? [beside, arena.code('TOP')] : [arena.code('TOP'), beside];
    await arena.buyers.buy({ codes, order: arena.nextOrder(), commit: true });
  };
  await Promise.all([arena.crowd(one), disaster(hot)]);
}

function killing(name: string, about: string, kill: (arena: Arena) => Promise<void>): Attack {
  return {
    name,
    about,
    async run(arena) {
      let over = false;
      const crowd = shopping(arena, async () => {
        while (!over) {
          await Bun.sleep(300 + arena.pick(700));
          if (!over) await kill(arena);
        }
      });
      setTimeout(() => (over = true), arena.milliseconds * 0.8);
      await crowd;
    },
  };
}

const ingresses = killing(
  'ingress killed',
  'SIGKILL of one ingress after another, between reserve and commit too',
  (arena) => arena.stage.kill('ingress', arena.pick(1_000)),
);

const workers = killing('worker killed', 'SIGKILL of one worker after another', (arena) =>
  arena.stage.kill('worker', arena.pick(1_000)),
);

const redis = killing(
  'Redis killed',
  'SIGKILL of Redis, started again on its append-only file',
  async ({ stage }) => {
    await stage.redis.kill();
    await stage.redis.restart();
  },
);

/** Things are lost while workers do nothing, so that Redis alone has the latest redemptions. */
function losing(
  attack: Pick<Attack, 'name' | 'about'>,
  lose: (arena: Arena) => Promise<void>,
): Attack {
  return {
    ...attack,
    mayLose: true,
    async run(arena) {
      await shopping(arena, async () => {
        await Bun.sleep(arena.milliseconds * 0.3);
        arena.stage.signalWorkers('SIGSTOP');
        await Bun.sleep(Math.min(1_000, arena.milliseconds * 0.1));
        await lose(arena);
        arena.stage.signalWorkers('SIGCONT');
      });
    },
  };
}

const emptied = losing(
  { name: 'Redis emptied', about: 'FLUSHALL under load, with the workers behind' },
  async ({ stage }) => {
    await stage.redis.ask((admin) => admin.flushall());
  },
);

const replaced = losing(
  { name: 'Redis replaced', about: 'an empty server in place of the one that died' },
  async ({ stage }) => stage.failOver(await stage.startEmptyServer()),
);

const lagging: Attack = {
  name: 'replica lags',
  about: 'a replica is cut off, the ledger goes on, the primary dies and the replica is promoted',
  mayLose: true,
  async run(arena) {
    const { stage, milliseconds } = arena;
    const replica = await stage.startReplica();
    await shopping(arena, async () => {
      await Bun.sleep(milliseconds * 0.2);
      replica.lag();
      await Bun.sleep(milliseconds * 0.3);
      await replica.promote();
      await stage.failOver(replica);
    });
  },
};

const confirmed: Attack = {
  name: 'replica confirms',
  about: 'the same with REDIS_REPLICAS_MIN=1: what was acknowledged is there',
  async run(arena) {
    const { stage, milliseconds } = arena;
    const replica = await stage.startReplica();
    await stage.restartIngresses({ REDIS_REPLICAS_MIN: '1' });
    await shopping(arena, async () => {
      await Bun.sleep(milliseconds * 0.4);
      await stage.redis.kill();
      await replica.promote();
      await stage.failOver(replica);
      await stage.startReplica();
    });
    await stage.restartIngresses({});
  },
};

export const disasters: readonly Attack[] = [
  ...[ingresses, workers, redis, emptied, replaced, lagging, confirmed],
];
