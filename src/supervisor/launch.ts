// Starts one process and answers when it serves, or says in one sentence why it does not.
// Invariant: what was started here is stopped here, and on Linux dies with its parent.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** How to run one process, as often as needed. */
export interface Launch {
  /** Names its log and its pid file: `postgres`, `ingress-2`. */
  name: string;
  command: readonly string[];
  /** Gives up root before the command runs: `setpriv …`, `unshare …`. */
  wrapper?: readonly string[];
  env?: Record<string, string>;
  cwd?: string;
  /** Asks for a graceful end; after `stopWithinMs` it is killed. */
  stopSignal: NodeJS.Signals;
  stopWithinMs: number;
  /** Runs before each start: removes what a killed predecessor left. */
  before?(): void;
  /** One attempt to use it: resolves when it serves, rejects while it does not. */
  probe(pid: number): Promise<void>;
  readyWithinMs: number;
  /** Its successor may start before it ends: nothing of it is for one process only. */
  overlaps?: boolean;
  /** Turns what it printed into what the reader should do; null when it has no idea. */
  explain(output: string): string | null;
}

export interface Running {
  pid: number;
  exited: Promise<string>;
  stop(): Promise<void>;
}

/** A server as others use it. */
export interface Server {
  url: string;
  pid: number;
  port: number;
  stop(): Promise<void>;
}

/** Something outside could not be used; the message says what to do. Exit code 69. */
export class Unavailable extends Error {}

const LOG_BYTES_MAX = 64 * 1024 * 1024;
const PROBE_PAUSE_MS = 25;

export async function launch(plan: Launch, logFile: string): Promise<Running> {
  plan.before?.();
  const logOffset = prepareLog(logFile);
  const running = spawnLogged(plan, logFile);
  await untilServing(plan, running, logFile, logOffset);
  return running;
}

/** Rejects, with nothing left running, when it ends or takes too long. */
export async function untilServing(
  plan: Launch,
  running: Running,
  logFile: string,
  logOffset: number,
): Promise<void> {
  let ended: string | null = null;
  void running.exited.then((how) => (ended = how));
  const deadline = Date.now() + plan.readyWithinMs;
  for (;;) {
    // Whichever comes first: a probe may hang on a stranger who has the port.
    const reason = await Promise.race([attempt(plan, running.pid), running.exited]);
    if (ended !== null) break;
    if (reason === null) return;
    if (Date.now() > deadline) {
      await running.stop();
      const within = `within ${plan.readyWithinMs / 1_000} s`;
      throw new Unavailable(`${plan.name} did not answer ${within} (${reason}); see ${logFile}`);
    }
    await Bun.sleep(PROBE_PAUSE_MS);
  }
  throw new Unavailable(failure(plan, logFile, logOffset, ended));
}

/** Null when it serves, else why not. */
function attempt(plan: Launch, pid: number): Promise<string | null> {
  return plan.probe(pid).then(
    () => null,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}

/** Spawns without waiting for it to serve. */
export function spawnLogged(plan: Launch, logFile: string): Running {
  const fd = openSync(logFile, 'a', 0o600);
  // The tie comes after the wrapper, since a change of user would loosen it.
  const tie = dyingWithParent(plan.stopSignal);
  const [command, ...args] = [...(plan.wrapper ?? []), ...tie, ...plan.command];
  // Its own session: Ctrl-C reaches the supervisor alone, which then stops things in order.
  const child = spawn(command!, args, {
    stdio: ['ignore', fd, fd],
    env: { ...process.env, ...plan.env },
    cwd: plan.cwd,
    detached: true,
  });
  closeSync(fd);
  const exited = exitOf(child);
  return {
    pid: child.pid ?? 0,
    exited,
    async stop() {
      const kill = setTimeout(() => child.kill('SIGKILL'), plan.stopWithinMs);
      child.kill(plan.stopSignal);
      await exited;
      clearTimeout(kill);
    },
  };
}

export function tailOf(logFile: string, offset: number, bytesMax = 8_192): string {
  const size = statSync(logFile).size;
  const from = Math.max(offset, size - bytesMax);
  const buffer = Buffer.alloc(Math.max(0, size - from));
  const fd = openSync(logFile, 'r');
  readSync(fd, buffer, 0, buffer.length, from);
  closeSync(fd);
  return buffer.toString('utf8');
}

function exitOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
}

/** The log's size now; a log grown too large is put aside first. */
export function prepareLog(logFile: string): number {
  mkdirSync(dirname(logFile), { recursive: true });
  const size = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
  if (size < LOG_BYTES_MAX) return size;
  renameSync(logFile, `${logFile}.1`);
  return 0;
}

function failure(plan: Launch, logFile: string, logOffset: number, how: string): string {
  const output = tailOf(logFile, logOffset);
  if (/no space left on device/i.test(output))
    return `${plan.name} did not start: the disk is full. Free some space and start again.`;
  const explained = plan.explain(output);
  if (explained) return `${plan.name} did not start: ${explained}`;
  const lastLine = output.trim().split('\n').at(-1) ?? '';
  return `${plan.name} did not start (${how}): ${lastLine}\nIts log is ${logFile}`;
}

let canTieToParent: boolean | null = null;

/** A prefix that makes the kernel signal the child when its parent dies, however it dies. */
function dyingWithParent(signal: NodeJS.Signals): string[] {
  const prefix = (name: string): string[] => ['setpriv', '--pdeathsig', name, '--'];
  canTieToParent ??=
    process.platform === 'linux' &&
    spawnSync('setpriv', [...prefix('TERM').slice(1), 'true']).status === 0;
  return canTieToParent ? prefix(signal.replace('SIG', '')) : [];
}
