// What goes wrong in a run, and when: faults of a single call, named by who makes it and which it
// is, and faults of processes and servers, named by their time. Drawn from the seed before the
// run; a seed has only some kinds of faults, so that rare ones are not drowned by the others.
// Invariant: a schedule is plain data, and any part of it is a schedule too: it can be shrunk.
import { Chance } from './chance.ts';

export type CallFault =
  | 'refused'
  | 'reply lost'
  | 'cut midway'
  | 'late'
  | 'answered late'
  | 'unheard'
  | 'unanswered'
  | 'timed out there';

export interface FaultOfCall {
  process: string;
  call: string;
  nth: number;
  fault: CallFault;
  ms: number;
}

export type FaultInTime =
  | { atMs: number; what: 'crash' | 'stop'; process: string; ms: number }
  | { atMs: number; what: 'freeze'; process: string; ms: number }
  | { atMs: number; what: 'replace'; process: string; ms: number }
  | { atMs: number; what: 'cut'; process: string; ms: number }
  | { atMs: number; what: 'silence'; process: string; ms: number }
  | {
      atMs: number;
      what: 'Redis restarts';
      process: '';
      ms: number;
      tailMs: number;
      isTorn: boolean;
    }
  | { atMs: number; what: 'Postgres restarts'; process: ''; ms: number };

export interface Schedule {
  calls: FaultOfCall[];
  times: FaultInTime[];
}

/** Everything has healed by then: processes run, servers are up, calls are answered. */
export const HEALED_MS = 8_000;

const FAULTS: readonly CallFault[] = [
  ...(['refused', 'reply lost', 'reply lost', 'reply lost', 'cut midway', 'late'] as const),
  ...(['answered late', 'unheard', 'unanswered', 'timed out there'] as const),
];
/** Calls a worker makes, with how many of each come in a run, roughly. */
const CALLS: readonly (readonly [call: string, often: number])[] = [
  ...([
    ['renew', 30],
    ['acquire', 6],
    ['release', 3],
    ['load', 40],
    ['write', 60],
  ] as const),
  ...([
    ['due', 30],
    ['waiting', 30],
    ['relayed', 6],
    ['ensureGroup', 8],
    ['read', 60],
  ] as const),
  ...([
    ['claim', 12],
    ['conclude', 60],
    ['announce', 30],
    ['trim', 30],
    ['put', 60],
  ] as const),
  ...([
    ['expireAll', 8],
    ['raiseOffset', 20],
    ['append', 10],
  ] as const),
];

export function drawSchedule(seed: number, workers: readonly string[]): Schedule {
  const chance = new Chance(seed ^ 0x5ced);
  const calls: FaultOfCall[] = [];
  const faults = FAULTS.filter(() => chance.chance(0.5));
  const asked = CALLS.filter(() => chance.chance(0.5));
  const count = faults.length * asked.length === 0 ? 0 : chance.pick([0, 3, 10, 30, 80]);
  for (let index = 0; index < count; index++) {
    const [call, often] = chance.pick(asked);
    calls.push({
      process: chance.pick(call === 'append' ? [...workers, 'client'] : workers),
      call,
      nth: chance.integer(0, chance.chance(0.3) ? 4 : often),
      fault: chance.pick(faults),
      ms: chance.pick([1, 5, 30, 300, 3_000, 12_000, 40_000]),
    });
  }
  return { calls, times: drawTimes(chance, workers) };
}

function drawTimes(chance: Chance, workers: readonly string[]): FaultInTime[] {
  const kinds = (
    ['crash', 'stop', 'freeze', 'replace', 'cut', 'silence', 'Redis', 'tail', 'Postgres'] as const
  ).filter(() => chance.chance(0.35));
  const times: FaultInTime[] = [];
  for (let left = kinds.length === 0 ? 0 : chance.integer(0, 7); left > 0; left--) {
    const atMs = chance.integer(0, HEALED_MS - 500);
    const ms = chance.integer(1, Math.min(chance.pick([20, 200, 3_000]), HEALED_MS - atMs));
    const what = chance.pick(kinds);
    const process = chance.pick(workers);
    const tailMs = chance.pick([0.5, 5, 50, 500, 100_000]);
    const restart = { atMs, what: 'Redis restarts', process: '', ms } as const;
    if (what === 'Redis') times.push({ ...restart, tailMs: 0, isTorn: false });
    else if (what === 'tail') times.push({ ...restart, tailMs, isTorn: chance.chance(0.5) });
    else if (what === 'Postgres') times.push({ atMs, what: 'Postgres restarts', process: '', ms });
    else times.push({ atMs, what, process, ms });
  }
  return times.sort((one, other) => one.atMs - other.atMs);
}

/** In words, one line each. */
export function describeSchedule({ calls, times }: Schedule): string[] {
  const inTime = times.map(({ atMs, what, process, ms, ...rest }) => {
    const torn = 'isTorn' in rest && rest.isTorn ? ' but for half an append' : '';
    const tail =
      'tailMs' in rest && rest.tailMs > 0 ? `, losing its last ${rest.tailMs} ms${torn}` : '';
    return `at ${atMs} ms: ${[process, what].filter(Boolean).join(' ')} (${ms} ms${tail})`;
  });
  const ofCalls = calls.map(({ process, call, nth, fault, ms }) => {
    const long = fault === 'late' || fault === 'answered late' ? ` by ${ms} ms` : '';
    return `${process}: ${call} number ${nth + 1} is ${fault}${long}`;
  });
  return [...inTime, ...ofCalls];
}
