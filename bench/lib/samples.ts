// Events as they come, by kind, for the benches that need no server: earnings of Zipf-distributed
// users, games that pay a hundred partners, redemptions of one code.
import { EarningCredited } from '../../schemas/accounts.ts';
import { RedemptionReserved } from '../../schemas/coupons-events.ts';
import type { EventDefinition } from '../../schemas/events.ts';
import { GameCompleted, type PartnerTerms } from '../../schemas/games.ts';
import { earningData, earnings } from './earnings.ts';
import { couponCode } from './workloads.ts';

export interface Sample {
  definition: EventDefinition;
  id: string;
  data: object;
}

const USERS = 100_000;
const CODES = 10_000;

export const samples = {
  earning: (count: number): Sample[] =>
    earnings(count, USERS, 'evt').map((earning) => ({
      definition: EarningCredited,
      id: earning.id,
      data: earningData(earning),
    })),

  game: (count: number): Sample[] =>
    Array.from({ length: count }, (_, n) => ({
      definition: GameCompleted,
      id: `evt-${n}`,
      data: gameData(`g_${n}`),
    })),

  redemption: (count: number): Sample[] =>
    Array.from({ length: count }, (_, n) => {
      const id = `rdm_019c0f6a-7b1e-7c3d-9f00-${n.toString(16).padStart(12, '0')}`;
      return { definition: RedemptionReserved, id: `${id}/reserved`, data: reservedData(id, n) };
    }),
};

export type SampleKind = keyof typeof samples;

function gameData(game: string) {
  return {
    game_id: game,
    profit: { amount: 1_234_567, currency: 'USD' },
    completed_at: '2026-01-31T12:00:00Z',
  };
}

function reservedData(id: string, n: number) {
  return {
    redemption_id: id,
    uses: [{ code: couponCode(n % CODES), discount: 500, terms_version: 1 }],
    currency: 'USD',
    customer_id: `c_${n}`,
    order_id: `o_${n}`,
    order_total: 5_000,
    reserved_at: '2026-01-31T12:00:00.000Z',
    expires_at: '2026-01-31T12:15:00.000Z',
  };
}

/** All active, each with terms of its own. */
export function partners(count: number): { key: string; body: PartnerTerms }[] {
  return Array.from({ length: count }, (_, n) => ({
    key: `p_${n}`,
    body: {
      name: `Partner ${n}`,
      share_bp: 100 + ((n * 37) % 9_900),
      commission_bp: 100 + ((n * 13) % 2_000),
      currency: 'USD',
      status: 'active',
    },
  }));
}
