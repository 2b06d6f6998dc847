// Documents (terms of coupons, partners …): put, get, list, and follow their change log.
// Invariant: change numbers of a tenant and kind are in commit order, so that a follower which asks
// for "later than the last I saw" misses nothing, across reconnects too.
import type { Sql } from '../io/postgres.ts';
import { textArray } from './columns.ts';

export interface Document<Body = unknown> {
  key: string;
  version: number;
  body: Body;
  created_at: Date;
  updated_at: Date;
}

export interface PutResult {
  key: string;
  version: number;
  created: boolean;
  change: number;
  created_at: Date;
  updated_at: Date;
}

/** Puts many documents in one transaction. Keys must be distinct. Same body: same version. */
export async function putDocuments(
  sql: Sql,
  tenant: number,
  kind: string,
  documents: readonly { key: string; body: object }[],
  actor: string,
): Promise<PutResult[]> {
  const keys = textArray(documents.map((document) => document.key));
  const bodies = JSON.stringify(documents.map((document) => document.body));
  const rows = await sql`
    select * from documents_put(${tenant}, ${kind}, ${keys}::text::text[],
      ${bodies}::text::jsonb, ${actor})`;
  return rows.map((row) => ({
    key: row['o_key'] as string,
    version: row['o_version'] as number,
    created: row['o_created'] as boolean,
    change: Number(row['o_change']),
    created_at: row['o_created_at'] as Date,
    updated_at: row['o_updated_at'] as Date,
  }));
}

export async function putDocument(
  sql: Sql,
  tenant: number,
  kind: string,
  key: string,
  body: object,
  actor: string,
): Promise<PutResult> {
  const [result] = await putDocuments(sql, tenant, kind, [{ key, body }], actor);
  return result!;
}

export async function getDocument<Body>(
  sql: Sql,
  tenant: number,
  kind: string,
  key: string,
): Promise<Document<Body> | null> {
  const [row] = await sql`select * from document_get(${tenant}, ${kind}, ${key})`;
  return (row as Document<Body> | undefined) ?? null;
}

/** A page in key order, after the key `after` ('' for the first page). */
export async function listDocuments<Body>(
  sql: Sql,
  tenant: number,
  kind: string,
  page: { after: string; limit: number },
): Promise<Document<Body>[]> {
  const rows = await sql`
    select * from documents_list(${tenant}, ${kind}, ${page.after}, ${page.limit})`;
  return rows as unknown as Document<Body>[];
}

export interface ChangedDocument {
  tenant: number;
  key: string;
  version: number;
  body: unknown;
}

export interface Follower {
  /** Resolves when everything that existed at the start has been delivered. */
  ready: Promise<void>;
  /** Catches up now; resolves when every change committed before the call has been delivered. */
  refresh(): Promise<void>;
  stop(): Promise<void>;
}

export interface FollowOptions {
  onChanges(changes: readonly ChangedDocument[]): void;
  /** The bound on staleness while notifications are lost, in ms. */
  pollMs?: number;
  pageSize?: number;
  onError?(error: unknown): void;
}

/** Follows all documents of a kind, of every tenant: everything first, then each change. */
export function followDocuments(sql: Sql, kind: string, options: FollowOptions): Follower {
  return new ChangeLogFollower(sql, kind, options);
}

class ChangeLogFollower implements Follower {
  readonly ready: Promise<void>;
  /** The last change seen, by tenant. */
  private readonly seen = new Map<number, bigint>();
  private readonly onError: (error: unknown) => void;
  private readonly timer: ReturnType<typeof setInterval>;
  private stopped = false;
  private running: Promise<void> | null = null;
  private next: Promise<void> | null = null;
  private unlisten: (() => Promise<void>) | undefined;

  constructor(
    private readonly sql: Sql,
    private readonly kind: string,
    private readonly options: FollowOptions,
  ) {
    this.onError = options.onError ?? (() => {});
    const quietly = (): void => void this.refresh().catch(this.onError);
    this.timer = setInterval(quietly, options.pollMs ?? 1_000);
    // Notifications are a hint: the poll finds what they miss.
    const listening = sql.listen('tallyrace_documents', (payload) => {
      if (payload.startsWith(`${kind} `)) quietly();
    });
    this.ready = listening
      .then(({ unlisten }) => {
        this.unlisten = unlisten;
      })
      .catch(this.onError)
      .then(() => this.refresh());
  }

  /** One catch-up at a time; a call during one waits for a second, which sees newer changes. */
  refresh(): Promise<void> {
    if (!this.running) {
      this.running = this.catchUp().finally(() => {
        this.running = null;
      });
      return this.running;
    }
    this.next ??= this.running
      .catch(() => {})
      .then(() => {
        this.next = null;
        return this.refresh();
      });
    return this.next;
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    await this.unlisten?.().catch(this.onError);
    await this.running?.catch(() => {});
  }

  private async catchUp(): Promise<void> {
    const heads = await this.sql`select * from system_document_heads(${this.kind})`;
    for (const head of heads)
      await this.catchUpTenant(head['tenant_id'] as number, head['change'] as bigint);
  }

  private async catchUpTenant(tenant: number, head: bigint): Promise<void> {
    const pageSize = this.options.pageSize ?? 10_000;
    for (let full = true; full && !this.stopped && this.lastSeen(tenant) < head;) {
      const rows = await this.sql`
        select * from system_documents_since(${tenant}, ${this.kind},
          ${String(this.lastSeen(tenant))}::text::bigint, ${pageSize})`;
      full = rows.length === pageSize;
      if (rows.length === 0) break;
      this.options.onChanges(
        rows.map((row) => ({
          tenant,
          key: row['key'] as string,
          version: row['version'] as number,
          body: row['body'],
        })),
      );
      this.seen.set(tenant, rows.at(-1)!['change'] as bigint);
    }
    // A put that changed nothing moves the head past the last document; all below it is here.
    if (!this.stopped && this.lastSeen(tenant) < head) this.seen.set(tenant, head);
  }

  private lastSeen(tenant: number): bigint {
    return this.seen.get(tenant) ?? 0n;
  }
}
