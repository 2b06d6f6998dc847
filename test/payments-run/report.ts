// The result of a run as text for a reader who does not believe us.
import type { RunResult } from './run.ts';
import { faults, webhookFaults } from './troubles.ts';

const number = new Intl.NumberFormat('en');
const WRONG_SHOWN = 20;

export function textOf(result: RunResult): string {
  const { tally, wrong, ok } = result;
  const lines: [string, string][] = [
    ['asked for', number.format(tally.attempts)],
    ['accepted', `${number.format(result.accepted)}, ${rate(tally.attempts, result.askedS)}`],
    ['asked again', `${number.format(tally.unknown)} times, for want of an answer`],
    ['at rest as', counted(result.statuses)],
    ['failed because', counted(result.declined)],
    ['chargeable', number.format(result.chargeable)],
    ['succeeded', `${number.format(result.succeeded)}, ${share(result)}`],
    ['captured charges', capturedText(result)],
    ['requests in trouble', shares(faults)],
    ...webhookLines(result),
    ['met', result.troubles.join('; ')],
    ['took', `${result.wallS.toFixed(1)} s, of which ${result.askedS.toFixed(1)} s of asking`],
  ];
  const findings = wrong.slice(0, WRONG_SHOWN).map((each) => `  wrong: ${each}`);
  const more = wrong.length - findings.length;
  return [
    ...lines.map(([name, value]) => `${name.padEnd(20)} ${value}`),
    '',
    ...settlementLines(result),
    '',
    ...findings,
    ...(more > 0 ? [`  and ${more} more`] : []),
    ok ? 'No payment was charged twice, and the books are the gateways’ own.' : 'BROKEN.',
  ].join('\n');
}

function settlementLines({ comparisons }: RunResult): string[] {
  const head = ['gateway', 'currency', 'lines', 'owed by its file', 'owed by our books'];
  const rows = comparisons.map(({ gateway, currency, lines, file, books }) => [
    ...[gateway, currency, number.format(lines), number.format(file), number.format(books)],
  ]);
  const widths = head.map((title, n) =>
    Math.max(title.length, ...rows.map((row) => row[n]!.length)),
  );
  const line = (row: readonly string[]): string =>
    row.map((cell, n) => (n < 2 ? cell.padEnd(widths[n]!) : cell.padStart(widths[n]!))).join('  ');
  return [line(head), ...rows.map(line)];
}

function webhookLines({ webhooks }: RunResult): [string, string][] {
  if (!webhooks) return [['webhooks', 'none']];
  const { events, told, lost } = webhooks;
  const { duplicate_rate, reorder_rate } = webhookFaults;
  const counts = `${number.format(told)} of ${number.format(events)} events, ${lost} given up`;
  return [['webhooks', `${counts}; ${shares({ duplicate_rate, reorder_rate })}`]];
}

function capturedText({ capturedCharges }: RunResult): string {
  return Object.entries(capturedCharges)
    .map(([charges, payments]) => `${number.format(payments)} payments with ${charges}`)
    .join(', ');
}

function counted(counts: Record<string, number>): string {
  const sorted = Object.entries(counts).sort(([, a], [, b]) => b - a);
  return sorted.map(([name, count]) => `${name} ${number.format(count)}`).join(', ');
}

function shares(of: Record<string, number>): string {
  return Object.entries(of)
    .map(([name, part]) => `${name} ${(part * 100).toFixed(1)} %`)
    .join(', ');
}

function share({ succeeded, chargeable }: RunResult): string {
  return `${((succeeded / chargeable) * 100).toFixed(3)} %`;
}

function rate(count: number, seconds: number): string {
  return `${number.format(Math.round(count / seconds))} a second`;
}
