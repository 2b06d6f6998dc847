// bench: the benches of bench/ as a verb, in a process of their own, which starts its own servers.
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { Failure, exitCodes } from './exit.ts';

const RUN = resolve(import.meta.dir, '../../bench/run.ts');

export function addBench(program: Command): void {
  program
    .command('bench')
    .description('measure this machine: the product beside its physical limit')
    .argument('[names...]', 'validate, ingest, ledger …; all when none is named')
    .option('--seconds <number>', 'for each side and round')
    .option('--rounds <number>', 'subject and limit in turns')
    .option('--rate <number>', 'end-to-end: events a second')
    .option('--batch <number>', 'end-to-end: events in a request')
    .action(async (names: string[], options: Record<string, string>) => {
      const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
      const child = Bun.spawn([process.execPath, RUN, ...names, ...flags], {
        stdio: ['inherit', 'inherit', 'inherit'],
      });
      const code = await child.exited;
      if (code === exitCodes.usage) throw new Failure('The bench did not start.', exitCodes.usage);
      if (code !== 0) throw new Failure('The bench failed.', exitCodes.checkFailed);
    });
}
