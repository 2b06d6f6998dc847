// What the sandbox remembers, in one SQLite file: objects, answers by idempotency key, webhooks to
// deliver, things to do later. A restart, by kill -9 too, finds all that was answered.
// Invariant: a request's changes are made together or not at all.
import { Database } from 'bun:sqlite';
import type { GatewayName } from '../../../schemas/payments.ts';
import type { Kind, Labels, OfKind, SandboxObject } from './objects.ts';

const tables = `
  create table if not exists objects (
    seq integer primary key autoincrement, id text not null unique, gateway text not null,
    kind text not null, parent text, lookup text, created_ms integer not null, body text not null);
  create index if not exists objects_by_parent on objects (parent, kind);
  create index if not exists objects_by_lookup on objects (gateway, kind, lookup);
  create index if not exists objects_by_kind on objects (gateway, kind, seq);
  create table if not exists labels (
    gateway text not null, name text not null, value text not null, id text not null,
    primary key (gateway, name, value, id)) without rowid;
  create index if not exists labels_by_id on labels (id);
  create table if not exists answers (
    gateway text not null, key text not null, request text not null, status integer not null,
    body text not null, primary key (gateway, key)) without rowid;
  create table if not exists deliveries (
    id integer primary key autoincrement, gateway text not null, event text not null,
    due_ms integer not null, attempts integer not null default 0,
    state text not null default 'waiting', detail text);
  create index if not exists deliveries_due on deliveries (gateway, due_ms)
    where state = 'waiting';
  create table if not exists tasks (
    id integer primary key autoincrement, due_ms integer not null, what text not null,
    subject text not null);
  create index if not exists tasks_due on tasks (due_ms);
  create table if not exists settings (one integer primary key check (one = 1), body text not null);
`;

/** So that what is due at once does not keep requests waiting. */
const TASKS_AT_ONCE = 100;

export interface Answer {
  request: string;
  status: number;
  body: string;
}
export interface Delivery {
  id: number;
  gateway: GatewayName;
  event: string;
  due_ms: number;
  attempts: number;
}
export interface Task {
  id: number;
  what: string;
  subject: string;
}
export interface Page {
  limit: number;
  /** Skips so many, newest first. */
  skip?: number;
  /** Older than this object. */
  after?: string;
  fromMs?: number;
  toMs?: number;
  parent?: string;
  lookup?: string;
}

type Bound = string | number | null;

export class SandboxStore {
  private readonly db: Database;

  constructor(path: string) {
    this.db = new Database(path, { create: true, strict: true });
    this.db.run('pragma journal_mode = wal');
    this.db.run('pragma synchronous = normal');
    this.db.run(tables);
  }

  /** Undone as a whole when it throws, or when what it gives is not to stay. */
  together<T>(work: () => T, stays: (result: T) => boolean = () => true): T {
    const undone: { result?: T } = {};
    try {
      return this.db.transaction(() => {
        const result = work();
        if (stays(result)) return result;
        undone.result = result;
        throw undone;
      })();
    } catch (error) {
      if (error === undone) return undone.result!;
      throw error;
    }
  }

  put(object: SandboxObject): void {
    const { parent, lookup } = placeOf(object);
    const { id, gateway, kind, createdMs } = object;
    this.run(
      `insert into objects (id, gateway, kind, parent, lookup, created_ms, body)
       values (?, ?, ?, ?, ?, ?, ?)
       on conflict (id) do update set body = excluded.body, lookup = excluded.lookup`,
      [id, gateway, kind, parent, lookup, createdMs, JSON.stringify(object)],
    );
  }

  get<K extends Kind>(kind: K, id: string): OfKind<K> | null {
    const [found] = this.rows<{ body: string }>(
      'select body from objects where id = ? and kind = ?',
      [id, kind],
    );
    return found ? (JSON.parse(found.body) as OfKind<K>) : null;
  }

  /** Newest first. */
  list<K extends Kind>(gateway: GatewayName, kind: K, page: Page): OfKind<K>[] {
    const conditions = ['gateway = ?', 'kind = ?'];
    const values: Bound[] = [gateway, kind];
    const where = (condition: string, value: Bound | undefined): void => {
      if (value === undefined) return;
      conditions.push(condition);
      values.push(value);
    };
    where('parent = ?', page.parent);
    where('lookup = ?', page.lookup);
    where('created_ms >= ?', page.fromMs);
    where('created_ms <= ?', page.toMs);
    where('seq < (select seq from objects where id = ?)', page.after);
    const bodies = this.rows<{ body: string }>(
      `select body from objects where ${conditions.join(' and ')}
       order by seq desc limit ? offset ?`,
      [...values, page.limit, page.skip ?? 0],
    );
    return bodies.map(({ body }) => JSON.parse(body) as OfKind<K>);
  }

  /** Oldest first, all of them. */
  all<K extends Kind>(gateway: GatewayName, kind: K): OfKind<K>[] {
    return this.list(gateway, kind, { limit: -1 }).reverse();
  }

  label(gateway: GatewayName, id: string, labels: Labels): void {
    this.run('delete from labels where id = ?', [id]);
    for (const [name, value] of Object.entries(labels))
      this.run('insert into labels values (?, ?, ?, ?)', [gateway, name, value, id]);
  }

  labelled(gateway: GatewayName, name: string, value: string): string[] {
    return this.rows<{ id: string }>(
      'select id from labels where gateway = ? and name = ? and value = ?',
      [gateway, name, value],
    ).map(({ id }) => id);
  }

  answer(gateway: GatewayName, key: string): Answer | null {
    const text = 'select request, status, body from answers where gateway = ? and key = ?';
    return this.rows<Answer>(text, [gateway, key])[0] ?? null;
  }

  keepAnswer(gateway: GatewayName, key: string, { request, status, body }: Answer): void {
    this.run('insert into answers values (?, ?, ?, ?, ?)', [gateway, key, request, status, body]);
  }

  deliver(gateway: GatewayName, event: string, dueMs: number): void {
    this.run('insert into deliveries (gateway, event, due_ms) values (?, ?, ?)', [
      gateway,
      event,
      dueMs,
    ]);
  }

  /** Those that wait, the first ones due first. */
  deliveriesWaiting(gateway: GatewayName, limit: number): Delivery[] {
    return this.rows<Delivery>(
      `select id, gateway, event, due_ms, attempts from deliveries
       where state = 'waiting' and gateway = ? order by due_ms limit ?`,
      [gateway, limit],
    );
  }

  deliveryEnded(id: number, state: 'delivered' | 'given_up', detail: string): void {
    this.run('update deliveries set state = ?, detail = ?, attempts = attempts + 1 where id = ?', [
      state,
      detail,
      id,
    ]);
  }

  deliverAgain(id: number, dueMs: number, detail: string): void {
    this.run('update deliveries set due_ms = ?, detail = ?, attempts = attempts + 1 where id = ?', [
      dueMs,
      detail,
      id,
    ]);
  }

  deliveryCounts(): { gateway: string; state: string; count: number }[] {
    return this.rows(
      'select gateway, state, count(*) as count from deliveries group by gateway, state',
      [],
    );
  }

  later(dueMs: number, what: string, subject: string): void {
    this.run('insert into tasks (due_ms, what, subject) values (?, ?, ?)', [dueMs, what, subject]);
  }

  tasksDue(nowMs: number): Task[] {
    const text =
      'select id, what, subject from tasks where due_ms <= ? order by due_ms, id limit ?';
    return this.rows<Task>(text, [nowMs, TASKS_AT_ONCE]);
  }

  taskDone(id: number): void {
    this.run('delete from tasks where id = ?', [id]);
  }

  settings(): string | null {
    return this.rows<{ body: string }>('select body from settings', [])[0]?.body ?? null;
  }

  keepSettings(body: string): void {
    this.run('insert or replace into settings values (1, ?)', [body]);
  }

  /** Everything but the settings. */
  forget(): void {
    for (const table of ['objects', 'labels', 'answers', 'deliveries', 'tasks'])
      this.db.run(`delete from ${table}`);
  }

  close(): void {
    this.db.close();
  }

  private run(text: string, values: Bound[]): void {
    this.db.query(text).run(...values);
  }

  private rows<Row>(text: string, values: Bound[]): Row[] {
    return this.db.query(text).all(...values) as Row[];
  }
}

/** By what it is found: what it belongs to, and one more thing. */
function placeOf(object: SandboxObject): { parent: string | null; lookup: string | null } {
  switch (object.kind) {
    case 'intent':
      return { parent: null, lookup: object.receipt };
    case 'charge':
      return { parent: object.intent, lookup: null };
    case 'refund':
    case 'dispute':
      return { parent: object.charge, lookup: object.intent };
    case 'line':
      return { parent: object.source, lookup: object.payout ?? 'open' };
    case 'payout':
      return { parent: null, lookup: null };
    case 'event':
      return { parent: null, lookup: object.type };
  }
}
