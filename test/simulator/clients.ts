// The other side: an ingress that appends what a plan says and tries again what it has no answer
// to, and a reader that fills the balance cache as the API does.
// Invariant: an entry is sent again, with the same ids, until it was answered.
import type { Link } from './link.ts';
import type { Simulation } from './simulate.ts';
import { POOL, type PlannedEntry, UNIT, encodePlanned, userAccount, users } from './traffic.ts';
import { sequenceOf } from './checks.ts';

const DEADLINE_MS = 2_000;
const AGAIN_MS = 200;
const READ_EVERY_MS = 40;
/** A reader may take its time between the ledger and the cache. */
const THINKS_MS = 120;
const BYTES_LEFT = 7;

export class Clients {
  private readonly ingress: Link;
  private readonly api: { redis: Link; postgres: Link };
  /** The highest offset it has heard of as settled, or was given. */
  private readonly known = new Map<number, number>();
  private unanswered: number;
  private claims = 0;

  constructor(
    private readonly simulation: Simulation,
    private readonly traffic: readonly PlannedEntry[],
  ) {
    const { redisServer, postgresServer } = simulation;
    const [client, reader] = [simulation.process('client'), simulation.process('reader')];
    this.ingress = simulation.link(client, redisServer, DEADLINE_MS);
    this.api = {
      redis: simulation.link(reader, redisServer, DEADLINE_MS),
      postgres: simulation.link(reader, postgresServer, DEADLINE_MS),
    };
    this.unanswered = traffic.length;
  }

  get areDone(): boolean {
    return this.unanswered === 0;
  }

  start(): void {
    const { scheduler } = this.simulation;
    for (const entry of this.traffic)
      scheduler.after(entry.atMs, null, () => void this.send(entry));
    this.readLater();
  }

  /** Announcements reach it, and it keeps the highest. */
  hear(partition: number, offset: number): void {
    this.known.set(partition, Math.max(offset, this.known.get(partition) ?? 0));
  }

  private async send(entry: PlannedEntry): Promise<void> {
    const { redis, scheduler } = this.simulation;
    const { partition, events, damage } = entry;
    const whole = Buffer.concat(events.map(encodePlanned));
    const blob = damage === 'cut' ? whole.subarray(0, whole.length - BYTES_LEFT) : whole;
    let times = 0;
    try {
      const given = await this.ingress.call<number>('append', (answer) => {
        if (++times > 1) this.simulation.checks.violate('append', 'a request appended twice');
        const settled = this.known.get(partition) ?? 0;
        const first = redis.append(partition, events, { blob, damage, settled });
        const said = events.map(
          ({ id, kind, amount, user }) => `${id} (${kind} ${amount} ${user})`,
        );
        this.simulation.say('Redis', `events.${partition}.${first}: ${said.join(', ')}`);
        answer.value(first);
      });
      if (damage !== 'foreign') this.hear(partition, given + events.length - 1);
      this.unanswered--;
    } catch {
      this.simulation.see('append without an answer');
      scheduler.after(AGAIN_MS, null, () => void this.send(entry));
    }
  }

  private readLater(): void {
    const { scheduler, chance } = this.simulation;
    scheduler.after(READ_EVERY_MS * chance.next() * 2, null, () => {
      const account = chance.chance(0.2) ? POOL : userAccount(chance.pick(users));
      void this.read(account).catch(() => {});
      this.readLater();
    });
  }

  /** What src/cache/balances.ts and its callers do: claim, read the ledger, fill. */
  private async read(account: string): Promise<void> {
    const { redis, ledger } = this.simulation;
    const claim = `claim ${++this.claims}`;
    const held = await this.api.redis.call<{ isComplete: boolean; claim: string }>(
      'get',
      (answer) => answer.value(redis.cache.get(account, claim)),
    );
    if (held.isComplete) return;
    const row = await this.api.postgres.call<{ balance: number; sequence: number } | null>(
      'read balance',
      (answer) => {
        const sequence = sequenceOf(ledger, account);
        const { balance } = ledger.accounts.get(account) ?? { balance: 0 };
        answer.value(sequence === 0 ? null : { balance, sequence });
      },
    );
    const { scheduler, chance } = this.simulation;
    const ms = chance.chance(0.3) ? THINKS_MS * chance.next() : 0;
    await new Promise<void>((resolve) => void scheduler.after(ms, null, resolve));
    await this.api.redis.call<void>('fill', (answer) => {
      redis.fill(account, held.claim, new Map(row ? [[UNIT, row]] : []));
      answer.value();
    });
  }
}
