// `npm run bench -- load --rate 5000 --seconds 30 --url http://127.0.0.1:3000 --key tr_…`: the
// generator alone, against an installation that runs. With --rate an open loop: requests have a
// timetable, and latency counts from when each was due. Without, a closed loop: the ceiling.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError, readOptions } from './lib/arguments.ts';
import { type GeneratorResult, generate } from './lib/generator.ts';
import { saveJson } from './lib/results.ts';
import { withTicker } from './lib/ticker.ts';
import type { WorkloadSpec } from './lib/workloads.ts';

const workloads = ['ingest', 'validate', 'redeem', 'mixed'] as const;
const UNSENT_SHARE_MAX = 0.01;

const standard = {
  url: 'http://127.0.0.1:3000',
  key: '',
  workload: 'ingest',
  rate: 0,
  seconds: 30,
  'warm-up': 2,
  connections: 256,
  batch: 1,
  keys: 100_000,
};
type LoadOptions = typeof standard;

/** Exit 1 when an answer was no success or the timetable was not kept. */
export async function loadBench(args: readonly string[]): Promise<number> {
  const options = readOptions(args, standard);
  const spec = workloadOf(options);
  const { connections, seconds, batch, 'warm-up': warmUpSeconds } = options;
  const rate = options.rate > 0 ? options.rate / batch : null;
  const plan = { connections, seconds, warmUpSeconds, rate, workload: spec };
  const result = await withTicker('load', warmUpSeconds + seconds, () => generate(plan));
  for (const line of linesOf(result, options)) console.log(line);
  const { apiKey: _secret, ...target } = spec.target;
  const saved = { plan: { ...plan, workload: { ...spec, target } }, result };
  console.log(`saved in ${await saveJson(`load-${spec.name}`, saved)}`);
  return complaintsOf(result).length === 0 ? 0 : 1;
}

function workloadOf({ url, key, workload, keys, batch }: LoadOptions): WorkloadSpec {
  const name = workloads.find((each) => each === workload);
  if (!name) throw new UsageError(`--workload is one of ${workloads.join(', ')}`);
  if (batch > 1 && name !== 'ingest') throw new UsageError('--batch is for --workload ingest');
  const { protocol, hostname, port } = urlOf(url);
  if (protocol !== 'http:') throw new UsageError('--url must be http://host:port');
  const target = { host: hostname, port: Number(port || 80), apiKey: key || ownKey() };
  return { name, target, keys, batch, run: `load-${Date.now().toString(36)}` };
}

function urlOf(text: string): URL {
  if (URL.canParse(text)) return new URL(text);
  throw new UsageError(`--url is no address: ${text}`);
}

/** That of the demo tenant here. */
function ownKey(): string {
  const given = process.env['TALLYRACE_KEY'];
  const file = join(process.env['TALLYRACE_HOME'] ?? '.tallyrace', 'demo-key');
  if (given) return given;
  if (existsSync(file)) return readFileSync(file, 'utf8').trim();
  throw new UsageError('say whose key with --key, or set TALLYRACE_KEY');
}

function linesOf(result: GeneratorResult, { rate, batch, workload }: LoadOptions): string[] {
  const { p50Ms, p95Ms, p99Ms, maxMs, requests, perSecond, statuses } = result;
  const done = Math.round(perSecond * batch).toLocaleString('en');
  const asked = rate > 0 ? ` of ${rate.toLocaleString('en')} asked for` : ', as fast as it went';
  const from = rate > 0 ? 'from when each was due' : 'from when each was sent';
  const ms = (value: number): string => `${value.toFixed(2)} ms`;
  const generator = result.cpuSeconds / result.wallSeconds;
  return [
    `${workload}: ${done}/s${asked}; ${requests.toLocaleString('en')} requests`,
    `p50 ${ms(p50Ms)}  p95 ${ms(p95Ms)}  p99 ${ms(p99Ms)}  max ${ms(maxMs)}  (${from})`,
    `answers: ${Object.entries(statuses)
      .map(([status, count]) => `${status}: ${count}`)
      .join(', ')}`,
    `the generator used ${generator.toFixed(2)} cores${generator > 0.9 ? ': it may be the limit' : ''}`,
    ...complaintsOf(result).map((complaint) => `doubtful: ${complaint}`),
  ];
}

function complaintsOf({ statuses, unsent, requests }: GeneratorResult): string[] {
  const failed = Object.entries(statuses)
    .filter(([status]) => !status.startsWith('2'))
    .map(([status, count]) => `${count} answers with status ${status}`);
  const late = unsent > requests * UNSENT_SHARE_MAX;
  return late ? [...failed, `${unsent} requests were due and not sent`] : failed;
}
