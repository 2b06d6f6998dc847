// The language of rules. A rule is two pure functions: `reads` names what a decision needs,
// `decide` turns an event and that state into a decision. No clock, no randomness, no I/O, so a
// rule can be replayed, back-tested and property-tested.
// Invariant: legs of a `post` sum to zero per unit (checked in posting.ts).

/** An event as a rule sees it. `acceptedAt` is the ingress's clock in ms since the epoch. */
export interface LedgerEvent<Data = unknown> {
  tenant: number;
  id: string;
  type: string;
  acceptedAt: number;
  data: Data;
}

/** One side of a transaction. `amount` is in minor units of `unit` (a currency, or e.g. "uses"). */
export interface Leg {
  account: string;
  unit: string;
  amount: number;
}

export interface AccountRef {
  account: string;
  unit: string;
}

/** All documents of one kind of the event's tenant, e.g. every partner. */
export interface DocumentRef {
  kind: string;
}

/** One entity of a domain, such as a payment: a row of its own table. */
export interface RecordRef {
  table: string;
  key: string;
}

export interface Reads {
  accounts?: readonly AccountRef[];
  documents?: readonly DocumentRef[];
  records?: readonly RecordRef[];
}

/**
 * What an entity is after this decision, whole. The SQL function `<table>_write` keeps it in the
 * same statement, `<table>_load` gives it to the next event that reads it. All events of an entity
 * have one order key, so that one stream decides them.
 */
export interface StoredRecord extends RecordRef {
  body: object;
}

/** A row of a domain's own table, written in the same statement by the SQL function `<table>_write`. */
export interface Row {
  table: string;
  values: Readonly<Record<string, unknown>>;
  /** Integers that add up: rows of a batch that are alike but for these are written as one. */
  adds?: Readonly<Record<string, number>>;
}

/** An event that this decision causes; relayed through the outbox, its id derived from the parent's. */
export interface FollowUp {
  /** Distinguishes several follow-ups of one parent: the id is `<parent id>/<suffix>`. */
  suffix: string;
  type: string;
  data: object;
}

export interface Posted {
  verdict: 'post';
  legs: readonly Leg[];
  rows?: readonly Row[];
  records?: readonly StoredRecord[];
  followUps?: readonly FollowUp[];
}

export interface Refused {
  verdict: 'refuse';
  reason: string;
  rows?: readonly Row[];
}

/** `otherwise`: what is decided when it has not come in time. Left out: a dead letter. */
export interface Deferred {
  verdict: 'defer';
  reason: string;
  otherwise?: Posted | Refused;
}

export type Decision = Posted | Refused | Deferred;

export interface StoredDocument<Body = unknown> {
  key: string;
  version: number;
  body: Body;
}

/** What `decide` may look at. Asking for something that `reads` did not name throws. */
export interface State {
  /** Balance in minor units; 0 for an account that does not exist yet. */
  balance(account: string, unit: string): number;
  documents<Body>(kind: string): readonly StoredDocument<Body>[];
  /** Null for an entity that does not exist yet. */
  record<Body>(table: string, key: string): Readonly<Body> | null;
}

export interface Rule<Data = unknown> {
  type: string;
  reads(event: LedgerEvent<Data>): Reads;
  decide(event: LedgerEvent<Data>, state: State): Decision;
}

export function post(legs: readonly Leg[], rows: readonly Row[] = []): Decision {
  return { verdict: 'post', legs, rows };
}

export function refuse(reason: string, rows: readonly Row[] = []): Decision {
  return { verdict: 'refuse', reason, rows };
}
