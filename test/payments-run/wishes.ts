// What the buyers of a run want: the same for the same seed, in shares as a shop with much trouble
// would see them.
// Invariant: a wish says what must become of it, so that the judge needs no one's word.
import { seededRandom } from '../../bench/lib/zipf.ts';
import type { GatewayName, PaymentStatus } from '../../schemas/payments.ts';

export type WishKind =
  | 'bought'
  | 'declined'
  | 'decided later'
  | 'declined later'
  | 'captured'
  | 'captured in part'
  | 'cancelled'
  | 'refunded in part'
  | 'refunded'
  | 'refund bounces'
  | 'dispute won'
  | 'dispute lost';

export interface Wish {
  n: number;
  kind: WishKind;
  /** Minor units. */
  amount: number;
  currency: string;
  token: string;
  method: 'card' | 'upi' | 'netbanking';
  capture: 'automatic' | 'manual';
  /** Left out where any may try. */
  gateway?: GatewayName;
  /** What is asked to be captured or refunded, where that is a part. */
  part: number;
  /** The same request comes twice at once. */
  twice: boolean;
}

/** What webhooks alone bring news of. */
export const toldByWebhook: readonly WishKind[] = ['refund bounces', 'dispute won', 'dispute lost'];

/** Of a hundred. */
const shares: readonly [kind: WishKind, share: number][] = [
  ['bought', 50],
  ['declined', 8],
  ['decided later', 4],
  ['declined later', 2],
  ['captured', 8],
  ['captured in part', 4],
  ['cancelled', 5],
  ['refunded in part', 8],
  ['refunded', 5],
  ['refund bounces', 2],
  ['dispute won', 2],
  ['dispute lost', 2],
];

const declining = [
  'pm_card_visa_chargeDeclined',
  'pm_card_visa_chargeDeclinedInsufficientFunds',
  'pm_card_chargeDeclinedExpiredCard',
  'pm_card_chargeDeclinedIncorrectCvc',
  'pm_card_radarBlock',
];
const cards = ['pm_card_visa', 'pm_card_mastercard', 'pm_card_amex', 'token_success'];
const currencies = ['USD', 'EUR', 'INR'];

/** Where a payment of this kind comes to rest, when its card is good. */
export const restsAs: Record<WishKind, PaymentStatus> = {
  bought: 'captured',
  declined: 'failed',
  'decided later': 'captured',
  'declined later': 'failed',
  captured: 'captured',
  'captured in part': 'captured',
  cancelled: 'cancelled',
  'refunded in part': 'partially_refunded',
  refunded: 'refunded',
  'refund bounces': 'captured',
  'dispute won': 'captured',
  'dispute lost': 'disputed',
};

export const isChargeable = ({ kind }: Wish): boolean => restsAs[kind] !== 'failed';

export function wishesOf(count: number, seed: number, leftOut: readonly WishKind[]): Wish[] {
  const random = seededRandom(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const possible = shares.filter(([kind]) => !leftOut.includes(kind));
  const kinds = possible.flatMap(([kind, share]) => Array<WishKind>(share).fill(kind));
  return Array.from({ length: count }, (_, n): Wish => {
    const kind = pick(kinds);
    const amount = 100 + Math.floor(random() ** 3 * 99_900);
    const base: Wish = {
      ...{ n, kind, amount, currency: pick(currencies), token: `${pick(cards)}~${n}` },
      ...{ method: 'card', capture: 'automatic', twice: random() < 0.02 },
      part: 1 + Math.floor(random() * (amount - 1)),
    };
    return { ...base, ...special(kind, pick, n) };
  });
}

function special(kind: WishKind, pick: <T>(from: readonly T[]) => T, n: number): Partial<Wish> {
  switch (kind) {
    case 'declined':
      return { token: `${pick(declining)}~${n}` };
    case 'decided later':
      return { token: `success@razorpay~${n}`, method: 'upi' };
    case 'declined later':
      return { token: `token_netbanking_fails~${n}`, method: 'netbanking' };
    case 'captured':
    case 'cancelled':
      return { capture: 'manual' };
    case 'captured in part':
      // Razorpay captures no parts.
      return { capture: 'manual', gateway: 'stripe' };
    case 'refund bounces':
      return { token: `pm_card_refundFail~${n}` };
    default:
      return {};
  }
}
