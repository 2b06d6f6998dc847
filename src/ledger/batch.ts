// Decides a batch: every event becomes an outcome (posted or refused), a repeat, a conflict, a dead
// letter or a deferral, and the stream's counters move by exactly the events of the batch.
// Pure: the same events and the same loaded state give the same plan.
import type { EventDefinition } from '../../schemas/events.ts';
import type {
  Decision,
  FollowUp,
  LedgerEvent,
  Reads,
  Row,
  Rule,
  StoredRecord,
} from './decision.ts';
import { type BatchEntry, postLegs } from './posting.ts';
import type { BatchState } from './state.ts';

/** An event in a batch, with where it came from. `offset` 0 and up; retries have `attempts` > 0. */
export interface BatchItem {
  stream: string;
  offset: number;
  /** How many events of the stream this item stands for: more than 1 only for damaged entries. */
  events: number;
  key: string;
  fingerprint: string;
  /** Times it has been deferred; 0 for one that comes fresh from its stream. */
  attempts: number;
  event: LedgerEvent;
  definition: EventDefinition | null;
  traceparent: string | null;
  body: Buffer;
  /** Set when the bytes could not be decoded, or when bisection named this event the culprit. */
  broken: { reason: string; detail: string } | null;
}

/** An outcome that was recorded before, as far as a repeat must be compared with it. */
export interface KnownOutcome {
  type: string;
  fingerprint: string;
  stream: string;
  offset: number;
  body: Buffer;
}

export interface PlannedOutcome {
  item: BatchItem;
  /** Null: posted. */
  reason: string | null;
  entries: BatchEntry[];
  index: number;
}

/** What a batch does to the counters of one stream. */
export interface StreamCounts {
  posted: number;
  refused: number;
  dead: number;
  duplicate: number;
  deferred: number;
}

export interface BatchPlan {
  outcomes: PlannedOutcome[];
  rows: { row: Row; item: BatchItem }[];
  followUps: { followUp: FollowUp; item: BatchItem }[];
  conflicts: { item: BatchItem; known: KnownOutcome }[];
  dead: { item: BatchItem; reason: string; detail: string }[];
  deferred: { item: BatchItem; reason: string }[];
  /** The same event again: counted, and without a row of its own. */
  repeats: BatchItem[];
  /** Items that came from the table of deferred events and are settled now. */
  undeferred: BatchItem[];
  counts: Map<string, StreamCounts>;
  state: BatchState;
}

export interface BatchInputs {
  items: readonly BatchItem[];
  readsOf: ReadonlyMap<BatchItem, Reads>;
  known: ReadonlyMap<string, KnownOutcome>;
  rules: ReadonlyMap<string, Rule>;
  state: BatchState;
  deferralsMax: number;
}

export function planBatch(inputs: BatchInputs): BatchPlan {
  const plan: BatchPlan = {
    outcomes: [],
    rows: [],
    followUps: [],
    conflicts: [],
    dead: [],
    deferred: [],
    repeats: [],
    undeferred: [],
    counts: new Map(),
    state: inputs.state,
  };
  // Grows with the batch, so that two events of one id in one batch meet each other.
  const known = new Map(inputs.known);
  for (const item of inputs.items) planItem(item, plan, known, inputs);
  return plan;
}

function planItem(
  item: BatchItem,
  plan: BatchPlan,
  known: Map<string, KnownOutcome>,
  inputs: BatchInputs,
): void {
  const earlier = item.broken ? undefined : known.get(item.key);
  if (earlier) {
    settleRepeat(item, earlier, plan);
  } else if (item.broken) {
    bury(item, item.broken.reason, item.broken.detail, plan);
  } else {
    const settled = decideItem(item, plan, inputs);
    if (settled) known.set(item.key, asKnown(item));
  }
}

/** Gives whether the event has an outcome now. A rule that throws costs its own event only. */
function decideItem(item: BatchItem, plan: BatchPlan, inputs: BatchInputs): boolean {
  const { event } = item;
  const reads = inputs.readsOf.get(item);
  const rule = inputs.rules.get(event.type);
  if (!rule || !reads) {
    bury(item, 'no_rule', `no rule consumes ${event.type}`, plan);
    return false;
  }
  try {
    let decision = rule.decide(event, inputs.state.viewFor(event, reads));
    if (decision.verdict === 'defer') {
      const { reason: missing, otherwise } = decision;
      const isOver = item.attempts >= inputs.deferralsMax;
      if (!isOver || !otherwise) {
        if (isOver) bury(item, missing, 'deferred too often', plan);
        else defer(item, missing, plan);
        return false;
      }
      decision = otherwise;
    }
    assertRead(decision, reads);
    const posted =
      decision.verdict === 'post'
        ? postLegs(event, decision.legs, inputs.state)
        : { refused: decision.reason };
    const reason = 'refused' in posted ? posted.refused : null;
    const entries = 'refused' in posted ? [] : posted.entries;
    plan.outcomes.push({ item, reason, entries, index: plan.outcomes.length + 1 });
    // Rows go with the decision they were written for; a posting that a floor turned down has none.
    if (decision.verdict === 'refuse' || reason === null)
      for (const row of decision.rows ?? []) plan.rows.push({ row, item });
    if (decision.verdict === 'post' && reason === null) {
      for (const followUp of decision.followUps ?? []) plan.followUps.push({ followUp, item });
      for (const record of decision.records ?? []) saveRecord(record, event.tenant, inputs.state);
    }
    count(item, reason === null ? 'posted' : 'refused', plan);
    return true;
  } catch (error) {
    bury(item, 'rule_failed', error instanceof Error ? error.message : String(error), plan);
    return false;
  }
}

/** What was not read may be something else by now. */
function assertRead(decision: Decision, reads: Reads): void {
  if (decision.verdict !== 'post') return;
  for (const { table, key } of decision.records ?? [])
    if (!reads.records?.some((ref) => ref.table === table && ref.key === key))
      throw new Error(`${key} of ${table} was saved and had not been read`);
}

function saveRecord({ table, key, body }: StoredRecord, tenant: number, state: BatchState): void {
  const slot = state.recordSlot(tenant, table, key);
  slot.body = body;
  slot.changed = true;
}

/** Same id, same body: a duplicate. Same id, other body: refused, with evidence; the first stands. */
function settleRepeat(item: BatchItem, earlier: KnownOutcome, plan: BatchPlan): void {
  if (earlier.fingerprint === item.fingerprint) {
    plan.repeats.push(item);
    count(item, 'duplicate', plan);
  } else {
    plan.conflicts.push({ item, known: earlier });
    count(item, 'refused', plan);
  }
}

function bury(item: BatchItem, reason: string, detail: string, plan: BatchPlan): void {
  plan.dead.push({ item, reason, detail });
  count(item, 'dead', plan);
}

function defer(item: BatchItem, reason: string, plan: BatchPlan): void {
  plan.deferred.push({ item, reason });
  if (item.attempts === 0) countsOf(item, plan).deferred += item.events;
}

function count(
  item: BatchItem,
  as: 'posted' | 'refused' | 'dead' | 'duplicate',
  plan: BatchPlan,
): void {
  const counts = countsOf(item, plan);
  counts[as] += item.events;
  if (item.attempts > 0) {
    counts.deferred -= item.events;
    plan.undeferred.push(item);
  }
}

function countsOf(item: BatchItem, plan: BatchPlan): StreamCounts {
  let counts = plan.counts.get(item.stream);
  if (!counts) {
    counts = { posted: 0, refused: 0, dead: 0, duplicate: 0, deferred: 0 };
    plan.counts.set(item.stream, counts);
  }
  return counts;
}

function asKnown(item: BatchItem): KnownOutcome {
  const { event, fingerprint, stream, offset, body } = item;
  return { type: event.type, fingerprint, stream, offset, body };
}
