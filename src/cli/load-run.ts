// One run from start to end: k6 against the target, the servers watched, the books proved, and all
// of it in one report.
// Invariant: a run without a report has failed, whatever k6 said.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { pageOf } from '../../loadtests/lib/report-page.ts';
import { ROW_HEAD, outcomeLine, rowOf, whole } from '../../loadtests/lib/report-text.ts';
import type { Kind, Report, Surroundings } from '../../loadtests/lib/report.ts';
import { couponChecks } from '../cache/coupon-verify.ts';
import { type Verdict, verify } from '../store/verify.ts';
import type { Urls } from '../supervisor/plans.ts';
import { Failure, exitCodes } from './exit.ts';
import { type K6, runK6 } from './load-k6.ts';
import type { Target } from './load-target.ts';
import { watchServers } from './load-usage.ts';
import { withServersAt } from './servers.ts';

const ROOT = resolve(import.meta.dir, '../..');
const LOADTESTS = join(ROOT, 'loadtests');
/** What k6 exits with when a threshold was crossed; the report says which. */
const THRESHOLD_CROSSED = 99;
/** By the signal that we pass on to it. */
const INTERRUPTED = 105;
const DRAINED_WITHIN_MS = 120_000;
const ASK_AGAIN_MS = 3_000;

export interface Run {
  kind: Kind;
  run: string;
  scale: string;
  /** How long, if not as the script says. */
  seconds: string | undefined;
}

export async function runLoad(
  k6: K6,
  target: Target,
  asked: Run,
  stop: Promise<NodeJS.Signals>,
): Promise<Report> {
  mkdirSync(join(LOADTESTS, 'results'), { recursive: true });
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(':', '');
  const base = join(LOADTESTS, 'results', `${asked.kind}-${stamp}`);
  const usage = target.runFolder ? watchServers(target.runFolder) : () => ({});
  const ran = await runK6(
    k6,
    join(LOADTESTS, `${asked.kind}.ts`),
    environment(target, asked, base),
    stop,
  );
  const servers = usage();
  if (ran.exitCode === INTERRUPTED)
    throw new Failure('The run was stopped; its books were not proved.', exitCodes.unavailable);
  if (![0, THRESHOLD_CROSSED].includes(ran.exitCode) || !existsSync(`${base}.json`))
    throw new Failure(`k6 ended with code ${ran.exitCode}.`, exitCodes.unavailable);
  const report = JSON.parse(readFileSync(`${base}.json`, 'utf8')) as Report;
  const surroundings: Surroundings = {
    commit: commit(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    generator: { version: k6.version, cores: ran.cpuSeconds / ran.wallSeconds },
    servers,
    verify: target.stores ? await provedBooks(target.stores) : null,
  };
  const complete = { ...report, surroundings };
  writeFileSync(`${base}.json`, `${JSON.stringify(complete, null, 2)}\n`);
  writeFileSync(`${base}.html`, pageOf(complete));
  writeFileSync(`${base}.md`, `${ROW_HEAD}\n${rowOf(complete)}\n`);
  for (const line of outcomeLines(complete)) console.log(`  ${line}`);
  console.log(`  reports: ${base}.{json,html,md}`);
  return complete;
}

function environment(
  { url, key }: Target,
  { run, scale, seconds }: Run,
  base: string,
): Record<string, string> {
  return {
    TALLYRACE_URL: url,
    TALLYRACE_KEY: key,
    TALLYRACE_LOAD_RUN: run,
    TALLYRACE_LOAD_SCALE: scale,
    TALLYRACE_LOAD_RESULTS: base,
    ...(seconds === undefined ? {} : { TALLYRACE_LOAD_SECONDS: seconds }),
  };
}

/** Waits for the backlog that the load may have left, and not for ever. */
async function provedBooks(stores: Urls): Promise<Surroundings['verify']> {
  const deadline = Date.now() + DRAINED_WITHIN_MS;
  let verdict: Verdict;
  for (;;) {
    verdict = await withServersAt(stores, ({ redis, sql }) => verify(redis, sql, couponChecks));
    if (!verdict.ok || verdict.pending === 0 || Date.now() > deadline) break;
    await Bun.sleep(ASK_AGAIN_MS);
  }
  const { ok, accepted, posted, pending, problems } = verdict;
  const said = problems.map(({ check, detail }) => `${check}: ${detail}`);
  return { ok, accepted, posted, pending, problems: said };
}

function outcomeLines(report: Report): string[] {
  const { generator, servers, verify: books } = report.surroundings!;
  const used = [
    `k6 ${generator.cores.toFixed(2)}`,
    ...Object.entries(servers).map(([name, { cores }]) => `${name} ${cores.toFixed(2)}`),
  ];
  return [
    `cores used: ${used.join(', ')}`,
    books
      ? `verify ${books.ok ? 'holds' : 'FAILS'}: ${whole(books.accepted)} accepted, ` +
        `${whole(books.posted)} posted, ${whole(books.pending)} pending`
      : 'verify: not run, the stores cannot be reached from here',
    ...(books?.problems ?? []),
    outcomeLine(report),
  ];
}

function commit(): string {
  const { exitCode, stdout } = Bun.spawnSync(['git', '-C', ROOT, 'rev-parse', '--short', 'HEAD']);
  return exitCode === 0 ? stdout.toString().trim() : 'unknown';
}
