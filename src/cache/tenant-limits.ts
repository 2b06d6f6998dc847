// Tenants' own limits for requests that come without a key, which would bring them.
// Invariant: a change holds within two seconds while Postgres answers; while it does not, what was
// known last holds, and the policies' own limits for a tenant that was never asked for.
import type { Clock } from '../io/clock.ts';
import { forgetBeyond } from './oldest.ts';

interface Entry {
  limits: object;
  checkedAt: number;
}

const FRESH_MS = 1_500;
const TENANTS_MAX = 10_000;
const none = {};

export class TenantLimits {
  private readonly entries = new Map<number, Entry>();

  constructor(
    private readonly read: (tenant: number) => Promise<object>,
    private readonly clock: Clock,
  ) {}

  async of(tenant: number): Promise<object> {
    const known = this.entries.get(tenant);
    const now = this.clock();
    if (known && now - known.checkedAt < FRESH_MS) return known.limits;
    // Those who come meanwhile take what is known.
    const entry = { limits: known?.limits ?? none, checkedAt: now };
    this.entries.delete(tenant);
    this.entries.set(tenant, entry);
    forgetBeyond(TENANTS_MAX, this.entries);
    try {
      const limits = await this.read(tenant);
      // The same object, so that what was made of it need not be made again.
      if (JSON.stringify(limits) !== JSON.stringify(entry.limits)) entry.limits = limits;
    } catch {
      // Asked again when this is no longer fresh.
    }
    return entry.limits;
  }
}
