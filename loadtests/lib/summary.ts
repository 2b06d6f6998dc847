// k6's last call: the report on the terminal and, where a place was given, in files.
import { pageOf } from './report-page.ts';
import { rowOf, textOf } from './report-text.ts';
import { type Kind, type Summary, reportOf } from './report.ts';
import { inTime } from './scenarios.ts';
import { type Step, loadReached } from './steps.ts';
import { results, run, scale, url } from './target.ts';
import type { Thresholds } from './thresholds.ts';

/**
 * The function that k6 calls with the figures of the whole run. The thresholds are made anew: k6
 * keeps its own form of them in the options.
 */
export function summaryOf(kind: Kind, thresholds: Thresholds, steps: readonly Step[]) {
  return (summary: Summary): Record<string, string> => {
    const load = scale * loadReached(inTime(steps), summary.state.testRunDurationMs / 1_000);
    const about = { kind, run, url, scale, load, at: new Date().toISOString() };
    const report = reportOf(about, summary, thresholds);
    const files = results
      ? {
          [`${results}.json`]: `${JSON.stringify(report, null, 2)}\n`,
          [`${results}.html`]: pageOf(report),
          [`${results}.md`]: `${rowOf(report)}\n`,
        }
      : {};
    return { ...files, stdout: `\n${textOf(report)}\n` };
  };
}
