// `npm run bench -- layout [group]`
import { openServices } from '../../test/services.ts';
import { compareVariants, type Figures } from './laboratory.ts';
import { groups } from './groups.ts';

export async function layoutBench(names: readonly string[], turns: number): Promise<void> {
  const stack = await openServices('laboratory');
  try {
    for (const name of names.length > 0 ? names : Object.keys(groups)) {
      const figures = await compareVariants(stack.databaseUrl, groups[name]!, turns);
      print(name, figures);
    }
  } finally {
    await stack.close();
  }
}

function print(group: string, figures: Figures[]): void {
  console.log(`\n${group}`);
  console.table(
    figures.map((f) => ({
      name: f.name,
      'server us': f.serverUs.toFixed(2),
      ratio: `${f.ratio.middle.toFixed(3)} (${f.ratio.low.toFixed(2)} to ${f.ratio.high.toFixed(2)})`,
      'client us': f.clientUs.toFixed(2),
      'wall us': f.wallUs.toFixed(2),
      'WAL B': f.wal.bytes.toFixed(0),
      'WAL records': f.wal.records.toFixed(2),
      FPI: f.wal.pages.toFixed(4),
      'table B': f.tableBytes.toFixed(0),
      'index B': f.indexBytes.toFixed(0),
      hot: f.hotShare.toFixed(3),
    })),
  );
}

if (import.meta.main) await layoutBench(process.argv.slice(2), Number(process.env['TURNS'] ?? 48));
