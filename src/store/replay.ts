// `tallyrace replay --dry-run`: decides recorded events again, by the rules of this build and the
// documents as they are now, and shows what would differ per account. Writes nothing.
// Floors are judged from an empty ledger on, in the order in which events were settled.
import type { Sql } from '../io/postgres.ts';
import { type BatchItem, planBatch } from '../ledger/batch.ts';
import type { Reads, Rule, StoredDocument } from '../ledger/decision.ts';
import { BatchState } from '../ledger/state.ts';
import { storedItem } from './stored-event.ts';

export interface AccountDifference {
  tenant: number;
  account: string;
  unit: string;
  recorded: number;
  replayed: number;
}

export interface ReplayReport {
  events: number;
  /** Events that were posted and would be refused, or the other way round, or would fail. */
  verdicts: number;
  differences: AccountDifference[];
}

const PAGE = 5_000;

export async function replayDryRun(
  sql: Sql,
  rules: ReadonlyMap<string, Rule>,
  options: { type: string; onProgress(events: number): void },
): Promise<ReplayReport> {
  const state = new BatchState();
  const documents = new Set<string>();
  let [events, verdicts] = [0, 0];
  let last: Record<string, unknown> | undefined;
  for (;;) {
    const rows: Record<string, unknown>[] = await sql`
      select * from system_past_events(${(last?.['posted_at'] as Date | undefined) ?? null},
        ${(last?.['event_key'] as string | undefined) ?? null}, ${options.type}, ${PAGE})`;
    if (rows.length === 0) break;
    last = rows.at(-1);
    const items = rows.map((row) => storedItem(row, 0));
    const readsOf = readsOfAll(items, rules, state);
    await loadDocuments(sql, readsOf, state, documents);
    const known = new Map<string, never>();
    const plan = planBatch({ items, readsOf, known, rules, state, deferralsMax: 0 });
    const posted = new Set(
      plan.outcomes.filter(({ reason }) => reason === null).map(({ item }) => item),
    );
    items.forEach((item, index) => {
      if (posted.has(item) !== (rows[index]!['verdict'] === 1)) verdicts++;
    });
    options.onProgress((events += rows.length));
  }
  return { events, verdicts, differences: await compare(sql, state, options.type) };
}

function readsOfAll(
  items: readonly BatchItem[],
  rules: ReadonlyMap<string, Rule>,
  state: BatchState,
): Map<BatchItem, Reads> {
  const readsOf = new Map<BatchItem, Reads>();
  for (const item of items) {
    const reads = item.broken ? undefined : rules.get(item.event.type)?.reads(item.event);
    if (!reads) continue;
    readsOf.set(item, reads);
    for (const ref of reads.accounts ?? [])
      state.slot(item.event.tenant, ref.account, ref.unit).base ??= 0;
  }
  return readsOf;
}

async function loadDocuments(
  sql: Sql,
  readsOf: ReadonlyMap<BatchItem, Reads>,
  state: BatchState,
  loaded: Set<string>,
): Promise<void> {
  for (const [{ event }, reads] of readsOf)
    for (const { kind } of reads.documents ?? []) {
      if (loaded.has(`${event.tenant} ${kind}`)) continue;
      loaded.add(`${event.tenant} ${kind}`);
      const rows = await sql`
        select * from system_documents_since(${event.tenant}, ${kind}, 0, 2147483647)`;
      state.setDocuments(event.tenant, kind, rows as unknown as StoredDocument[]);
    }
}

async function compare(sql: Sql, state: BatchState, type: string): Promise<AccountDifference[]> {
  const rows = await sql`select * from system_entry_sums(${type})`;
  const sums = new Map<string, AccountDifference>();
  const nameOf = (tenant: number, account: string, unit: string): string =>
    `${tenant}\n${account}\n${unit}`;
  for (const row of rows) {
    const [tenant, account, unit] = [row['tenant_id'], row['account'], row['unit']] as [
      number,
      string,
      string,
    ];
    const recorded = Number(row['total']);
    sums.set(nameOf(tenant, account, unit), { tenant, account, unit, recorded, replayed: 0 });
  }
  for (const { tenant, account, unit, running } of state.touched()) {
    const name = nameOf(tenant, account, unit);
    const sum = sums.get(name) ?? { tenant, account, unit, recorded: 0, replayed: 0 };
    sums.set(name, { ...sum, replayed: running });
  }
  return [...sums.values()].filter(({ recorded, replayed }) => recorded !== replayed);
}
