// Bugs that are planted where no code of ours could have them: in what a client or a server does.
// Those in our own sources are planted by planted.ts, in a copy of them.

export interface Mutations {
  /** XTRIM by MAXLEN instead of MINID. */
  trimsByLength: boolean;
  /** A client that sends again, after a reconnect, what it had no answer to. */
  resends: boolean;
  /** A ledger that does not look at epochs and positions. */
  checksNoEpoch: boolean;
  /** A cache whose writes are differences. */
  writesDeltas: boolean;
}

export const NO_MUTATION: Mutations = {
  trimsByLength: false,
  resends: false,
  checksNoEpoch: false,
  writesDeltas: false,
};
