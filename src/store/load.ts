// Loads what a batch's decisions look at, in one round trip: outcomes of suspected repeats,
// balances that rules read, documents whose kind has changed since they were last seen.
// Invariant: documents are as of this load or later; a rule never decides on terms that were
// replaced before its event was loaded.
import { type Sql } from '../io/postgres.ts';
import type { BatchItem, KnownOutcome } from '../ledger/batch.ts';
import type { Reads, Rule, StoredDocument } from '../ledger/decision.ts';
import { type AccountSlot, BatchState, type RecordSlot } from '../ledger/state.ts';
import { numberArray, textArray } from './columns.ts';

export interface LoadedBatch {
  state: BatchState;
  readsOf: Map<BatchItem, Reads>;
  known: Map<string, KnownOutcome>;
  /** Keys of already settled events that are dead, deferred or in conflict. */
  elsewhere: Set<string>;
  /** Where the streams asked for were settled to when the balances were as they are here. */
  positions: Record<string, number>;
}

export interface LoadRequest {
  items: readonly BatchItem[];
  /** Ask for the outcomes of all items, not only of those that come round again. */
  probe: boolean;
  /** Whether the item's offset is settled already: a redelivery, or a number given out twice. */
  isSettled: (item: BatchItem) => boolean;
  /** Accounts to load beside those that rules read. */
  accounts?: readonly AccountSlot[];
  streams?: readonly string[];
}

interface DocumentCache {
  change: number;
  byKey: Map<string, StoredDocument>;
  list: readonly StoredDocument[];
}

interface OutcomeJson {
  key: string;
  type: string;
  fingerprint: string;
  stream: string;
  offset: number;
  body: string;
}

export class BatchLoader {
  private readonly documents = new Map<string, DocumentCache>();

  constructor(
    private readonly sql: Sql,
    private readonly rules: ReadonlyMap<string, Rule>,
  ) {}

  async load(request: LoadRequest): Promise<LoadedBatch> {
    const { items, probe, isSettled, accounts = [], streams = [] } = request;
    const state = new BatchState();
    const readsOf = this.readsOf(items);
    const suspects: string[] = [];
    const settled: string[] = [];
    for (const item of items) {
      const old = isSettled(item);
      if (old) settled.push(item.key);
      if (old || probe || item.attempts > 0) suspects.push(item.key);
    }
    const slots = [...readsOf].flatMap(([item, reads]) =>
      (reads.accounts ?? []).map((ref) => state.slot(item.event.tenant, ref.account, ref.unit)),
    );
    for (const { tenant, account, unit } of accounts) slots.push(state.slot(tenant, account, unit));
    const kinds = documentKinds(readsOf);
    const records = recordsOf(readsOf, state);
    if (suspects.length + slots.length + kinds.length + records.size === 0)
      return { state, readsOf, known: new Map(), elsewhere: new Set(), positions: {} };

    const tenants = [...new Set(items.map((item) => item.event.tenant))];
    const parameters = [
      numberArray(tenants),
      numberArray(suspects),
      numberArray(settled),
      numberArray([...new Set(slots.map((slot) => slot.key))]),
      numberArray(kinds.map(({ tenant }) => tenant)),
      textArray(kinds.map(({ kind }) => kind)),
      textArray(streams),
      ...[...records.values()].flatMap((wanted) => [
        numberArray(wanted.map(({ tenant }) => tenant)),
        textArray(wanted.map(({ key }) => key)),
      ]),
    ];
    const [row] = await this.sql.unsafe(loadStatement([...records.keys()]), parameters, {
      prepare: true,
    });
    for (const [table, wanted] of records) {
      const bodies = row![`${table}_loaded`] as (object | null)[];
      wanted.forEach((slot, index) => (slot.body = bodies[index] ?? null));
    }
    const balances = (row!['balances'] ?? {}) as Record<string, number>;
    for (const slot of slots) slot.base = balances[slot.key] ?? 0;
    await this.loadDocuments(state, kinds, row!['changes'] as string | null);
    return {
      state,
      readsOf,
      known: knownOutcomes((row!['outcomes'] ?? []) as OutcomeJson[]),
      elsewhere: new Set((row!['elsewhere'] ?? []) as string[]),
      positions: (row!['positions'] ?? {}) as Record<string, number>,
    };
  }

  /** A rule that throws here breaks its own event only. */
  private readsOf(items: readonly BatchItem[]): Map<BatchItem, Reads> {
    const readsOf = new Map<BatchItem, Reads>();
    for (const item of items) {
      const rule = item.broken ? undefined : this.rules.get(item.event.type);
      if (!rule) continue;
      try {
        readsOf.set(item, rule.reads(item.event));
      } catch (error) {
        item.broken = { reason: 'rule_failed', detail: String(error) };
      }
    }
    return readsOf;
  }

  private async loadDocuments(
    state: BatchState,
    kinds: readonly { tenant: number; kind: string }[],
    changes: string | null,
  ): Promise<void> {
    const heads = changes === null || changes === '' ? [] : changes.split(',').map(Number);
    for (const [index, { tenant, kind }] of kinds.entries()) {
      const cache = await this.caughtUp(tenant, kind, heads[index] ?? 0);
      state.setDocuments(tenant, kind, cache.list);
    }
  }

  private async caughtUp(tenant: number, kind: string, head: number): Promise<DocumentCache> {
    const name = `${tenant}\n${kind}`;
    const cache = this.documents.get(name) ?? { change: 0, byKey: new Map(), list: [] };
    if (cache.change < head) {
      const rows = await this.sql`
        select * from system_documents_since(${tenant}, ${kind},
          ${String(cache.change)}::text::bigint, 2147483647)`;
      for (const { key, version, body } of rows as unknown as StoredDocument[])
        cache.byKey.set(key, { key, version, body });
      const last = rows.at(-1)?.['change'] as bigint | undefined;
      cache.change = Math.max(head, Number(last ?? 0));
      cache.list = [...cache.byKey.values()];
      this.documents.set(name, cache);
    }
    return cache;
  }
}

/** Entities that rules read, by table. */
function recordsOf(
  readsOf: ReadonlyMap<BatchItem, Reads>,
  state: BatchState,
): Map<string, RecordSlot[]> {
  for (const [{ event }, { records }] of readsOf)
    for (const { table, key } of records ?? []) state.recordSlot(event.tenant, table, key);
  // In one order, so that few statements are ever prepared.
  const slots = [...state.recordSlots().values()].sort((a, b) => (a.table < b.table ? -1 : 1));
  return Map.groupBy(slots, ({ table }) => table);
}

const ledgerLoad = ['int', 'uuid', 'uuid', 'uuid', 'int', 'text', 'text']
  .map((type, index) => `$${index + 1}::text::${type}[]`)
  .join(', ');
const statements = new Map<string, string>();

/** One statement, so one snapshot: records are as of the positions that come with them. */
function loadStatement(tables: readonly string[]): string {
  const name = tables.join(' ');
  let statement = statements.get(name);
  if (!statement) {
    const loads = tables.map((table, index) => {
      const first = 8 + 2 * index;
      const wanted = `$${first}::text::int[], $${first + 1}::text::text[]`;
      return `, ${table}_load(${wanted}) as ${table}_loaded`;
    });
    statement = `select l.*${loads.join('')} from ledger_load(${ledgerLoad}) l`;
    statements.set(name, statement);
  }
  return statement;
}

function documentKinds(readsOf: ReadonlyMap<BatchItem, Reads>): { tenant: number; kind: string }[] {
  const kinds = new Map<string, { tenant: number; kind: string }>();
  for (const [item, reads] of readsOf)
    for (const { kind } of reads.documents ?? []) {
      const { tenant } = item.event;
      kinds.set(`${tenant}\n${kind}`, { tenant, kind });
    }
  return [...kinds.values()];
}

function knownOutcomes(rows: readonly OutcomeJson[]): Map<string, KnownOutcome> {
  return new Map(
    rows.map(({ key, body, ...rest }) => [key, { ...rest, body: Buffer.from(body, 'base64') }]),
  );
}
