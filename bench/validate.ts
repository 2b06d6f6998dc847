// T1: coupon validation through the whole product (key, limiter, shape, metrics, the check
// recorded) against a typed Elysia POST that looks the code up in a Map. Then the same with
// 1,000,000 codes, where the memory of the process is what counts.
import { type Stack } from '../test/services.ts';
import { type Comparison, type Measurement } from './lib/rounds.ts';
import { type Load, measureHttp, startBare, withIngress } from './lib/servers.ts';

const CONNECTIONS = 64;

export function validateBench(seconds: number): Comparison[] {
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
    expectedStatus: 200,
  };
  return {
    name,
    target,
    unit: 'checks/s',
    subject: () =>
      withIngress(
        (stack, tenant) => putCoupons(stack, tenant, codes),
        (server, stack) => measureHttp(server, load, { redis: stack.redisPid }),
      ),
    limit: () => measureBare(codes, (server) => measureHttp(server, load, {})),
  };
}

/** As a bulk import leaves them. */
async function putCoupons({ owner }: Stack, tenant: number, count: number): Promise<void> {
  const body = JSON.stringify({ kind: 'percent', percent_bp: 1_000, status: 'active' });
  await owner`
    insert into document_heads (tenant_id, kind, change) values (${tenant}, 'coupons', ${count})`;
  await owner`
    insert into documents (tenant_id, kind, key, version, change, body)
    select ${tenant}, 'coupons', 'CODE' || lpad((n - 1)::text, 7, '0'), 1, n,
           ${body}::text::jsonb from generate_series(1, ${count}::int) n`;
}

async function measureBare(
  codes: number,
  measure: (server: { pid: number; url: string }) => Promise<Measurement>,
): Promise<Measurement> {
  const bare = await startBare('bare-validate.ts', String(codes));
  return measure(bare).finally(() => bare.stop());
}
