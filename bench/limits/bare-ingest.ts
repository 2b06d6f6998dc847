// The limit of T2: events go into Redis as the product's do, one script call per loop turn and
// stream, answered after Redis has them; no key, no limiter, no metrics, no check of shape.
// Arguments: the Redis URL. Prints its port.
import { Elysia } from 'elysia';
import { Packr } from 'msgpackr';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { Appender } from '../../src/stream/append.ts';
import { partitionOf } from '../../src/stream/topology.ts';

interface Event {
  id: string;
  data: { user_id: string };
}

const redis = producerClient(process.argv[2] ?? '', 'bare-ingest');
await redisReady(redis);
const appender = new Appender(redis, { bytesWaitingMax: 256 * 2 ** 20, entryEventsMax: 1_000 });
const packr = new Packr({ useRecords: false });

async function append(event: Event): Promise<object> {
  const partition = partitionOf(1, event.data.user_id);
  const offset = await appender.append('events', partition, packr.pack(event));
  return { id: event.id, status: 'accepted', position: `events.${partition}.${offset}` };
}

const app = new Elysia()
  .post('/v1/events', async ({ body, set }) => {
    set.status = 202;
    const events = Array.isArray(body) ? (body as Event[]) : [body as Event];
    return { results: await Promise.all(events.map(append)) };
  })
  .listen({ port: 0, hostname: '127.0.0.1' });

console.log(app.server!.port);
