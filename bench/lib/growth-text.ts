// What growth found, as Markdown for docs/numbers.md.
import type { HistoryTimes } from './history-pages.ts';
import { type Judged, markdownTable } from './goals.ts';
import type { Stretch } from './growing.ts';
import type { Percentiles } from './histogram.ts';
import type { Measurement, Report } from './rounds.ts';
import { type Size, sizesMarkdown } from './sizes.ts';

interface Found {
  /** In the ledger when the load was done. */
  events: number;
  empty: readonly Measurement[];
  stretches: readonly Stretch[];
  sizes: readonly Size[];
  pace: Report;
  history: HistoryTimes;
  verified: { ok: boolean; seconds: number; output: string };
  judged: readonly Judged[];
}

export function growthMarkdown(found: Found): string {
  const { events, stretches, sizes, history, verified, judged } = found;
  const entries = events * 2;
  const { ok, output } = verified;
  // One that was ended from outside has said nothing of the books.
  const failed = output === '' ? 'was **not finished**' : `does **not** hold: ${output}`;
  const verdict = ok ? 'holds' : failed;
  return [
    `The load: ${count(entries)} entries of ${count(events)} events.\n`,
    stretchTable(stretches),
    paceText(found),
    `${count(history.pages)} pages of 50 from the newest ${count(history.entriesBack)} ` +
      `entries of ${count(history.users)} users:\n`,
    pagesTable(history),
    sizesMarkdown(sizes, { events, entries }),
    `\`tallyrace verify\` ${verdict}; it took ${verified.seconds.toFixed(1)} s.\n`,
    markdownTable(
      ['row', 'bench', 'target', 'measured', ''],
      judged.map(({ row, bench, goal, figure, met }) => [
        ...[row, bench, goal, figure],
        met ? 'met' : '**missed**',
      ]),
    ),
  ].join('\n');
}

function stretchTable(stretches: readonly Stretch[]): string {
  return markdownTable(
    [
      ...['entries', 'entries/s', 'WAL bytes each', 'tables, indexes MB'],
      ...['cores: worker, Postgres', 'peak MB: worker, Redis'],
    ],
    stretches.map((at) => [
      count(at.entries),
      count(at.entriesPerSecond),
      count(at.walBytesEach),
      `${count(at.tablesMb)}, ${count(at.indexesMb)}`,
      `${at.workerCores.toFixed(2)}, ${at.postgresCores.toFixed(2)}`,
      `${count(at.workerPeakMb)}, ${count(at.redisPeakMb)}`,
    ]),
  );
}

function paceText({ empty, pace }: Found): string {
  const rates = (all: readonly Measurement[]): string =>
    all.map(({ perSecond }) => count(perSecond)).join(', ') || 'not measured';
  const fresh = pace.rounds.flatMap(({ limit }) => limit ?? []);
  const grown = pace.rounds.map(({ subject }) => subject);
  return (
    `T3, entries/s by round. Before the load, empty: ${rates(empty)}. After it, in turns: ` +
    `a fresh ledger ${rates(fresh)}; this one ${rates(grown)}. Ratio ${pace.ratio?.toFixed(2)}.\n`
  );
}

function pagesTable({ cold, warm, diskWasCold }: HistoryTimes): string {
  const row = (name: string, { p50Ms, p95Ms, p99Ms, maxMs }: Percentiles): string[] => [
    name,
    ...[p50Ms, p95Ms, p99Ms, maxMs].map((ms) => ms.toFixed(2)),
  ];
  const first = diskWasCold ? 'first, Postgres and disk cold' : 'first, Postgres cold';
  return markdownTable(
    ['', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms'],
    [row(first, cold), row('the same again', warm)],
  );
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en');
}
