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

/** A request's events for one stream stay together, as the product's do: one promise a stream. */
async function append(events: readonly Event[]): Promise<object[]> {
  const groups = new Map<number, { places: number[]; tuples: Uint8Array[] }>();
  events.forEach((event, place) => {
    const partition = partitionOf(1, event.data.user_id);
    let group = groups.get(partition);
    if (!group) groups.set(partition, (group = { places: [], tuples: [] }));
    group.places.push(place);
    group.tuples.push(packr.pack(event));
  });
  const results: object[] = [];
  const sent = [...groups].map(async ([partition, { places, tuples }]) => {
    const { promise, resolve: appended, reject: refused } = Promise.withResolvers<number>();
    const bytes = Buffer.concat(tuples);
    appender.appendAll('events', partition, places.length, bytes, { appended, refused });
    const first = await promise;
    places.forEach((place, index) => {
      const position = `events.${partition}.${first + index}`;
      results[place] = { id: events[place]!.id, status: 'accepted', position };
    });
  });
  await Promise.all(sent);
  return results;
}

const app = new Elysia()
  .post('/v1/events', async ({ body, set }) => {
    set.status = 202;
    return { results: await append(Array.isArray(body) ? (body as Event[]) : [body as Event]) };
  })
  .listen({ port: 0, hostname: '127.0.0.1' });

console.log(app.server!.port);
