// A small ledger with everything in it, and damages to it done by hand: each with its repair and
// what must be named. Positions are looked up by event id, so that the rows say what they mean.
import type { Rule } from '../src/ledger/decision.ts';
import { rules } from '../consumers/index.ts';
import { Engine, earning } from './engine.ts';
import type { Stack } from './stack.ts';

export interface Damage {
  what: string;
  damage: string;
  repair: string;
  /** Each kind with what its rows must say. */
  named: Record<string, RegExp>;
  /** Where the row was proven before, and other kinds say it. */
  changed?: Record<string, RegExp>;
}

const credited = rules.get('earning.credited')!;
/** As the real one, with an event that breaks it and one that waits for ever. */
const moody: Rule = {
  ...credited,
  decide(event, state) {
    const { kind } = event.data as unknown as { kind: string };
    if (kind === 'bad') throw new Error('bad');
    return kind === 'early'
      ? { verdict: 'defer', reason: 'too_early' }
      : credited.decide(event, state);
  },
};

/** 40 posted, a refused one, a conflict, a repeat, a dead letter, a deferred one; nobody works. */
export async function mixedLedger(stack: Stack, tenant: number): Promise<Engine> {
  const engine = await Engine.open(stack, tenant);
  await engine.start({ rules: [moody] });
  await engine.append(Array.from({ length: 40 }, (_, n) => earning(`e_${n}`, `u_${n % 4}`, 10)));
  await settledTo(engine, 40);
  await engine.append([
    earning('too_much', 'u_0', -1_000),
    earning('e_0', 'u_0', 11),
    earning('e_1', 'u_1', 10),
    earning('broken', 'u_2', 10, 'bad'),
    earning('waiting', 'u_3', 10, 'early'),
  ]);
  await settledTo(engine, 45);
  await engine.stop();
  return engine;
}

async function settledTo(engine: Engine, events: number): Promise<void> {
  while ((await engine.counters()).settled < events) await Bun.sleep(10);
}

const u1 = `(select account_key from balances where account = 'user:u_1:earnings')`;
const streamOf = (id: string): string => `(select stream from outcomes where event_id = '${id}')`;

/** A row that is gone and comes back as it was. */
function removed(table: string, where: string): Pick<Damage, 'damage' | 'repair'> {
  return {
    damage: `create table kept as select * from ${table} where ${where};
             delete from ${table} where ${where}`,
    repair: `insert into ${table} overriding system value select * from kept; drop table kept`,
  };
}

/** Of rows that any verify must name, whether they are new or were proven before. */
export const damages: Damage[] = [
  {
    what: 'an amount that was changed',
    damage: `update entries set amount = amount + 1 where account_key = ${u1} and sequence = 3`,
    repair: `update entries set amount = amount - 1 where account_key = ${u1} and sequence = 3`,
    named: {
      balance_chain: /account user:u_1:earnings .* entry 3 has a balance after of 30, off by -1/,
      sum: /event e_9 .* entries in USD sum to 1/,
    },
  },
  {
    what: 'an entry that is missing',
    ...removed('entries', `account_key = ${u1} and sequence = 5`),
    named: {
      sequence: /account user:u_1:earnings .* entry 6 follows the one before by 2/,
      sum: /event e_17 .* entries in USD sum to -10/,
    },
  },
  {
    what: 'a transaction whose entries are all missing',
    ...removed('entries', `event_key = (select event_key from outcomes where event_id = 'e_17')`),
    named: {
      sequence: /account user:u_1:earnings .* entry 6 follows the one before by 2/,
      bare: /event e_17 \(key .*, stream events\.\d offset \d+\) is posted and has no entries/,
    },
  },
  {
    what: 'a balance after that was changed',
    damage: `update entries set balance_after = 7 where account_key = ${u1} and sequence = 10`,
    repair: `update entries set balance_after = 100 where account_key = ${u1} and sequence = 10`,
    named: {
      balance_chain: /account user:u_1:earnings .* entry 10 has a balance after of 7, off by -93/,
      balance:
        /account user:u_1:earnings .* balance 100 at .* its last entry says 7 at sequence 10/,
    },
    changed: {
      balance_chain: /account user:u_1:earnings .* entry 10 has a balance after of 7, off by -93/,
      changed: /entry 10 of account user:u_1:earnings is not what it was/,
    },
  },
  {
    what: 'a sequence that was moved on',
    damage: `update entries set sequence = 12 where account_key = ${u1} and sequence = 10`,
    repair: `update entries set sequence = 10 where account_key = ${u1} and sequence = 12`,
    named: { sequence: /account user:u_1:earnings .* entry 12 follows the one before by 3/ },
  },
  {
    what: 'a balance that was changed',
    damage: `update balances set balance = balance + 7 where account_key = ${u1}`,
    repair: `update balances set balance = balance - 7 where account_key = ${u1}`,
    named: {
      balance: /user:u_1:earnings .* balance 107 at sequence 10, but its last entry says 100 at/,
    },
  },
  {
    what: 'a balance that is gone',
    ...removed('balances', `account = 'user:u_1:earnings'`),
    named: { balance: /entries of account key [0-9a-f-]+ have no balance/ },
  },
  {
    what: 'a balance below its floor',
    damage: `update balances set floor = 1000 where account_key = ${u1}`,
    repair: `update balances set floor = 0 where account_key = ${u1}`,
    named: { floor: /account user:u_1:earnings .* below its floor 1000/ },
  },
  {
    what: 'an outcome that is gone',
    ...removed('outcomes', `event_id = 'e_7'`),
    named: {
      orphan: /entries of event key .* have no posted outcome/,
      offset: /stream events\.\d: offset \d+ is of no outcome, conflict, dead letter/,
      accounting: /stream events\.\d: counted posted \d+ .*, but there are rows for/,
    },
    changed: {
      orphan: /entries of event key .* have no posted outcome/,
      offset: /stream events\.\d: offset \d+ is of no outcome, conflict, dead letter/,
      changed: /41 were verified, 40 are there/,
    },
  },
  {
    what: 'a refusal that is gone',
    ...removed('outcomes', `event_id = 'too_much'`),
    named: { offset: /offset \d+ is of no outcome/, accounting: /counted posted/ },
    changed: { offset: /offset \d+ is of no outcome/, changed: /41 were verified, 40 are there/ },
  },
  {
    what: 'an outcome that was moved to the place of another',
    damage: `create table kept as select stream_offset from outcomes where event_id = 'e_8';
             update outcomes set stream_offset = (select stream_offset from outcomes
               where event_id = 'e_12') where event_id = 'e_8'`,
    repair: `update outcomes set stream_offset = (select * from kept) where event_id = 'e_8';
             drop table kept`,
    named: {
      offset: /offset \d+ is of more than one event: e_12, e_8/,
    },
    changed: {
      offset: /offset \d+ is of more than one event: e_12, e_8/,
      changed: /event e_8 \(key .*\) is not what it was/,
    },
  },
  {
    what: 'a counter that lies',
    damage: `update streams set posted = posted + 1 where stream = ${streamOf('e_1')}`,
    repair: `update streams set posted = posted - 1 where stream = ${streamOf('e_1')}`,
    named: { accounting: /stream events\.\d: settled \d+, but posted/ },
  },
  {
    what: 'a stream that was set on',
    damage: `update streams set settled = settled + 1, posted = posted + 1
             where stream = ${streamOf('e_1')}`,
    repair: `update streams set settled = settled - 1, posted = posted - 1
             where stream = ${streamOf('e_1')}`,
    named: { accounting: /there are rows for/, offset: /offset \d+ is of no outcome/ },
  },
  {
    what: 'a dead letter that is gone',
    ...removed('dead_letters', `event_id = 'broken'`),
    named: { accounting: /counted .* dead 1 /, offset: /offset \d+ is of no outcome/ },
  },
  {
    what: 'a deferred event that is gone',
    ...removed('deferred', `event_id = 'waiting'`),
    named: { accounting: /counted .* deferred 1,/, offset: /offset \d+ is of no outcome/ },
  },
  {
    what: 'a conflict that is gone',
    ...removed('conflicts', `event_id = 'e_0'`),
    named: { accounting: /counted .* refused \d/, offset: /offset \d+ is of no outcome/ },
  },
];
