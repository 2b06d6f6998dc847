// Rules of games: what a completed game earns each active partner. A partner is shown a share of
// the profit and earns a commission on what is shown: profit x share x commission, rounded once.
// Invariant: a game pays once, whatever its events are called (its result account has room for
// one).
import type { Static } from '@sinclair/typebox';
import type { GameCompleted, PartnerTerms } from '../schemas/games.ts';
import { type Leg, type Rule, type StoredDocument, post, refuse } from '../src/ledger/decision.ts';
import { applyRates } from '../src/ledger/money.ts';

type Game = Static<(typeof GameCompleted)['data']>;
type Partner = StoredDocument<PartnerTerms>;

/** 10,000 basis points of share times 10,000 of commission: one minor unit of earning. */
const ONE_MINOR_UNIT = 100_000_000n;

const gameCompleted: Rule<Game> = {
  type: 'game.completed',

  reads: ({ data }) => ({
    accounts: [{ account: resultAccount(data), unit: 'results' }],
    documents: data.profit.amount > 0 ? [{ kind: 'partners' }] : [],
  }),

  decide({ data }, state) {
    if (state.balance(resultAccount(data), 'results') < 0) return refuse('already_completed');
    const once: Leg[] = [
      { account: resultAccount(data), unit: 'results', amount: -1 },
      { account: 'platform:games', unit: 'results', amount: 1 },
    ];
    if (data.profit.amount <= 0) return post(once);
    return post([...once, ...commissions(data, state.documents<PartnerTerms>('partners'))]);
  },
};

function commissions(game: Game, partners: readonly Partner[]): Leg[] {
  const { amount: profit, currency: unit } = game.profit;
  const legs: Leg[] = [];
  let total = 0;
  for (const { key, body } of partners) {
    if (body.status !== 'active' || body.currency !== unit) continue;
    const earning = earningOf(profit, body);
    if (earning === 0) continue;
    legs.push({ account: `partner:${key}:available`, unit, amount: earning });
    total += earning;
  }
  if (total > 0) legs.unshift({ account: 'platform:commissions', unit, amount: -total });
  return legs;
}

/** Minor units; what is below one of them is dust and earns nothing. */
function earningOf(profit: number, { share_bp, commission_bp }: PartnerTerms): number {
  if (BigInt(profit) * BigInt(share_bp) * BigInt(commission_bp) < ONE_MINOR_UNIT) return 0;
  return applyRates(profit, share_bp, commission_bp);
}

function resultAccount(game: Game): string {
  return `game:${game.game_id}:result`;
}

export const gameRules: readonly Rule<never>[] = [gameCompleted];
