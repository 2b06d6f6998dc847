// Bugs planted on purpose, to see the simulator find them: in a copy of our own sources where the
// bug would be ours, at the boundary of the models where it would be a client's or in SQL.
// Invariant: a text to be replaced that is no longer there is an error, not a bug that passes.
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Invariant } from './checks.ts';
import type { Mutations } from './mutations.ts';

export interface Planted {
  name: string;
  /** Any of these says that it was found. */
  violates: readonly Invariant[];
  /** The first seed to try: rare ones begin where they are met soon. */
  from?: number;
  boundary?: Partial<Mutations>;
  file?: string;
  find?: string;
  replace?: string;
}

const root = join(import.meta.dir, '../..');

export const planted: readonly Planted[] = [
  {
    name: 'acknowledges before the commit',
    violates: ['acknowledged', 'accounting'],
    file: 'src/stream/pipeline.ts',
    find: '    const outcome = store.write(',
    replace: `    for (const item of items) streams.get(item.stream)!.itemSettled(item);
    const outcome = store.write(`,
  },
  {
    name: 'trims by length',
    violates: ['trim'],
    boundary: { trimsByLength: true },
  },
  {
    name: 'sends again after a reconnect',
    violates: ['append'],
    boundary: { resends: true },
  },
  {
    name: 'does not look at the epoch',
    violates: ['fence', 'order', 'effect'],
    boundary: { checksNoEpoch: true },
  },
  {
    name: 'writes differences to the cache',
    violates: ['cache'],
    boundary: { writesDeltas: true },
    file: 'src/stream/after-commit.ts',
    find: 'return { tenant, account, unit, balance, sequence };',
    replace: 'return { tenant, account, unit, balance: balance && slot.running, sequence };',
  },
  {
    name: 'announces before the cache is written',
    violates: ['cache'],
    file: 'src/stream/after-commit.ts',
    find: '      await this.putBalances(settled);\n',
    replace: '      setTimeout(() => void this.putBalances(settled), 0);\n',
  },
  {
    name: 'keeps a cache that missed a commit',
    violates: ['cache'],
    file: 'src/stream/after-commit.ts',
    find: 'if (unseen) await',
    replace: 'if (unseen && !unseen) await',
  },
  {
    name: 'decides without the batch before',
    from: 40,
    violates: ['decision'],
    file: 'src/stream/pipeline.ts',
    find: 'for (const slot of touched) slot.base = slot.base! + flight.deltas.get(slot.key)!;',
    replace: '',
  },
  {
    name: 'announces a commit over one whose reply was lost',
    from: 50,
    violates: ['cache'],
    file: 'src/stream/pipeline.ts',
    find: 'after.written, standsOn(next, flight)',
    replace: 'after.written, false && standsOn(next, flight)',
  },
  {
    name: 'turns without a pause',
    violates: ['liveness'],
    file: 'src/stream/runner.ts',
    find: 'each.recovered && each.waitingEvents > 0',
    replace: 'each.waitingEvents > 0',
  },
  {
    name: 'asks for deferred events without a deadline',
    from: 80,
    violates: ['liveness'],
    file: 'src/stream/deadlines.ts',
    find: 'question(deferred.due(streams, limit))',
    replace: 'deferred.due(streams, limit)',
  },
  {
    name: 'keeps a lease that it does not know of',
    from: 50,
    violates: ['liveness'],
    file: 'src/stream/lease.ts',
    find: '} else if (row.owner === worker) {',
    replace: '} else if (row.owner === null) {',
  },
  {
    name: 'forgets a stream on its way to another worker',
    from: 100,
    violates: ['liveness'],
    file: 'src/stream/runner.ts',
    find: '[...leases.owned.values()].filter((stream) => !stream.recovered)',
    replace: 'streams.filter((stream) => !stream.recovered)',
  },
  {
    name: 'never acknowledges what a stranger left at the end',
    from: 50,
    violates: ['liveness'],
    file: 'src/stream/upkeep.ts',
    find: 'stream.toAcknowledge().slice(0, ACK_MAX)',
    replace: 'stream.toAcknowledge().slice(0, 0)',
  },
  {
    name: 'does not miss an entry that went astray',
    from: 360,
    violates: ['liveness'],
    file: 'src/stream/upkeep.ts',
    find: 'if (this.isAstray(stream, oldestPending)) stream.recovered = false;',
    replace: 'this.isAstray(stream, oldestPending);',
  },
  {
    name: 'waits for an event behind what is gone',
    from: 960,
    violates: ['liveness'],
    file: 'src/stream/upkeep.ts',
    find: 'this.noticeGone(stream, fill);',
    replace: '',
  },
  {
    name: 'takes for gone what nobody has read yet',
    violates: ['accounting'],
    file: 'src/stream/upkeep.ts',
    find: 'if (isThrough && stream.inMemory === 0)',
    replace: 'if (stream.inMemory === 0)',
  },
];

/** The simulator on sources with the bug in them. */
export async function withBug({ file, find, replace }: Planted): Promise<{
  simulate: typeof import('./simulate.ts').simulate;
}> {
  if (file === undefined) return await import('./simulate.ts');
  const copy = mkdtempSync(join(tmpdir(), 'tallyrace-planted-'));
  try {
    return await loadWithBug(copy, { file, find: find!, replace: replace! });
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

async function loadWithBug(
  copy: string,
  { file, find, replace }: { file: string; find: string; replace: string },
): Promise<typeof import('./simulate.ts')> {
  for (const folder of ['src', 'schemas', 'consumers', 'test/simulator'])
    cpSync(join(root, folder), join(copy, folder), { recursive: true });
  cpSync(join(root, 'package.json'), join(copy, 'package.json'));
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const text = readFileSync(join(copy, file), 'utf8');
  if (text.split(find).length !== 2) throw new Error(`not once in ${file}: ${find}`);
  writeFileSync(
    join(copy, file),
    text.replace(find, () => replace),
  );
  return (await import(join(copy, 'test/simulator/simulate.ts'))) as typeof import('./simulate.ts');
}
