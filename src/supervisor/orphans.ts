// Ends what a supervisor that was killed has left running, before anything new is started.
// Invariant: only a process with the number and the start time that we wrote down is touched.
import { existsSync, readdirSync } from 'node:fs';
import type { Home } from './home.ts';
import { leftBehind } from './keeper.ts';

const STOP_WITHIN_MS = 15_000;
const LOOK_EVERY_MS = 50;

export async function endOrphans(home: Home, say: (line: string) => void): Promise<void> {
  if (!existsSync(home.run)) return;
  const names = readdirSync(home.run)
    .filter((file) => file.endsWith('.started'))
    .map((file) => file.slice(0, -'.started'.length));
  const isServer = (name: string): boolean => name === 'postgres' || name === 'redis';
  // Those that use the servers end first, so that they can finish what they have in hand.
  for (const group of [names.filter((name) => !isServer(name)), names.filter(isServer)])
    await Promise.all(group.map((name) => end(home, name, say)));
}

async function end(home: Home, name: string, say: (line: string) => void): Promise<void> {
  const pid = leftBehind(home, name);
  if (pid === null) return;
  say(`ending ${name} (process ${pid}), left over from an earlier run`);
  send(pid, name === 'postgres' ? 'SIGINT' : 'SIGTERM');
  const deadline = Date.now() + STOP_WITHIN_MS;
  while (leftBehind(home, name) === pid) {
    if (Date.now() > deadline) send(pid, 'SIGKILL');
    await Bun.sleep(LOOK_EVERY_MS);
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // It ended between the look and the signal.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
