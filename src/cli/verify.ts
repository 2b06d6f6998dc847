// verify: proves the books, on a running system. Exit 0 when everything holds, 1 when not.
import type { Command } from 'commander';
import { staleCounters } from '../cache/coupon-verify.ts';
import { verify } from '../store/verify.ts';
import { exitCodes } from './exit.ts';
import { withRunningServers } from './servers.ts';

export function addVerify(program: Command): void {
  program
    .command('verify')
    .description('prove that accepted = posted + refused + dead + pending, and that the books hold')
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: boolean }) => {
      const verdict = await withRunningServers(({ redis, sql }) =>
        verify(redis, sql, [staleCounters]),
      );
      if (json) console.log(JSON.stringify(verdict));
      else {
        const { ok, problems, ...counts } = verdict;
        for (const [name, count] of Object.entries(counts))
          console.log(`${name.padEnd(10)} ${count}`);
        for (const { check, detail } of problems) console.log(`${check}: ${detail}`);
        console.log(ok ? 'everything holds' : `${problems.length} problems`);
      }
      process.exitCode = verdict.ok ? exitCodes.ok : exitCodes.checkFailed;
    });
}
