// How long a process that died waits before it is started again, and who a process number is.
import { describe, expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { restartDelayMs } from '../../src/supervisor/keeper.ts';
import { commandOf, startOf } from '../../src/supervisor/identity.ts';
import { eventually } from '../processes.ts';

describe('restarts', () => {
  test('come at once, then later and later, and never stop coming', () => {
    const delays = [1, 2, 3, 4, 5, 6, 7, 100].map(restartDelayMs);
    expect(delays).toEqual([0, 250, 500, 1_000, 2_000, 5_000, 5_000, 5_000]);
  });
});

describe('a process', () => {
  test('is known by its number and its start, until it ends', async () => {
    const child = spawn('sleep', ['60']);
    const pid = child.pid!;
    const start = startOf(pid);
    expect(start).not.toBeNull();
    await eventually('its command', () => commandOf(pid).startsWith('sleep 60'));
    child.kill('SIGKILL');
    await eventually('its end', () => startOf(pid) === null);
    expect(commandOf(pid)).toBe('');
  });

  test.each([0, 1, -5, Number.NaN, 2 ** 31])('cannot be number %p', (pid) => {
    expect(startOf(pid)).toBeNull();
  });
});
