// What Redis and Postgres say of every stream when a run has failed, kept beside its logs.
import type { Redis } from 'ioredis';
import { topics } from '../../schemas/events.ts';
import type { Sql } from '../../src/io/postgres.ts';
import { GROUP, PARTITIONS, offsetKey, streamKey } from '../../src/stream/topology.ts';

export async function postMortem(redis: Redis, owner: Sql): Promise<string> {
  const lines: string[] = [];
  const tell = async (what: string, ask: () => Promise<unknown>): Promise<void> => {
    const answer = await ask().catch((error: unknown) => String(error));
    lines.push(`${what}: ${JSON.stringify(answer, bigintAsText)}`);
  };
  await tell('workers', () => owner`select *, now() from workers`);
  await tell('streams', () => owner`select * from streams where settled > 0 order by 1`);
  await tell(
    'activity',
    () => owner`
    select pid, application_name, state, wait_event, left(query, 100) as query, now() - query_start
    as since from pg_stat_activity where datname = current_database()`,
  );
  for (const topic of topics)
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const key = streamKey(topic, partition);
      if (!(await redis.exists(key).catch(() => 1))) continue;
      await tell(`${key} offset`, () => redis.get(offsetKey(topic, partition)));
      await tell(`${key} groups`, () => redis.xinfo('GROUPS', key));
      await tell(`${key} pending`, () => redis.xpending(key, GROUP));
      await tell(`${key} last`, async () =>
        (await redis.xrevrange(key, '+', '-', 'COUNT', 5)).map(([id, fields]) => [
          id,
          ...fields.slice(0, 4),
        ]),
      );
    }
  return `${lines.join('\n')}\n`;
}

function bigintAsText(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
