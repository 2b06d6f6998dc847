// One way of one ledger for some seconds: committed entries a second, and the CPU of every process.
// Invariant: what was answered is in the books; a difference is reported as a doubt.
import { readFileSync } from 'node:fs';
import { watch } from '../lib/machine.ts';
import { type WorkResult, generate } from './generator.ts';
import { USERS, type Running, type Way } from './peer.ts';

const LEGS = 2;
const WARM_UP_SECONDS = 2;
const TICKS_PER_SECOND = 100;
/** Cores that work which is not ours may take before a figure is called doubtful. */
const ELSEWHERE_CORES_MAX = 0.4;

export interface Figure {
  entriesPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  cores: Record<string, number>;
  /** Cores taken by other programs, by the kernel's own work, or by other guests of the host. */
  elsewhere: number;
  doubts: string[];
}

let runs = 0;

export async function measure(
  running: Running,
  way: Way,
  options: { seconds: number; spread: boolean },
): Promise<Figure> {
  const connections = way.connections[options.spread ? 'spread' : 'hot'];
  const load = (seconds: number): Promise<WorkResult> => {
    const { dialect, batch } = way;
    const { url, apiKey = null } = running;
    const run = `${Date.now().toString(36)}-${runs++}`;
    const work = { url, apiKey, dialect, batch, users: USERS, spread: options.spread, run };
    return generate({ connections, seconds, work });
  };
  const sending = way.burstShare ?? 1;
  await load(WARM_UP_SECONDS * sending);
  await running.settled();
  await running.analyze();
  const before = await running.entries();
  const used = watch(running.pids);
  const busyBefore = machineBusySeconds();
  const startMs = performance.now();
  const result = await load(options.seconds * sending);
  await running.settled();
  const wallSeconds = (performance.now() - startMs) / 1000;
  const cores = { generator: result.cpuSeconds / wallSeconds, ...used(wallSeconds).cores };
  const ours = Object.values(cores).reduce((sum, value) => sum + value, 0);
  const elsewhere = (machineBusySeconds() - busyBefore) / wallSeconds - ours;
  const committed = (await running.entries()) - before;
  const answered = result.requests * way.batch * LEGS;
  return {
    entriesPerSecond: way.burstShare ? committed / wallSeconds : answered / result.seconds,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    cores,
    elsewhere,
    doubts: [
      ...doubtsOf(result, way, connections, committed - answered),
      ...(elsewhere > ELSEWHERE_CORES_MAX ? ['the machine had other work'] : []),
    ],
  };
}

/** Everything but idle and waiting for the disk, stolen time included. */
function machineBusySeconds(): number {
  const [line] = readFileSync('/proc/stat', 'utf8').split('\n');
  const [user, nice, system, , , ...rest] = line!.trim().split(/\s+/).slice(1, 9).map(Number);
  return [user!, nice!, system!, ...rest].reduce((sum, value) => sum + value, 0) / TICKS_PER_SECOND;
}

/** Beyond what was counted, only what was in flight at either end of the time may be there. */
function doubtsOf({ statuses }: WorkResult, way: Way, connections: number, surplus: number) {
  const inFlight = 2 * connections * way.batch * LEGS;
  const expected = way.burstShare ? [202] : [200, 201];
  const doubts = Object.entries(statuses)
    .filter(([status]) => !expected.includes(Number(status)))
    .map(([status, count]) => `${count} answers with status ${status}`);
  return surplus >= 0 && surplus <= inFlight
    ? doubts
    : [...doubts, `${surplus} entries more in the books than were answered`];
}
