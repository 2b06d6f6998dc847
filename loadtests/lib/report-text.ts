// A report as text: for a terminal, and as one row of a Markdown table.
// Invariant: pure.
import {
  type Latency,
  type Report,
  type Surroundings,
  type Verdict,
  crossedLimits,
  passed,
} from './report.ts';

export const ROW_HEAD = [
  '| load | requests/s | events/s | validate p95 | redeem p95 | events p95 | balance p95 | ledger p95 | failed | shed | dropped | cores: k6, servers | verify | |',
  '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
].join('\n');

/** One row; runs with phases show the latencies of the last one, the recovery. */
export function rowOf(report: Report): string {
  const { surroundings, ledgerVisible } = report;
  const phase = report.endpoints.some((each) => each.phase === 'recovery') ? 'recovery' : '';
  const p95 = (name: string): string => {
    const found = report.endpoints.find((each) => each.name === name && each.phase === phase);
    return found ? milliseconds(found.p95Ms) : '–';
  };
  const cells = [
    `${report.kind}, ${Math.round(report.seconds)} s, up to ${report.load.toFixed(1)} ×`,
    whole(report.requestsPerSecond),
    whole(report.eventsPerSecond),
    ...['validate', 'redeem', 'events', 'balance'].map(p95),
    milliseconds(ledgerVisible.at(-1)?.p95Ms ?? 0),
    percent(report.failedShare),
    percent(report.shedShare),
    whole(report.dropped),
    surroundings ? coresOf(surroundings) : '–',
    verifyWord(report),
    passed(report) ? 'met' : '**missed**',
  ];
  return `| ${cells.join(' | ')} |`;
}

function coresOf({ generator, servers }: Surroundings): string {
  const used = Object.values(servers).reduce((sum, { cores }) => sum + cores, 0);
  return `${generator.cores.toFixed(2)}, ${used > 0 ? used.toFixed(2) : '–'}`;
}

/** What stands on the terminal when a run has ended. */
export function textOf(report: Report): string {
  const { kind, seconds, requests, verdicts } = report;
  const lines = [
    `${kind}: ${whole(requests)} requests in ${Math.round(seconds)} s, ` +
      `${whole(report.requestsPerSecond)}/s, of them ${whole(report.eventsPerSecond)} events/s`,
    `failed ${percent(report.failedShare)}, shed ${percent(report.shedShare)}, ` +
      `not sent ${whole(report.dropped)}`,
    '',
    ...latencyLines(report),
    '',
    ...verdicts.filter(({ ok }) => !ok).map(crossedLine),
    outcomeLine(report),
  ];
  return lines.map((line) => `  ${line}`.trimEnd()).join('\n');
}

export function outcomeLine(report: Report): string {
  const [limit] = crossedLimits(report);
  const { kind, load, verdicts } = report;
  if (!passed(report)) return 'missed';
  if (kind === 'breakpoint')
    return limit
      ? `broke at ${load.toFixed(1)} × the mix: ${limit.metric} ${limit.condition}`
      : `did not break up to ${load.toFixed(1)} × the mix`;
  return `met: all ${verdicts.length} thresholds`;
}

function latencyLines({ endpoints, ledgerVisible }: Report): string[] {
  const figures = (first: string, { count, p50Ms, p95Ms, p99Ms, maxMs }: Latency): string =>
    first.padEnd(22) +
    [whole(count), ...[p50Ms, p95Ms, p99Ms, maxMs].map((ms) => ms.toFixed(1))]
      .map((cell) => cell.padStart(10))
      .join('');
  const head = ['count', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms'];
  return [
    ''.padEnd(22) + head.map((cell) => cell.padStart(10)).join(''),
    ...endpoints
      .filter(({ count }) => count > 0)
      .map((each) => figures([each.name, each.phase].filter(Boolean).join(', '), each)),
    ...ledgerVisible.map((each) =>
      figures(['visible', each.phase].filter(Boolean).join(', '), each),
    ),
  ];
}

function crossedLine({ metric, condition, observed, limit }: Verdict): string {
  const figure = observed < 1 ? observed.toFixed(4) : observed.toFixed(1);
  return `${limit ? 'limit reached' : 'CROSSED'}: ${metric} ${condition}, was ${figure}`;
}

function verifyWord({ surroundings }: Report): string {
  const verify = surroundings?.verify;
  return verify ? (verify.ok ? 'holds' : '**fails**') : '–';
}

/** 12,345; k6's engine knows no locales. */
export const whole = (value: number): string =>
  String(Math.round(value)).replaceAll(/\B(?=(\d{3})+$)/g, ',');
export const milliseconds = (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
export const percent = (share: number): string => `${(share * 100).toFixed(share > 0 ? 2 : 0)} %`;
