// One of two processes that race for the same bucket; prints how many takers were admitted.
import { Limiter } from '../../src/http/limits.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';

const TAKERS = 3_000;
const redis = producerClient(process.env['RACE_REDIS']!, 'racer');
await redisReady(redis);
const quota = Number(process.env['RACE_QUOTA']);
const limits = { requests: { key: { quota, window_s: 86_400 } } };
const limiter = new Limiter(redis);
const plan = limiter.plan('requests', {
  id: 'k',
  tenant: 1,
  scopes: new Set(),
  publishable: false,
  limits,
});
// Whoever is first waits for the other.
await redis.incr('racers');
while (Number(await redis.get('racers')) < 2) await Bun.sleep(1);
const refusals = await Promise.all(
  Array.from({ length: TAKERS }, () =>
    limiter.take(plan, plan.early, { key: 'race' }, { policy: [], limit: [] }),
  ),
);
console.log(refusals.filter((refusal) => refusal === null).length);
redis.disconnect();
