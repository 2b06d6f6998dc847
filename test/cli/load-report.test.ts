// The load suite apart from k6: its thresholds, its scripts, and what becomes of k6's figures.
import { describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { endpointNames, endpoints } from '../../loadtests/lib/endpoints.ts';
import { pageOf } from '../../loadtests/lib/report-page.ts';
import { ROW_HEAD, outcomeLine, rowOf, textOf, whole } from '../../loadtests/lib/report-text.ts';
import {
  type About,
  type Report,
  type Summary,
  crossedLimits,
  kinds,
  passed,
  reportOf,
} from '../../loadtests/lib/report.ts';
import { loadReached, secondsOf, stretched } from '../../loadtests/lib/steps.ts';
import {
  type Thresholds,
  breaking,
  isLimit,
  normal,
  overload,
} from '../../loadtests/lib/thresholds.ts';

const about: About = {
  ...{ kind: 'average', run: 'r1', url: 'http://127.0.0.1:3000', scale: 1, load: 1 },
  at: '2026-01-31T12:00:00.000Z',
};

/** A summary in k6's form, in which the named conditions are crossed. */
function summary(thresholds: Thresholds, crossed: Record<string, number> = {}): Summary {
  const values = { count: 100, med: 2, 'p(95)': 9, 'p(99)': 20, max: 40, rate: 0 };
  const metrics: Summary['metrics'] = {
    http_reqs: { values: { count: 20_100 } },
    'http_reqs{name:setup}': { values: { count: 100 } },
    events_accepted: { values: { count: 40_000 } },
  };
  for (const [metric, conditions] of Object.entries(thresholds)) {
    if (metrics[metric]) continue;
    const observed = crossed[metric];
    const texts = conditions.map((each) => (typeof each === 'string' ? each : each.threshold));
    const judged = texts.map((text) => [text, { ok: observed === undefined }] as const);
    const at = observed === undefined ? {} : { [texts[0]!.split(/[<>=]/)[0]!]: observed };
    metrics[metric] = { values: { ...values, ...at }, thresholds: Object.fromEntries(judged) };
  }
  return { state: { testRunDurationMs: 10_000 }, metrics };
}

function average(crossed: Record<string, number> = {}): Report {
  return reportOf(about, summary(normal(), crossed), normal());
}

function inPlace(verifyOk: boolean): Report {
  const problems = verifyOk ? [] : ['sums: off by <one>'];
  const verify = { ok: verifyOk, accepted: 40_000, posted: 40_000, pending: 0, problems };
  const rssMb = { first: 100, peak: 120, last: 110 };
  const surroundings = {
    ...{ commit: 'c0ffee', cpu: 'abacus', cores: 2, verify },
    generator: { version: '2.2.0', cores: 0.43 },
    servers: { ingress: { cores: 0.3, rssMb }, worker: { cores: 0.25, rssMb } },
  };
  return { ...average(), surroundings };
}

describe('thresholds', () => {
  test('are those of the brief where the installation is meant to keep up', () => {
    expect(normal()).toMatchObject({
      http_req_failed: ['rate<0.001'],
      dropped_iterations: ['count<1'],
      'http_req_duration{name:validate}': ['p(95)<50'],
      'http_req_duration{name:redeem}': ['p(95)<200'],
      'http_req_duration{name:events}': ['p(95)<200'],
      'http_req_duration{name:balance}': ['p(95)<100'],
    });
  });

  test('cover every endpoint, in each kind', () => {
    for (const thresholds of [normal(), overload(), breaking()])
      for (const name of endpointNames) {
        const metrics = Object.keys(thresholds).filter((metric) =>
          new RegExp(`^http_req_duration\\{name:${name}[,}]`).test(metric),
        );
        expect([name, metrics.length]).not.toEqual([name, 0]);
      }
  });

  test('hold overload to the ordinary limits once it is over, and to no failure during it', () => {
    const thresholds = overload();
    expect(thresholds['http_req_failed']).toEqual(['rate<0.001']);
    expect(thresholds['dropped_iterations']).toBeUndefined();
    for (const name of endpointNames)
      expect(thresholds[`http_req_duration{name:${name},phase:recovery}`]).toEqual([
        `p(95)<${endpoints[name].p95Ms}`,
      ]);
  });

  test('end a breakpoint run, except where something is wrong', () => {
    const { http_req_failed: failed, checks, dropped_iterations: dropped } = breaking();
    expect([failed!, checks!].flat().some(isLimit)).toBe(false);
    expect(dropped!.every(isLimit)).toBe(true);
  });
});

describe('steps', () => {
  const steps = [
    { phase: 'climb', seconds: 60, from: 1, to: 4 },
    { phase: 'peak', seconds: 90, from: 4, to: 4 },
    { phase: 'recovery', seconds: 30, from: 1, to: 1 },
  ];

  test('are stretched alike, and none is lost', () => {
    expect(secondsOf(stretched(steps, 360))).toBe(360);
    expect(stretched(steps, 18).map(({ seconds }) => seconds)).toEqual([6, 9, 3]);
    expect(stretched(steps, 1).map(({ seconds }) => seconds)).toEqual([1, 1, 1]);
  });

  test.each([
    [0, 0],
    [20, 2],
    [60, 4],
    [1_000, 4],
  ])('after %i s the load was %f times the mix', (seconds, load) => {
    expect(loadReached(steps, seconds)).toBeCloseTo(load);
  });
});

describe('a report', () => {
  test('counts what the load sent, without the making of its coupons', () => {
    const { requests, requestsPerSecond, eventsPerSecond, endpoints: facts } = average();
    expect([requests, requestsPerSecond, eventsPerSecond]).toEqual([20_000, 2_000, 4_000]);
    expect(facts.map(({ name }) => name)).toEqual(endpointNames);
    expect(facts[0]).toMatchObject({ p50Ms: 2, p95Ms: 9, p99Ms: 20, maxMs: 40, phase: '' });
  });

  test('is met when every condition is, and missed when one is not', () => {
    expect(passed(average())).toBe(true);
    const missed = average({ 'http_req_duration{name:balance}': 118 });
    expect(passed(missed)).toBe(false);
    expect(missed.verdicts.filter(({ ok }) => !ok)).toEqual([
      {
        ...{ metric: 'http_req_duration{name:balance}', condition: 'p(95)<100', observed: 118 },
        ...{ ok: false, limit: false },
      },
    ]);
    expect(textOf(missed)).toContain(
      'CROSSED: http_req_duration{name:balance} p(95)<100, was 118.0',
    );
    expect(rowOf(missed)).toEndWith('| **missed** |');
  });

  test('is missed when the books do not hold', () => {
    expect([passed(inPlace(true)), passed(inPlace(false))]).toEqual([true, false]);
    expect(rowOf(inPlace(false))).toContain('**fails**');
  });

  test('of a breakpoint names the limit, and failures fail it all the same', () => {
    const broken = (crossed: Record<string, number>): Report =>
      reportOf(
        { ...about, kind: 'breakpoint', load: 3.14 },
        summary(breaking(), crossed),
        breaking(),
      );
    const limited = broken({ dropped_iterations: 201 });
    expect(passed(limited)).toBe(true);
    expect(crossedLimits(limited).map(({ metric }) => metric)).toEqual(['dropped_iterations']);
    expect(outcomeLine(limited)).toBe('broke at 3.1 × the mix: dropped_iterations count<200');
    expect(outcomeLine(broken({}))).toBe('did not break up to 3.1 × the mix');
    expect(passed(broken({ http_req_failed: 0.5 }))).toBe(false);
  });

  test('of an overload shows the recovery in its row', () => {
    const thresholds = overload();
    const given = summary(thresholds, { 'http_req_duration{name:redeem,phase:recovery}': 333 });
    const report = reportOf({ ...about, kind: 'stress' }, given, thresholds);
    expect(report.endpoints).toHaveLength(2 * endpointNames.length);
    expect(rowOf(report)).toContain('| 333 ms |');
  });

  test('is one row that fits its head', () => {
    const cells = (line: string): number => line.split('|').length;
    const [head, rule] = ROW_HEAD.split('\n');
    expect([cells(rule!), cells(rowOf(inPlace(true)))]).toEqual([cells(head!), cells(head!)]);
    expect(rowOf(inPlace(true))).toContain('| 0.43, 0.55 | holds | met |');
  });

  test('is a page in which nothing from outside is markup', () => {
    const page = pageOf({ ...inPlace(false), url: 'http://x/"><script>alert(1)</script>' });
    expect(page).not.toContain('<script');
    expect(page).toContain('&quot;&gt;&lt;script&gt;');
    expect(page).toContain('off by &lt;one&gt;');
    expect(page.match(/<tr>/g)!.length).toBe(page.match(/<\/tr>/g)!.length);
  });

  test.each([
    [0, '0'],
    [999.6, '1,000'],
    [1_234_567, '1,234,567'],
  ])('writes %f as %s', (value, text) => expect(whole(value)).toBe(text));
});

test.each([...kinds])('the script of %s imports only what is there, or k6 brings', async (kind) => {
  const script = join(import.meta.dir, `../../loadtests/${kind}.ts`);
  const { success, outputs } = await Bun.build({ entrypoints: [script], external: ['k6', 'k6/*'] });
  expect(success).toBe(true);
  const { imports, exports } = new Bun.Transpiler().scan(await outputs[0]!.text());
  expect(imports.map(({ path }) => path).filter((path) => !/^k6(\/|$)/.test(path))).toEqual([]);
  const needed = ['options', 'setup', 'handleSummary', 'validate', 'redeem', 'followEvent'];
  expect(needed.filter((name) => !exports.includes(name))).toEqual([]);
});
