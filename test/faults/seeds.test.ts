// The short fault suite: a few seeds over real servers and processes, which together must meet
// everything that faults can bring about. `npm run torture` runs as many as wanted; see
// docs/faults.md.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { type Verdict, runSeed } from './seed-run.ts';
import { type Sighting, cutSightings, sightings } from './sightings.ts';
import { Slot } from './slot.ts';

const LOAD_MS = 2_500;
const SEEDS = { plain: 7, cutLog: 16, insistent: 2 } as const;

let slot: Slot;
const met = new Set<Sighting>();

beforeAll(async () => {
  slot = await Slot.open();
}, 60_000);
afterAll(() => slot.close(), 60_000);

function expectWell(verdict: Verdict): void {
  for (const sight of verdict.sights) met.add(sight);
  const { seed, faults, problems } = verdict;
  expect({ seed, faults, problems }).toEqual({ seed, faults, problems: [] });
  expect(verdict.counts.ok).toBeGreaterThan(10);
}

test(`faults of seed ${SEEDS.plain} lose nothing and double nothing`, async () => {
  expectWell(await runSeed(SEEDS.plain, slot, { loadMs: LOAD_MS, cuts: false }));
}, 120_000);

test(`a log cut behind its acknowledgements (seed ${SEEDS.cutLog}): what is lost`, async () => {
  const options = { loadMs: LOAD_MS, cuts: true, insist: cutSightings, insistMs: 15_000 };
  expectWell(await runSeed(SEEDS.cutLog, slot, options));
}, 120_000);

test(`seed ${SEEDS.insistent}, until everything has been met`, async () => {
  const insist = sightings.filter((sight) => !met.has(sight));
  const options = { loadMs: LOAD_MS, cuts: false, insist, insistMs: 20_000 };
  expectWell(await runSeed(SEEDS.insistent, slot, options));
  expect([...sightings, ...cutSightings].filter((sight) => !met.has(sight))).toEqual([]);
}, 180_000);
