// verify: proves the books, on a running system. Exit 0 when everything holds, 1 when not.
import type { Command } from 'commander';
import { couponChecks } from '../cache/coupon-verify.ts';
import { hasCardNumber } from '../http/card-numbers.ts';
import { type Verdict, verify } from '../store/verify.ts';
import { acknowledgeLost } from '../store/lost.ts';
import { Failure, exitCodes } from './exit.ts';
import { type Progress, progress } from './progress.ts';
import { actor, withRunningServers } from './servers.ts';

/** As with other free texts. */
const REASON_CHARACTERS_MAX = 1_000;

interface Options {
  full?: boolean;
  json?: boolean;
  acknowledgeLost?: boolean;
  reason?: string;
}

export function addVerify(program: Command): void {
  program
    .command('verify')
    .description('prove that accepted = posted + refused + dead + pending, and that the books hold')
    .option('--full', 'look at all of history again, not only at what has come since')
    .option('--json', 'print JSON')
    .option('--acknowledge-lost', 'put on record that you have looked at what Redis lost so far')
    .option('--reason <text>', 'why that is well; stays on record with it')
    .action(async ({ full = false, json = false, acknowledgeLost: wanted, reason }: Options) => {
      if (wanted || reason !== undefined) await acknowledge(wanted, reason);
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

/** On the error stream, since the report may be read by a program. */
async function acknowledge(wanted = false, reason = ''): Promise<void> {
  const why = reason.trim();
  if (!wanted || why === '')
    throw new Failure('--acknowledge-lost and --reason go together', exitCodes.usage);
  if (why.length > REASON_CHARACTERS_MAX || hasCardNumber(why))
    throw new Failure(
      `a reason has at most ${REASON_CHARACTERS_MAX} characters and no card number`,
      exitCodes.usage,
    );
  const done = await withRunningServers(({ sql }) => acknowledgeLost(sql, actor(), why));
  for (const { stream, events, positions } of done) {
    const runs = positions.map(([first, last]) => (first === last ? first : `${first} to ${last}`));
    console.error(`${stream}: ${events} lost events acknowledged (${runs.join(', ')})`);
  }
  if (done.length === 0) console.error('nothing is lost that was not acknowledged');
}

function textOf(verdict: Verdict): string {
  const { accepted, posted, refused, dead, pending, duplicates, problems, found } = verdict;
  const events = { accepted, posted, refused, dead, pending, duplicates };
  const lines = Object.entries(events).map(([name, count]) => `${name.padEnd(10)} ${count}`);
  const { scope, looked_at, seconds, verified_to } = verdict;
  lines.push(
    `${scope}: ${looked_at} rows of history in ${seconds} s, proven to ${verified_to ?? 'nothing yet'}`,
  );
  if (verdict.acknowledged > 0) lines.push(`lost and acknowledged: ${verdict.acknowledged}`);
  for (const { check, detail } of problems) lines.push(`${check}: ${detail}`);
  for (const [check, count] of Object.entries(found)) {
    const named = problems.filter((problem) => problem.check === check).length;
    if (count > named) lines.push(`${check}: ${count} in all, ${named} of them named`);
  }
  return [...lines, verdict.ok ? 'everything holds' : `${problems.length} problems`].join('\n');
}
