// When which fault begins and how long it lasts, drawn from the seed; and carrying that out.
// Invariant: when `carryOut` resolves, everything that was harmed is healed. A server suffers one
// fault of its own at a time: to cut the log of one that another fault has just started is no fault
// but a mistake of ours.
import type { Dice } from './dice.ts';
import { type Field, type Heal, type NemesisName, nemeses, weights } from './nemesis.ts';

export interface Planned {
  name: NemesisName;
  atMs: number;
  forMs: number;
}

export interface Schedule {
  loadMs: number;
  faults: Planned[];
}

const FAULTS_MIN = 3;
const FAULTS_MAX = 8;

/** `cuts`: Redis's log is cut behind what it had acknowledged, once. */
export function scheduleOf(dice: Dice, loadMs: number, cuts: boolean): Schedule {
  const count = dice.between(FAULTS_MIN, FAULTS_MAX);
  const faults = Array.from({ length: count }, (): Planned => {
    const atMs = dice.between(150, Math.max(150, loadMs - 300));
    // Beyond the two seconds that a command of Redis may take, now and then.
    const forMs = dice.chance(0.12) ? dice.between(2_000, 2_800) : dice.between(60, 1_200);
    return { name: dice.weighted(weights), atMs, forMs };
  });
  if (cuts)
    faults.push({ name: 'cut_acknowledged', atMs: dice.between(500, loadMs - 300), forMs: 50 });
  return { loadMs, faults: faults.sort((a, b) => a.atMs - b.atMs) };
}

/** What a fault takes for itself. */
function claimOf(name: NemesisName): string | null {
  if (/redis$|^cut_/.test(name) && name !== 'cut') return 'redis';
  return /postgres$|^full_disk$/.test(name) ? 'postgres' : null;
}

export async function carryOut({ faults }: Schedule, field: Field): Promise<NemesisName[]> {
  const startedAt = performance.now();
  const taken = new Set<string>();
  const met: NemesisName[] = [];
  await Promise.all(
    faults.map(async ({ name, atMs, forMs }) => {
      await Bun.sleep(Math.max(0, atMs - (performance.now() - startedAt)));
      const claim = claimOf(name);
      if (claim && taken.has(claim)) return;
      if (claim) taken.add(claim);
      met.push(name);
      const heal: Heal = await nemeses[name](field);
      await Bun.sleep(forMs);
      await heal();
      if (claim) taken.delete(claim);
    }),
  );
  return met;
}
