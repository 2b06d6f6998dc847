// The results of a proof as a table for a reader who does not believe us.
import type { Result } from './arena.ts';

const number = new Intl.NumberFormat('en');

const columns: readonly [head: string, of: (result: Result) => string | number][] = [
  ['attack', ({ name }) => name],
  ['attempts', ({ tally }) => tally.attempts],
  ['accepted', ({ tally }) => tally.accepted],
  ['refused', ({ tally }) => tally.refused],
  ['limit', ({ limit }) => limit],
  ['most held', ({ most }) => most],
  ['over', ({ over }) => over],
  ['twice', ({ doubled }) => doubled],
  ['locked out', ({ lockedOut }) => lockedOut],
  ['stale', ({ stale }) => stale],
  ['unknown', ({ tally }) => tally.unknown],
  ['unresolved', ({ tally }) => tally.unresolved],
  ['lost', ({ lost, mayLose }) => (mayLose ? `${lost} told` : lost)],
  ['', ({ ok }) => (ok ? 'holds' : 'BROKEN')],
];

export function tableOf(results: readonly Result[]): string {
  const cells = results.map((result) => columns.map(([, of]) => textOf(of(result))));
  const heads = columns.map(([head]) => head);
  const widths = heads.map((head, n) =>
    Math.max(head.length, ...cells.map((row) => row[n]!.length)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, n) => (n === 0 ? cell.padEnd(widths[n]!) : cell.padStart(widths[n]!)))
      .join('  ');
  const broken = results.filter(({ ok }) => !ok).length;
  const verdict = broken === 0 ? 'Every limit held.' : `${broken} attacks broke something.`;
  return [line(heads), ...cells.map(line), '', verdict].join('\n');
}

function textOf(value: string | number): string {
  return typeof value === 'number' ? number.format(value) : value;
}
