// A report as one HTML page that needs nothing else: no script, no font, no address on the net.
// Invariants: pure; what comes from outside is escaped.
import { endpoints } from './endpoints.ts';
import { outcomeLine, percent, whole } from './report-text.ts';
import { type Latency, type Report, passed } from './report.ts';

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #8884; text-align: left; }
.figure { text-align: right; }
.met { color: #1a7f37; } .missed { color: #cf222e; font-weight: 600; }
.bar { display: block; height: .5rem; background: #1f6feb; border-radius: 2px; }
`;

export function pageOf(report: Report): string {
  const { kind, run, at, url, load } = report;
  const outcome = passed(report) ? 'met' : 'missed';
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Tallyrace load: ${escaped(kind)}, ${outcome}</title>
<style>${STYLE}</style>
<h1>Load: ${escaped(kind)} <span class="${outcome}">${escaped(outcomeLine(report))}</span></h1>
<p>Run ${escaped(run)}, ${escaped(at)}, against ${escaped(url)},
up to ${load.toFixed(1)} × the mix of calls.</p>
${totals(report)}
${latencies(report)}
${thresholds(report)}
${surroundings(report)}
</html>
`;
}

export function escaped(text: string): string {
  const entities: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replaceAll(/[&<>"']/g, (letter) => entities[letter]!);
}

/** A cell that begins with a mark of its own is a figure, aligned to the right. */
interface Cell {
  html: string;
  figure: boolean;
}

const word = (text: string): Cell => ({ html: escaped(text), figure: false });
const figure = (text: string): Cell => ({ html: escaped(text), figure: true });

function table(heads: readonly Cell[], rows: readonly Cell[][]): string {
  const cells = (row: readonly Cell[], tag: string): string =>
    row
      .map(({ html, figure: isFigure }) => {
        const open = isFigure ? `<${tag} class="figure">` : `<${tag}>`;
        return `${open}${html}</${tag}>`;
      })
      .join('');
  const body = rows.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('\n');
  const head = `<thead><tr>${cells(heads, 'th')}</tr></thead>`;
  return `<table>\n${head}\n<tbody>\n${body}\n</tbody>\n</table>`;
}

function totals(report: Report): string {
  const { seconds, requests, requestsPerSecond, eventsPerSecond, failedShare, shedShare } = report;
  return table(
    ['seconds', 'requests', 'requests/s', 'events/s', 'failed', 'shed', 'not sent'].map(figure),
    [
      [
        ...[seconds, requests, requestsPerSecond, eventsPerSecond].map(whole),
        percent(failedShare),
        percent(shedShare),
        whole(report.dropped),
      ].map(figure),
    ],
  );
}

function latencies({ endpoints: facts, ledgerVisible }: Report): string {
  const shown = facts.filter(({ count }) => count > 0);
  const longestMs = Math.max(...shown.map(({ p95Ms }) => p95Ms), 1);
  const row = (name: string, phase: string, each: Latency): Cell[] => {
    const { count, p50Ms, p95Ms, p99Ms, maxMs } = each;
    const width = Math.min(100, Math.round((p95Ms / longestMs) * 100));
    return [
      word(name),
      word(phase),
      figure(whole(count)),
      ...[p50Ms, p95Ms, p99Ms, maxMs].map((ms) => figure(ms.toFixed(1))),
      { html: `<span class="bar" style="width:${width}%"></span>`, figure: false },
    ];
  };
  const heads = ['count', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms'].map(figure);
  const rows = shown.map((each) => row(endpoints[each.name].route, each.phase, each));
  const visible = ledgerVisible.map((each) => row('accepted until visible', each.phase, each));
  return `<h2>Latency</h2>
${table([word('request'), word('phase'), ...heads, word('p95')], [...rows, ...visible])}`;
}

function thresholds({ verdicts }: Report): string {
  const rows = verdicts.map(({ metric, condition, observed, ok, limit }) => {
    const crossed = limit ? 'reached' : 'missed';
    const mark = `<span class="${ok || limit ? 'met' : 'missed'}">${ok ? 'met' : crossed}</span>`;
    return [
      word(metric),
      word(condition),
      figure(observed.toFixed(observed < 1 ? 4 : 1)),
      { html: mark, figure: false },
    ];
  });
  const heads = [word('metric'), word('condition'), figure('was'), word('')];
  return `<h2>Thresholds</h2>\n${table(heads, rows)}`;
}

function surroundings({ surroundings: around }: Report): string {
  if (!around) return '';
  const { generator, servers, verify } = around;
  const rows = [
    [word(`k6 ${generator.version}`), figure(generator.cores.toFixed(2)), figure('')],
    ...Object.entries(servers).map(([name, { cores, rssMb }]) => [
      word(name),
      figure(cores.toFixed(2)),
      figure([rssMb.first, rssMb.peak, rssMb.last].map((mb) => whole(mb)).join(', ')),
    ]),
  ];
  const heads = [word('process'), figure('cores used'), figure('MB: first, most, last')];
  const books = verify
    ? `verify ${verify.ok ? 'holds' : 'fails'}: ${whole(verify.accepted)} accepted, ` +
      `${whole(verify.posted)} posted, ${whole(verify.pending)} pending. ${verify.problems.join('; ')}`
    : 'verify was not run: the stores cannot be reached from here.';
  return `<h2>Machine and books</h2>
<p>${escaped(`${around.cpu}, ${around.cores} cores, commit ${around.commit}`)}</p>
${table(heads, rows)}
<p>${escaped(books)}</p>`;
}
