// What a run must have met at least once to have shown anything: "sometimes" assertions. A suite
// that never saw a fenced worker has not tested fencing.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sql } from '../../src/io/postgres.ts';
import type { History } from './history.ts';
import { type Field, type NemesisName, nemeses } from './nemesis.ts';

export const sightings = [
  'claimed',
  'duplicate',
  'unknown_commit',
  'fenced',
  'bisected',
  'dead',
  'retried_letter',
  'lost_append_reply',
  'refused_for_now',
  'floor',
  'coupon_limit',
  'replayed_answer',
] as const;

/** Only where Redis's log was cut behind what it had acknowledged. */
export const cutSightings = ['lost_or_renumbered'] as const;

export type Sighting = (typeof sightings)[number] | (typeof cutSightings)[number];

interface Family {
  name: string;
  series: { labels: string[]; values: number[] }[];
}

/** Counters of all processes of a home, those that were killed included as far as they told. */
export class Counters {
  private readonly highest = new Map<string, number>();

  constructor(private readonly home: string) {}

  read(): void {
    const run = join(this.home, 'run');
    for (const file of readdirSync(run).filter((name) => name.endsWith('.metrics.json')))
      try {
        this.take(
          JSON.parse(readFileSync(join(run, file), 'utf8')) as { families: Family[] },
          file,
        );
      } catch {
        // Its process has just ended and taken it along.
      }
  }

  /** The sum over processes and labels; with `label`, of series that have it. */
  total(name: string, label = ''): number {
    let sum = 0;
    for (const [key, value] of this.highest) {
      const [, family, labels] = key.split('|');
      if (family === name && (label === '' || labels!.split(',').includes(label))) sum += value;
    }
    return sum;
  }

  private take({ families }: { families: Family[] }, file: string): void {
    const started = families.find(({ name }) => name === 'process_start_time_seconds');
    const life = `${file}@${started?.series[0]?.values[0]}`;
    for (const { name, series } of families)
      for (const { labels, values } of series) {
        const key = `${life}|${name}|${labels.join(',')}`;
        this.highest.set(key, Math.max(this.highest.get(key) ?? 0, values[0] ?? 0));
      }
  }
}

export class Sights {
  private readonly counters: Counters;
  private readonly found = new Set<Sighting>();

  constructor(
    home: string,
    private readonly owner: Sql,
    private readonly history: History,
    private readonly lostReplies: Field['lostReplies'],
  ) {
    this.counters = new Counters(home);
  }

  get all(): Sighting[] {
    return [...this.found];
  }

  /** Metrics are published once a second, so that what was just met is seen a little later. */
  async look(): Promise<void> {
    this.counters.read();
    const { counters, history, lostReplies } = this;
    const [rows] = await this.owner<Record<string, boolean>[]>`
      select exists (select from streams where duplicate > 0) as duplicate,
             exists (select from streams where lost + renumbered > 0) as lost_or_renumbered,
             exists (select from dead_letters) as dead,
             exists (select from dead_letters where status = 'retried') as retried_letter,
             exists (select from outcomes where reason = 'insufficient_balance') as floor`;
    const retries = (reason: string) => counters.total('tallyrace_write_retries_total', reason) > 0;
    const seen: Record<Sighting, boolean> = {
      ...(rows as Record<
        'duplicate' | 'lost_or_renumbered' | 'dead' | 'retried_letter' | 'floor',
        boolean
      >),
      claimed: counters.total('tallyrace_claimed_entries_total') > 0,
      unknown_commit: lostReplies.write > 0,
      fenced: retries('fenced'),
      bisected: retries('bisection'),
      lost_append_reply: lostReplies.append > 0,
      refused_for_now: history.refusedForNow > 0,
      coupon_limit: history.orders.some(({ refused }) => refused),
      replayed_answer: history.replays > 0,
    };
    for (const [name, isSeen] of Object.entries(seen)) if (isSeen) this.found.add(name as Sighting);
  }

  /** Does again what shows what was not met yet, one after the other. */
  async insist(wanted: readonly Sighting[], field: Field, untilMs: number): Promise<void> {
    for (;;) {
      await this.look().catch(() => {});
      const missing = wanted.filter((each) => !this.found.has(each));
      if (missing.length === 0 || Date.now() > untilMs) return;
      for (const each of missing) {
        const name = provokedBy[each];
        const heal = name ? await nemeses[name](field) : () => {};
        await Bun.sleep(400);
        await heal();
      }
      await Bun.sleep(600);
    }
  }
}

const provokedBy: Partial<Record<Sighting, NemesisName>> = {
  claimed: 'kill',
  unknown_commit: 'lost_write',
  fenced: 'held_write',
  lost_append_reply: 'lost_append',
  refused_for_now: 'refuse',
  lost_or_renumbered: 'cut_acknowledged',
};
