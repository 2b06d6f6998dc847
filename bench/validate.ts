// T1: coupon validation through the whole product (key, limiter, shape, metrics, the check
// recorded) against a typed Elysia POST that looks the code up in a Map. Then the same with
// 1,000,000 codes, where the memory of the process is what counts.
import type { CouponTerms } from '../schemas/coupons.ts';
import { putCoupons } from './lib/coupons.ts';
import type { Goal } from './lib/goals.ts';
import type { BenchOptions, Comparison, Measurement } from './lib/rounds.ts';
import { type Load, measureHttp, startBare, withProduct } from './lib/servers.ts';

const CONNECTIONS = 64;
const TERMS: CouponTerms = { kind: 'percent', percent_bp: 1_000, status: 'active' };

const memory: Goal = { row: 'T1', figure: 'peakMb', process: 'server', below: 400 };

export function validateBench({ seconds }: BenchOptions): Comparison[] {
  return [
    comparison('validate', 100_000, seconds, [
      { row: 'T1', figure: 'ratio', atLeast: 0.75 },
      { row: 'T1', figure: 'perSecond', atLeast: 50_000 },
      { row: 'T1', figure: 'p99Ms', below: 5 },
    ]),
    { ...comparison('validate-1m', 1_000_000, seconds, [memory]), rounds: 1 },
  ];
}

function comparison(
  name: string,
  codes: number,
  seconds: number,
  goals: readonly Goal[],
): Comparison {
  const load: Load = {
    name: 'validate',
    keys: codes,
    batch: 1,
    connections: CONNECTIONS,
    seconds,
    expectedStatuses: [200],
  };
  return {
    name,
    goals,
    unit: 'checks/s',
    subject: () =>
      withProduct(
        { prepare: (stack, tenant) => putCoupons(stack, tenant, codes, TERMS) },
        ({ server, watched }) => measureHttp(server, load, watched),
      ),
    limit: () => measureBare(codes, (server) => measureHttp(server, load, {})),
  };
}

async function measureBare(
  codes: number,
  measure: (server: { pid: number; url: string }) => Promise<Measurement>,
): Promise<Measurement> {
  const bare = await startBare('bare-validate.ts', String(codes));
  return measure(bare).finally(() => bare.stop());
}
