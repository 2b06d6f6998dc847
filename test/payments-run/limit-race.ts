// Payment limits under a race: thousands of initiations at once, every other one at another ingress
// process, each limit by itself, with the quotas that hold where a tenant sets none.
// Invariant: nothing refills while the race runs, so what is admitted is the quota or it is wrong.
import { type Subject, policies } from '../../src/http/policies.ts';
import { Client, type Reply } from '../client.ts';
import type { Stack } from '../services.ts';
import { createKey } from '../tenants.ts';

export interface Race {
  subject: Extract<Subject, 'user' | 'ip' | 'tenant'>;
  quota: number;
  /** How many users, addresses or tenants, each of which asks so often. */
  subjects: number;
  asks: number;
}

export interface RaceResult extends Race {
  /** Of each subject. */
  admitted: number[];
  /** Answers that were neither 202 nor 429. */
  odd: Record<number, number>;
}

const { user, ip, tenant } = policies.payments.quotas;
/** The limits as they are, every one asked for half as much again. */
export const races: readonly Race[] = [
  { subject: 'user', quota: user.quota, subjects: 100, asks: 15 },
  { subject: 'ip', quota: ip.quota, subjects: 10, asks: 150 },
  { subject: 'tenant', quota: tenant.quota, subjects: 1, asks: 15_000 },
];

export const isExact = ({ admitted, odd, quota }: RaceResult): boolean =>
  admitted.every((count) => count === quota) && Object.keys(odd).length === 0;

/** A window in which not one token comes back. */
const FOR_EVER_S = 10_000_000;
const AT_ONCE = 500;

/** Of an ingress that believes one proxy what the address is; see TRUSTED_PROXY_HOPS. */
export async function race(
  { owner }: Stack,
  urls: readonly string[],
  plan: Race,
): Promise<RaceResult> {
  const { subject, quota, subjects, asks } = plan;
  const keys = await Promise.all(
    Array.from({ length: subject === 'tenant' ? subjects : 1 }, async () => {
      const name = `race_${subject}_${crypto.randomUUID()}`;
      const others = { user: null, ip: null, tenant: null };
      const limits = { payments: { ...others, [subject]: { quota, window_s: FOR_EVER_S } } };
      const [row] = await owner`
        insert into tenants (name, settings)
        values (${name}, ${JSON.stringify({ limits })}::text::jsonb) returning id`;
      return await createKey(owner, row!['id'] as number, ['payments:write']);
    }),
  );
  const admitted = Array<number>(subjects).fill(0);
  const odd: Record<number, number> = {};
  let next = 0;
  const asker = async (): Promise<void> => {
    for (let n = next++; n < subjects * asks; n = next++) {
      const of = n % subjects;
      const url = urls[Math.floor(n / subjects) % urls.length]!;
      const client = new Client(url, keys[of % keys.length]!);
      const { status } = await initiate(client, subject, of, n);
      if (status === 202) admitted[of]!++;
      else if (status !== 429) odd[status] = (odd[status] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, asker));
  return { ...plan, admitted, odd };
}

function initiate(client: Client, subject: Subject, of: number, n: number): Promise<Reply> {
  const body = {
    amount: { amount: 4_999, currency: 'USD' },
    customer_id: subject === 'user' ? `user_${of}` : `user_${n}`,
    method: { type: 'card', token: 'pm_card_visa' },
  };
  const address = subject === 'ip' ? `10.0.${of >> 8}.${of & 255}` : '10.9.9.9';
  const headers = { 'idempotency-key': crypto.randomUUID(), 'x-forwarded-for': address };
  return client.post('/v1/payments', body, headers);
}
