// replay: rebuilds what is derived from the ledger, or shows what today's rules would make of it.
import { type Command } from 'commander';
import { rules } from '../../consumers/index.ts';
import { eventDefinition } from '../../schemas/index.ts';
import { BalanceCache } from '../cache/balances.ts';
import { closeCounters, untilOpen } from '../cache/redemption-life.ts';
import { RedemptionScripts } from '../cache/redemption-scripts.ts';
import type { Sql } from '../io/postgres.ts';
import { rebuildPaymentStats } from '../store/payment-stats.ts';
import { replayDryRun } from '../store/replay.ts';
import { Failure, exitCodes } from './exit.ts';
import { withRunningServers } from './servers.ts';

/** A worker that runs opens them within seconds; a backlog of redemptions takes longer. */
const REBUILD_MS_MAX = 60_000;

interface DryRunOptions {
  type?: string;
  json?: boolean;
}

export function addReplay(program: Command): void {
  const verb = program.command('replay').description('rebuild caches; try rules on past events');
  verb
    .command('balances')
    .description('forget every cached balance: each is read anew from the ledger')
    .action(() =>
      withRunningServers(async ({ redis }) => {
        // Nothing is written here, so how long a balance stays cached does not matter.
        await new BalanceCache(redis, 1).expireAll();
        console.log('every cached balance is forgotten');
      }),
    );
  verb
    .command('coupons')
    .description('rebuild the counters of coupons, and what is reserved, from the ledger')
    .action(() => withRunningServers(({ redis }) => rebuildCounters(new RedemptionScripts(redis))));
  verb
    .command('payment-stats')
    .description('make the roll-ups of payments anew, from the payments')
    .action(() => withRunningServers(({ sql }) => rebuildStats(sql)));
  verb
    .command('dry-run')
    .description('decide past events again, with the rules and terms of now; write nothing')
    .option('--type <type>', 'only events of this type')
    .option('--json', 'print JSON')
    .action((options: DryRunOptions) => dryRun(options));
}

async function rebuildStats(sql: Sql): Promise<void> {
  const payments = await rebuildPaymentStats(sql, (done, of) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${done} of ${of} days`);
  });
  if (process.stderr.isTTY) process.stderr.write('\r');
  console.log(`${payments} payments are counted anew`);
}

/** Workers do it, once the ledger has every redemption that is on its way. */
async function rebuildCounters(scripts: RedemptionScripts): Promise<void> {
  await closeCounters(scripts);
  console.log('the counters of coupons are closed; redemptions wait until they are rebuilt');
  for (const deadline = Date.now() + REBUILD_MS_MAX; !(await untilOpen(scripts));)
    if (Date.now() > deadline)
      throw new Failure('not rebuilt yet; is a worker running?', exitCodes.unavailable);
  console.log('they are open again');
}

async function dryRun({ type = '', json }: DryRunOptions): Promise<void> {
  if (type !== '' && !eventDefinition.has(type))
    throw new Failure(`there is no event type ${type}`, exitCodes.usage);
  const onProgress = (events: number): void => {
    if (process.stderr.isTTY) process.stderr.write(`\r${events} events`);
  };
  const report = await withRunningServers(({ sql }) =>
    replayDryRun(sql, rules, { type, onProgress }),
  );
  if (process.stderr.isTTY) process.stderr.write('\r');
  if (json) return console.log(JSON.stringify(report));
  console.log(`${report.events} events, ${report.verdicts} with another verdict`);
  for (const { tenant, account, unit, recorded, replayed } of report.differences)
    console.log(`${account} (tenant ${tenant}): ${recorded} -> ${replayed} ${unit}`);
  if (report.differences.length === 0) console.log('no account would differ');
}
