// load: the k6 suite of loadtests/ against an installation, held to its thresholds. What runs here
// is used; when nothing does, a stack is started for the run.
import { randomBytes } from 'node:crypto';
import { Argument, type Command } from 'commander';
import { type Kind, kinds, passed } from '../../loadtests/lib/report.ts';
import { stopSignal } from '../io/lifecycle.ts';
import { Failure, exitCodes } from './exit.ts';
import { findK6 } from './load-k6.ts';
import { runLoad } from './load-run.ts';
import { openTarget } from './load-target.ts';

interface LoadOptions {
  url?: string;
  key?: string;
  scale: string;
  duration?: string;
}

const SECONDS = { s: 1, m: 60, h: 3_600 } as const;

export function addLoad(program: Command): void {
  program
    .command('load')
    .description('load an installation with k6, hold it to the thresholds, prove the books')
    .addArgument(new Argument('<kind>', 'what kind of load').choices(kinds))
    .option('--url <url>', 'an installation elsewhere, whose books are not proved (needs a key)')
    .option('--key <key>', 'whose books are loaded (default: a key of the tenant "load")')
    .option('--scale <factor>', 'multiplies every rate', '1')
    .option('--duration <time>', 'how long in all, e.g. 30s or 5m (default: as the script says)')
    .addHelpText('after', '\nExits 0 when all thresholds were met and the books hold, else 1.')
    .action(load);
}

async function load(kind: Kind, options: LoadOptions): Promise<void> {
  const seconds = options.duration === undefined ? undefined : String(secondsOf(options.duration));
  const { scale } = options;
  if (!(Number(scale) > 0 && Number.isFinite(Number(scale))))
    throw new Failure('--scale must be a number above 0', exitCodes.usage);
  const k6 = findK6(process.env['PATH']);
  const run = randomBytes(4).toString('hex');
  const stop = stopSignal();
  let stopped = false;
  void stop.then(() => (stopped = true));
  const target = await openTarget({ ...options, run }, (line) => console.log(`· ${line}`));
  try {
    if (stopped) throw new Failure('stopped', exitCodes.unavailable);
    const report = await runLoad(k6, target, { kind, run, scale, seconds }, stop);
    if (!passed(report)) throw new Failure('The load was not met.', exitCodes.checkFailed);
  } finally {
    await target.close();
  }
}

function secondsOf(text: string): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(s|m|h)$/.exec(text) ?? [];
  const seconds = Number(amount) * SECONDS[unit as keyof typeof SECONDS];
  if (seconds >= 1) return seconds;
  throw new Failure(
    '--duration must be at least a second, written as 30s, 5m or 1h',
    exitCodes.usage,
  );
}
