// Breakers by target: who fails is left alone, others are not, unless so many fail in a row that
// what they share must be down.
import { afterAll, beforeAll, describe, expect, setSystemTime, test } from 'bun:test';
import { BrokenCircuitError } from 'cockatiel';
import { type BreakerOptions, Breakers } from '../../src/effects/breakers.ts';

const OPEN_MS = 1_000;
let nowMs = Date.now();
const itIsOver = (): unknown => setSystemTime(new Date((nowMs += OPEN_MS)));
beforeAll(() => setSystemTime(new Date(nowMs)));
afterAll(() => setSystemTime());

class KeyRefused extends Error {}

function open(more: Partial<BreakerOptions> = {}, targetsMax?: number) {
  const said: string[] = [];
  const breakers = new Breakers(
    { failures: 3, openMs: OPEN_MS, ...more },
    {
      changed: (target, isHeld) => void said.push(`${target} ${isHeld}`),
      isOfTargetOnly: (error) => error instanceof KeyRefused,
    },
    targetsMax,
  );
  let calls = 0;
  const through = (target: string, failure?: Error): Promise<unknown> =>
    breakers
      .through(target, () => (calls++, failure ? Promise.reject(failure) : Promise.resolve('ok')))
      .catch((error: unknown) => (error instanceof BrokenCircuitError ? 'refused' : error));
  const fails = async (target: string, times = 3, failure = new Error('down')): Promise<void> => {
    for (let time = 0; time < times; time++) expect(await through(target, failure)).toBe(failure);
  };
  return { breakers, said, through, fails, calls: () => calls };
}

describe('a target', () => {
  test('is left alone after so many failures in a row, then tried', async () => {
    const { breakers, said, through, fails, calls } = open();
    await fails('a', 2);
    expect(await through('a')).toBe('ok');
    await fails('a');
    expect(await through('a')).toBe('refused');
    expect(await through('b')).toBe('ok');
    expect(breakers.held()).toEqual(['a']);
    itIsOver();
    expect(breakers.held()).toEqual([]);
    const before = calls();
    await fails('a', 1);
    expect(await through('a')).toBe('refused');
    expect(calls()).toBe(before + 1);
    itIsOver();
    expect(await through('a')).toBe('ok');
    expect(said).toEqual(['a true', 'a true', 'a false']);
  });

  test('that is being tried makes nobody wait', async () => {
    const { breakers, through, fails } = open();
    await fails('a');
    itIsOver();
    const { promise, resolve } = Promise.withResolvers<string>();
    const tried = breakers.through('a', () => promise);
    expect(await through('a')).toBe('refused');
    expect(breakers.held()).toEqual(['a']);
    resolve('it is back');
    expect(await tried).toBe('it is back');
    expect(await through('a')).toBe('ok');
  });
});

describe('all of them', () => {
  test('are left alone when several in a row fail, and tried when the time is over', async () => {
    const { said, through, fails } = open({ targets: 3 });
    for (const target of ['a', 'b', 'c']) await fails(target, 1);
    expect(await through('d')).toBe('refused');
    itIsOver();
    await fails('a', 1);
    expect(await through('d')).toBe('refused');
    itIsOver();
    expect(await through('d')).toBe('ok');
    expect(await through('a')).toBe('ok');
    expect(said).toEqual(['null true', 'null true', 'null false']);
  });

  test('are not for one that fails often, for several with a success in between', async () => {
    const { through, fails } = open({ targets: 3, failures: 100 });
    await fails('a', 20);
    await fails('b', 20);
    expect(await through('c')).toBe('ok');
    await fails('d', 1);
    await fails('e', 1);
    expect(await through('c')).toBe('ok');
  });

  test('are not for keys that were refused: somebody was there', async () => {
    const { through, fails } = open({ targets: 3, failures: 2 });
    for (const target of ['a', 'b', 'c', 'd']) await fails(target, 2, new KeyRefused('401'));
    expect(await through('a')).toBe('refused');
    expect(await through('e')).toBe('ok');
  });
});

test('no more are kept than there is room for; who is well is forgotten first', async () => {
  const { breakers, said, through, fails } = open({ openMs: 60_000 }, 3);
  await fails('a');
  await through('b');
  await through('c');
  await through('d');
  expect(breakers.held()).toEqual(['a']);
  await fails('c');
  await fails('d');
  await through('e');
  expect(breakers.held()).toEqual(['c', 'd']);
  expect(said).toEqual(['a true', 'c true', 'd true', 'a false']);
});
