// Account kinds, by the shape of their name, and the floor of each.
// Invariant: a guarded account's balance never goes below its floor.

/** Floor in minor units, or null for an account that may go below zero without bound. */
export type Floor = number | null;

interface AccountKind {
  pattern: RegExp;
  floor: Floor;
  meaning: string;
}

const kinds: readonly AccountKind[] = [
  { pattern: /^partner:[^:]+:available$/, floor: 0, meaning: 'what a partner may withdraw' },
  { pattern: /^game:.+:result$/, floor: -1, meaning: 'room for the one result of a game' },
  { pattern: /^settlement:.+$/, floor: -1, meaning: 'room for the one posting of a payout' },
  { pattern: /^user:[^:]+:earnings$/, floor: 0, meaning: 'what a user has earned' },
  { pattern: /^coupon:[^:]+:uses$/, floor: 0, meaning: 'uses reserved or redeemed' },
  { pattern: /^coupon:[^:]+:budget$/, floor: 0, meaning: 'discount reserved or given' },
];

/** Accounts of no listed kind (`platform:…`, contra accounts) have no floor. */
export function floorOf(account: string): Floor {
  for (const kind of kinds) if (kind.pattern.test(account)) return kind.floor;
  return null;
}
