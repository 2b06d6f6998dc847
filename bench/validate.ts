// T1: coupon validation through the whole product (key, limiter, shape, metrics, the check
// recorded) against a typed Elysia POST that looks the code up in a Map. Then the same with
// 1,000,000 codes, where the memory of the process is what counts.
import type { CouponTerms } from '../schemas/coupons.ts';
import { putCoupons } from './lib/coupons.ts';
import type { BenchOptions, Comparison, Measurement } from './lib/rounds.ts';
import { type Load, measureHttp, startBare, withProduct } from './lib/servers.ts';

const CONNECTIONS = 64;
const TERMS: CouponTerms = { kind: 'percent', percent_bp: 1_000, status: 'active' };

export function validateBench({ seconds }: BenchOptions): Comparison[] {
  return [
    comparison('validate', 100_000, seconds, '>= 0.75 x limit, >= 50,000/s, p99 < 5 ms'),
    { ...comparison('validate-1m', 1_000_000, seconds, 'RSS < 400 MB'), rounds: 1 },
  ];
}

function comparison(name: string, codes: number, seconds: number, target: string): Comparison {
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
    target,
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
