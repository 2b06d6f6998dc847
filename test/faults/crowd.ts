// All clients of a run at once: each takes its turns until it is told to stop, ends what it has
// begun, and only then gives up what is still unknown.
import type { Sql } from '../../src/io/postgres.ts';
import { Caller } from './caller.ts';
import { CouponClient } from './coupon-client.ts';
import type { Dice } from './dice.ts';
import { EventClient } from './event-client.ts';
import type { History } from './history.ts';
import { Poisoner } from './poison.ts';

export interface CrowdParts {
  urls: readonly string[];
  key: string;
  tenant: number;
  redisUrl: string;
  owner: Sql;
  history: History;
  dice: Dice;
}

const EVENT_CLIENTS = 4;
const COUPON_CLIENTS = 3;
const POISON_EVERY_MS = 500;
/** After the faults have healed: then an answer must come. */
const GIVE_UP_MS = 6_000;

export class Crowd {
  private stopping = false;
  private giveUpAt = Infinity;
  private lanes: Promise<void>[] = [];
  private readonly poisoner: Poisoner;

  constructor(private readonly parts: CrowdParts) {
    const { redisUrl, tenant, history, dice } = parts;
    this.poisoner = new Poisoner(redisUrl, tenant, history, dice.fork('poison'));
  }

  async start(): Promise<void> {
    await this.poisoner.ready();
    const { history, urls, key, dice } = this.parts;
    const isOver = (): boolean => Date.now() > this.giveUpAt;
    const client = (name: string) => {
      const own = dice.fork(name);
      return [name, new Caller(urls, key, history, own, isOver), history, own] as const;
    };
    for (let n = 0; n < EVENT_CLIENTS; n++)
      this.lane(new EventClient(...client(`e${n}`)), dice.fork(`pause e${n}`));
    for (let n = 0; n < COUPON_CLIENTS; n++)
      this.lane(new CouponClient(...client(`c${n}`)), dice.fork(`pause c${n}`));
    this.lanes.push(this.poisonNowAndThen());
  }

  async stop(): Promise<void> {
    this.stopping = true;
    this.giveUpAt = Date.now() + GIVE_UP_MS;
    await Promise.all(this.lanes);
    this.poisoner.close();
  }

  private lane(client: { turn(): Promise<void> }, dice: Dice): void {
    const run = async (): Promise<void> => {
      while (!this.stopping) {
        await client.turn();
        await Bun.sleep(dice.between(0, 25));
      }
    };
    this.lanes.push(run());
  }

  /** And an operator sends dead letters round again: poison dies again. */
  private async poisonNowAndThen(): Promise<void> {
    const dice = this.parts.dice.fork('operator');
    while (!this.stopping) {
      await this.poisoner.turn();
      await Bun.sleep(POISON_EVERY_MS);
      if (dice.chance(0.4))
        await this.parts.owner`select system_dead_letters_retry(null, 'operator')`.catch(() => {});
    }
  }
}
