// What of a check is too slow. Invariant: a floor that nothing was measured for is a finding too,
// so a bench that was renamed or is broken cannot pass.
import type { Report } from './rounds.ts';

type Checked = Pick<Report, 'name' | 'ratio' | 'subject'>;

/** A line for each finding. */
export function belowFloors(
  floors: ReadonlyMap<string, number>,
  reports: readonly Checked[],
): string[] {
  const byName = new Map(reports.map((report) => [report.name, report]));
  return [...floors].flatMap(([name, floor]) => {
    const report = byName.get(name);
    if (!report || report.ratio === null) return [`${name}: no ratio was measured`];
    const doubts = (report.subject.doubts ?? []).map((doubt) => `${name}: ${doubt}`);
    const { ratio } = report;
    // A ratio of NaN is below every floor.
    return ratio >= floor ? doubts : [...doubts, `${name}: ${ratio.toFixed(3)} is below ${floor}`];
  });
}
