// `npm run bench -- layout [--group ids] [--turns 40]`: what another layout of the ledger's tables
// and of its write would cost. A study for whoever is about to change one of them.
import { openServices } from '../../test/services.ts';
import { UsageError, readOptions } from '../lib/arguments.ts';
import { markdownTable } from '../lib/goals.ts';
import { describeMachine } from '../lib/machine.ts';
import { saveJson, saveText } from '../lib/results.ts';
import { groups } from './groups.ts';
import type { Figures } from './figures.ts';
import { compareVariants } from './laboratory.ts';

const standard = { group: 'all', turns: 40 };

/** Gives the exit code. */
export async function layoutBench(args: readonly string[]): Promise<number> {
  const { group, turns } = readOptions(args, standard);
  const names = group === 'all' ? Object.keys(groups) : [group];
  if (names.some((name) => !groups[name]))
    throw new UsageError(`--group is one of ${Object.keys(groups).join(', ')}`);
  const stack = await openServices('laboratory');
  const found: Record<string, Figures[]> = {};
  const texts: string[] = [];
  try {
    for (const name of names) {
      found[name] = await compareVariants(stack.databaseUrl, groups[name]!, turns);
      texts.push(`${name}, ${turns} turns\n\n${tableOf(found[name])}`);
      console.log(`\n${texts.at(-1)}`);
    }
  } finally {
    await stack.close();
  }
  await saveJson('layout', { machine: describeMachine(), turns, found });
  console.log(`saved in ${await saveText('layout.md', texts.join('\n'))}`);
  return 0;
}

const head = [
  'variant',
  'server µs',
  'ratio (19 of 20 runs)',
  'client µs',
  'wall µs',
  'WAL bytes',
  'records',
  'whole pages',
  'table bytes',
  'index bytes',
  'HOT',
];

function tableOf(figures: readonly Figures[]): string {
  const rows = figures.map(({ name, ratio, wal, ...each }) => [
    name,
    each.serverUs.toFixed(1),
    `${ratio.middle.toFixed(2)} (${ratio.low.toFixed(2)} to ${ratio.high.toFixed(2)})`,
    each.clientUs.toFixed(1),
    each.wallUs.toFixed(1),
    wal.bytes.toFixed(0),
    wal.records.toFixed(2),
    wal.pages.toFixed(3),
    each.tableBytes.toFixed(0),
    each.indexBytes.toFixed(0),
    each.hotShare.toFixed(3),
  ]);
  return markdownTable(head, rows);
}
