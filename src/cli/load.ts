// load: the k6 suite of loadtests/ against a running installation. k6 is a program of its own; we
// find it and hand it the address and the key, or say in one line how to get it.
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { readConfig } from '../config.ts';
import { homeAt } from '../supervisor/home.ts';
import { Failure, exitCodes } from './exit.ts';

const SCRIPTS = resolve(import.meta.dir, '../../loadtests');
const KINDS = ['smoke', 'average'] as const;
const INSTALL = 'CGO_ENABLED=0 go install go.k6.io/k6/v2@v2.2.0';
/** What k6 exits with when a threshold was crossed. */
const THRESHOLD_CROSSED = 99;

interface LoadOptions {
  url?: string;
  scale: string;
}

export function addLoad(program: Command): void {
  program
    .command('load')
    .description('load a running installation with k6 and hold it to the thresholds')
    .argument('<kind>', KINDS.join(', '))
    .option('--url <url>', 'where it runs (default: this machine, PORT)')
    .option('--scale <factor>', 'multiplies every rate', '1')
    .action(load);
}

async function load(kind: string, options: LoadOptions): Promise<void> {
  const script = join(SCRIPTS, `${kind}.ts`);
  if (!KINDS.some((each) => each === kind))
    throw new Failure(
      `There is no load "${kind}"; there are: ${KINDS.join(', ')}`,
      exitCodes.usage,
    );
  if (!(Number(options.scale) > 0))
    throw new Failure('--scale must be a number above 0', exitCodes.usage);
  const k6 = Bun.which('k6');
  if (!k6)
    throw new Failure(
      `k6 is not on PATH. With Go installed:\n  ${INSTALL}\nthen add its bin directory to PATH.`,
      exitCodes.unavailable,
    );
  const config = readConfig(process.env);
  const child = Bun.spawn([k6, 'run', script], {
    env: {
      ...process.env,
      K6_NO_USAGE_REPORT: 'true',
      TALLYRACE_URL: options.url ?? `http://127.0.0.1:${config.port}`,
      TALLYRACE_KEY: keyOf(config.demoKey, config.home),
      TALLYRACE_LOAD_SCALE: options.scale,
      TALLYRACE_LOAD_RUN: randomBytes(4).toString('hex'),
    },
    stdio: ['inherit', 'inherit', 'inherit'],
  });
  const code = await child.exited;
  if (code === THRESHOLD_CROSSED)
    throw new Failure('A threshold was crossed.', exitCodes.checkFailed);
  if (code !== 0) throw new Failure(`k6 ended with code ${code}.`, exitCodes.unavailable);
}

function keyOf(given: string | null, home: string): string {
  if (given) return given;
  const file = homeAt(home).demoKey;
  if (existsSync(file)) return readFileSync(file, 'utf8').trim();
  throw new Failure(
    `There is no demo key in ${home}. Start Tallyrace first, or set TALLYRACE_KEY.`,
    exitCodes.unavailable,
  );
}
