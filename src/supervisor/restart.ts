// A rolling restart, asked of a running supervisor by a signal and answered in a file of its home.
// SIGUSR2 and not SIGHUP, which a terminal that is closed sends too.
// Invariant: one restart at a time, and whoever asked hears how it ended.
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Home } from './home.ts';
import { startOf } from './identity.ts';
import { Unavailable } from './launch.ts';
import { holderOf } from './lock.ts';

const SIGNAL = 'SIGUSR2';
const LOOK_EVERY_MS = 50;

interface Answer {
  ok: boolean;
  detail: string;
}

const answerFile = (home: Home): string => join(home.run, 'restart.json');

/** On the supervisor's side: every signal is one restart, those during one are part of it. */
export function restartOnSignal(
  home: Home,
  restart: () => Promise<void>,
  say: (line: string) => void,
): void {
  let running: Promise<void> | null = null;
  process.on(SIGNAL, () => {
    running ??= answered(home, restart, say).finally(() => (running = null));
  });
}

async function answered(
  home: Home,
  restart: () => Promise<void>,
  say: (line: string) => void,
): Promise<void> {
  const answer: Answer = { ok: true, detail: 'every process was replaced' };
  try {
    await restart();
  } catch (error) {
    answer.ok = false;
    answer.detail = error instanceof Error ? error.message : String(error);
  }
  say(answer.ok ? answer.detail : `the restart has stopped: ${answer.detail}`);
  try {
    const aside = `${answerFile(home)}.new`;
    writeFileSync(aside, JSON.stringify(answer));
    renameSync(aside, answerFile(home));
  } catch (error) {
    // A full disk must not end the supervisor; whoever asked goes on waiting.
    say(`the answer could not be written: ${String(error)}`);
  }
}

/** Asks, and resolves when all is replaced; rejects with what the supervisor says. */
export async function askForRestart(home: Home): Promise<string> {
  const pid = holderOf(home);
  if (pid === null)
    throw new Unavailable(
      `Nothing runs in ${home.root}. "tallyrace restart" is for what "npm start" has started.`,
    );
  rmSync(answerFile(home), { force: true });
  const started = startOf(pid);
  process.kill(pid, SIGNAL);
  while (!existsSync(answerFile(home))) {
    if (startOf(pid) !== started) throw new Unavailable('The supervisor ended meanwhile.');
    await Bun.sleep(LOOK_EVERY_MS);
  }
  const { ok, detail } = JSON.parse(readFileSync(answerFile(home), 'utf8')) as Answer;
  if (!ok) throw new Unavailable(`The restart has stopped: ${detail}`);
  return detail;
}
