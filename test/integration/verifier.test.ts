// Workers verify in turns: of several that are due one does it, all publish what was found.
import { expect, test } from 'bun:test';
import { createLog } from '../../src/io/log.ts';
import { Metrics } from '../../src/io/metrics.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { verifyInTurns } from '../../src/verifier.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('verifier');

function problemsIn(metrics: Metrics): number | undefined {
  const family = metrics.snapshot().find(({ name }) => name === 'tallyrace_verify_problems');
  return family?.series[0]?.values[0];
}

test('of two that are due one verifies, and both say what was found', async () => {
  const redis = producerClient(stack.redisUrl, 'verifier');
  await redisReady(redis);
  const workers = ['one', 'two'].map((name) => {
    const metrics = new Metrics();
    const parts = { metrics, log: createLog(name, 'silent'), name };
    const options = { verifyEveryS: 3_600, askMs: 50 };
    return { metrics, ...verifyInTurns(stack.databaseUrl, redis, parts, options) };
  });
  try {
    await Bun.sleep(200);
    const [early] = await stack.owner`select finished_at from verified_point`;
    expect(early!['finished_at']).toBeNull();

    await stack.owner`insert into streams (stream, settled) values ('events.0', 1)`;
    await stack.owner`update verified_point set begun_at = now() - interval '2 hours'`;
    await eventually('both say it', async () => {
      const said = workers.map(({ metrics }) => problemsIn(metrics));
      return said.every((problems) => problems !== undefined && problems > 0) ? said : null;
    });
    const [turn] = await stack.owner`
      select begun_at > now() - interval '1 hour' as taken, problems from verified_point`;
    expect(turn!['taken']).toBe(true);
    expect(workers.map(({ metrics }) => problemsIn(metrics))).toEqual([
      turn!['problems'] as number,
      turn!['problems'] as number,
    ]);
  } finally {
    await Promise.all(workers.map(({ stop }) => stop()));
    redis.disconnect();
  }
}, 60_000);
