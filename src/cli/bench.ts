// bench: the benches of bench/ as a verb, in a process of their own, which starts its own servers.
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { Failure, exitCodes } from './exit.ts';

const RUN = resolve(import.meta.dir, '../../bench/run.ts');

export function addBench(program: Command): void {
  program
    .command('bench')
    .description('measure this machine: the product beside its physical limit')
    .argument('[names...]', 'benches with their options, or a study; see docs/benchmarks.md')
    // The benches know their own options.
    .allowUnknownOption()
    .action(async (names: string[]) => {
      const child = Bun.spawn([process.execPath, RUN, ...names], {
        stdio: ['inherit', 'inherit', 'inherit'],
      });
      const code = await child.exited;
      if (code === exitCodes.usage) throw new Failure('The bench did not start.', exitCodes.usage);
      if (code !== 0) throw new Failure('The bench failed.', exitCodes.checkFailed);
    });
}
