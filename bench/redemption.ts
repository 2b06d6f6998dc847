// T6: redemptions over HTTP, spread over many codes, all of one code, and in two requests (reserve,
// then commit), against the same scripts called by a bare client, in batches packed beforehand:
// what Redis could decide if an ingress cost nothing. No worker runs: a redemption is decided at
// the ingress. Codes have limits, as codes that are fought over do; that none is ever exceeded is
// shown by the tests.
import type { CouponTerms } from '../schemas/coupons.ts';
import { openCounters } from '../test/coupons/sweep.ts';
import { type Stack, openServices } from '../test/services.ts';
import { putCoupons } from './lib/coupons.ts';
import type { BenchOptions, Comparison, Measurement } from './lib/rounds.ts';
import { type Load, measureHttp, withProduct } from './lib/servers.ts';
import { measureBareRedemptions } from './limits/bare-redemption.ts';

const CODES = 10_000;
/** An answer waits for Redis to have synced, so it takes many to keep all busy. */
const CONNECTIONS = 512;
const TERMS: CouponTerms = {
  kind: 'percent',
  percent_bp: 1_000,
  status: 'active',
  limits: { global: 1_000_000_000 },
};

interface Variant {
  name: string;
  atLeast: number;
  codes: number;
  twoSteps: boolean;
}

const variants: readonly Variant[] = [
  { name: 'redemption', atLeast: 20_000, codes: CODES, twoSteps: false },
  { name: 'redemption-hot', atLeast: 10_000, codes: 1, twoSteps: false },
  { name: 'redemption-two-step', atLeast: 20_000, codes: CODES, twoSteps: true },
];

export function redemptionBench({ seconds }: BenchOptions): Comparison[] {
  return variants.map(({ name, atLeast, codes, twoSteps }) => ({
    name,
    goals: [{ row: 'T6', figure: 'perSecond', atLeast }],
    unit: 'redemptions/s',
    subject: () => measureProduct(codes, twoSteps, seconds),
    limit: () => measureBare({ codes, twoSteps, seconds }),
  }));
}

/** Times are those of one request; a redemption in two steps takes two. */
async function measureProduct(
  codes: number,
  twoSteps: boolean,
  seconds: number,
): Promise<Measurement> {
  const load: Load = {
    name: twoSteps ? 'reserve-commit' : 'redeem',
    keys: codes,
    batch: 1,
    connections: CONNECTIONS,
    seconds,
    expectedStatuses: twoSteps ? [200, 201] : [201],
  };
  const prepare = async (stack: Stack, tenant: number) => {
    await putCoupons(stack, tenant, codes, TERMS);
    await openCounters(stack);
  };
  const measured = await withProduct({ prepare }, ({ server, watched }) =>
    measureHttp(server, load, watched),
  );
  return { ...measured, perSecond: measured.perSecond / (twoSteps ? 2 : 1) };
}

async function measureBare(
  plan: Parameters<typeof measureBareRedemptions>[2],
): Promise<Measurement> {
  const stack = await openServices('bench');
  try {
    const { id } = await stack.createTenant('bench');
    await putCoupons(stack, id, plan.codes, TERMS);
    return await measureBareRedemptions(stack, id, plan);
  } finally {
    await stack.close();
  }
}
