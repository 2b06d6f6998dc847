// verify: proves the books, on a running system. Exit 0 when everything holds, 1 when not.
import type { Command } from 'commander';
import { couponChecks } from '../cache/coupon-verify.ts';
import { type Verdict, verify } from '../store/verify.ts';
import { exitCodes } from './exit.ts';
import { type Progress, progress } from './progress.ts';
import { withRunningServers } from './servers.ts';

export function addVerify(program: Command): void {
  program
    .command('verify')
    .description('prove that accepted = posted + refused + dead + pending, and that the books hold')
    .option('--full', 'look at all of history again, not only at what has come since')
    .option('--json', 'print JSON')
    .action(async ({ full = false, json = false }: { full?: boolean; json?: boolean }) => {
      let bar: Progress | null = null;
      const onStretch = (done: number, of: number): void => {
        if (done === 0) bar = of > 1 ? progress('stretches', of) : null;
        else bar?.add(1);
        if (done === of) bar?.end();
      };
      const verdict = await withRunningServers(({ redis, sql }) =>
        verify(redis, sql, couponChecks, { full, onStretch }),
      );
      console.log(json ? JSON.stringify(verdict) : textOf(verdict));
      process.exitCode = verdict.ok ? exitCodes.ok : exitCodes.checkFailed;
    });
}

function textOf(verdict: Verdict): string {
  const { accepted, posted, refused, dead, pending, duplicates, problems, found } = verdict;
  const events = { accepted, posted, refused, dead, pending, duplicates };
  const lines = Object.entries(events).map(([name, count]) => `${name.padEnd(10)} ${count}`);
  const { scope, looked_at, seconds, verified_to } = verdict;
  lines.push(
    `${scope}: ${looked_at} rows of history in ${seconds} s, proven to ${verified_to ?? 'nothing yet'}`,
  );
  for (const { check, detail } of problems) lines.push(`${check}: ${detail}`);
  for (const [check, count] of Object.entries(found)) {
    const named = problems.filter((problem) => problem.check === check).length;
    if (count > named) lines.push(`${check}: ${count} in all, ${named} of them named`);
  }
  return [...lines, verdict.ok ? 'everything holds' : `${problems.length} problems`].join('\n');
}
