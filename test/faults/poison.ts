// Puts entries on a stream that no rule can settle, as a faulty ingress would: bytes that do not
// decode, and events that decode well and break the write, so that the batch is halved.
import { eventDefinition } from '../../schemas/index.ts';
import { producerClient, redisReady } from '../../src/io/redis.ts';
import { encodeEvent } from '../../src/stream/codec.ts';
import { PARTITIONS, offsetKey, streamKey } from '../../src/stream/topology.ts';
import type { Dice } from './dice.ts';
import type { History } from './history.ts';

const TOPIC = 'events';

/** Takes: stream, offset counter; the event's bytes. Gives its offset. */
const APPEND = `
local last = redis.call('INCRBY', KEYS[2], 1)
redis.call('XADD', KEYS[1], '*', 'o', last, 'n', 1, 'b', ARGV[1])
return last
`;

export class Poisoner {
  private readonly redis;
  private number = 0;

  constructor(
    redisUrl: string,
    private readonly tenant: number,
    private readonly history: History,
    private readonly dice: Dice,
  ) {
    this.redis = producerClient(redisUrl, 'poison');
  }

  ready(): Promise<void> {
    return redisReady(this.redis);
  }

  async turn(): Promise<void> {
    const isGarbage = this.dice.chance(0.4);
    const id = `poison_${this.number++}`;
    const partition = this.dice.between(0, PARTITIONS - 1);
    const bytes = isGarbage ? Buffer.from(`\u00c1 garbage ${id}`) : this.breaking(id);
    if (!isGarbage) this.history.poison.add(id);
    const keys = [streamKey(TOPIC, partition), offsetKey(TOPIC, partition)] as const;
    const askedMs = Date.now();
    try {
      const offset = Number(await this.redis.eval(APPEND, 2, ...keys, bytes));
      // What does not decode is known by its place.
      const known = isGarbage ? `${TOPIC}.${partition}.${offset}` : id;
      this.history.poison.add(known);
      this.history.poisonAcknowledged.push({ id: known, askedMs, toldMs: Date.now() });
      this.history.count('ok');
    } catch {
      this.history.count('unknown');
    }
  }

  close(): void {
    this.redis.disconnect();
  }

  /** Well formed, but no text of Postgres has a NUL. */
  private breaking(id: string): Buffer {
    const checks = [{ code: 'FEW\u0000', result: 'valid', count: 1 }];
    const data = { minute: '2026-01-31T12:00:00Z', checks };
    const header = { tenant: this.tenant, id, acceptedAt: Date.now() };
    return encodeEvent(eventDefinition.get('coupon.checked')!, { ...header, data });
  }
}
