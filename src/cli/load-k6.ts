// k6, a program of its own: found on PATH, run to its end, its CPU time counted.
// Invariant: a k6 of another major version is refused before anything is started.
import { Failure, exitCodes } from './exit.ts';

const MAJOR = 2;
const HOW_TO_GET_IT = `One of these gets it:
  brew install k6
  CGO_ENABLED=0 go install go.k6.io/k6/v2@v2.2.0   (then add Go's bin directory to PATH)
or the packages for Debian, Fedora and Windows that its documentation lists under "Install k6".`;

/** Percent that its heap may grow between collections: memory for CPU, which the server wants too. */
const GOGC = '200';

export interface K6 {
  file: string;
  /** As it says itself, without the v. */
  version: string;
}

export interface Ran {
  exitCode: number;
  /** Of its own, user and system. */
  cpuSeconds: number;
  wallSeconds: number;
}

export function findK6(path: string | undefined): K6 {
  const file = Bun.which('k6', { PATH: path ?? '' });
  if (!file) throw new Failure(`k6 is not on PATH. ${HOW_TO_GET_IT}`, exitCodes.unavailable);
  const said = Bun.spawnSync([file, 'version']).stdout.toString();
  const found = /\bv(\d+)\.\d+\.\d+\S*/.exec(said);
  if (Number(found?.[1]) === MAJOR) return { file, version: found![0].slice(1) };
  const is = found ? found[0] : 'of an unknown version';
  throw new Failure(
    `${file} is ${is}; the scripts are written for k6 v${MAJOR}. ${HOW_TO_GET_IT}`,
    exitCodes.unavailable,
  );
}

/**
 * In a process group of its own: Ctrl-C on a terminal would reach it twice, and the second time it
 * ends without a report.
 */
export async function runK6(
  { file }: K6,
  script: string,
  env: Record<string, string>,
  stop: Promise<NodeJS.Signals>,
): Promise<Ran> {
  const startedAt = performance.now();
  const child = Bun.spawn([file, 'run', script], {
    env: { GOGC, K6_NO_USAGE_REPORT: 'true', ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  });
  void stop.then(() => child.kill('SIGINT'));
  const exitCode = await child.exited;
  return {
    exitCode,
    cpuSeconds: Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1e6,
    wallSeconds: (performance.now() - startedAt) / 1_000,
  };
}
