// What a batch's decisions have in view: the loaded balances and documents, and on top of them what
// earlier events of the same batch have done. Accounts collect their deltas here, so that a hot
// account costs one update a batch.
// Invariant: `running` is the sum of the batch's entries on the account, `count` their number, and
// `low` the lowest running sum after any whole event (the write checks floor <= base + low).
import { floorOf } from './accounts.ts';
import type { LedgerEvent, Reads, State, StoredDocument } from './decision.ts';
import { accountName, keyOfAccount } from './identity.ts';

export interface AccountSlot {
  key: string;
  tenant: number;
  account: string;
  unit: string;
  floor: number | null;
  /** Balance before the batch, for accounts that some event reads; 0 when it does not exist. */
  base: number | null;
  running: number;
  low: number;
  count: number;
  /** Place in the batch's account columns, from 1; set when the batch is closed. */
  index: number;
}

/** One entity in a batch. `body` is as of the last event that changed it, null: not there. */
export interface RecordSlot {
  tenant: number;
  table: string;
  key: string;
  body: object | null;
  changed: boolean;
}

export class BatchState {
  private readonly slots = new Map<string, AccountSlot>();
  private readonly records = new Map<string, RecordSlot>();
  private readonly documentsByKind = new Map<string, readonly StoredDocument[]>();

  slot(tenant: number, account: string, unit: string): AccountSlot {
    const name = accountName(tenant, account, unit);
    let slot = this.slots.get(name);
    if (!slot) {
      const key = keyOfAccount(name);
      const floor = floorOf(account);
      slot = {
        key,
        tenant,
        account,
        unit,
        floor,
        base: null,
        running: 0,
        low: 0,
        count: 0,
        index: 0,
      };
      this.slots.set(name, slot);
    }
    return slot;
  }

  setDocuments(tenant: number, kind: string, documents: readonly StoredDocument[]): void {
    this.documentsByKind.set(`${tenant}\n${kind}`, documents);
  }

  recordSlot(tenant: number, table: string, key: string): RecordSlot {
    const name = recordName(tenant, table, key);
    let slot = this.records.get(name);
    if (!slot) {
      slot = { tenant, table, key, body: null, changed: false };
      this.records.set(name, slot);
    }
    return slot;
  }

  /** Entities that the batch reads or has changed, by name. */
  recordSlots(): ReadonlyMap<string, RecordSlot> {
    return this.records;
  }

  /** Accounts whose balance was loaded for a decision. */
  loaded(): AccountSlot[] {
    return [...this.slots.values()].filter((slot) => slot.base !== null);
  }

  /** Accounts that the batch has changed, in key order: the order in which they are locked. */
  touched(): AccountSlot[] {
    return [...this.slots.values()]
      .filter((slot) => slot.count > 0)
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** The state as one event may see it: only what its rule declared. */
  viewFor(event: LedgerEvent, reads: Reads): State {
    return {
      balance: (account, unit) => {
        const declared = reads.accounts?.some(
          (ref) => ref.account === account && ref.unit === unit,
        );
        if (!declared) throw new Error(`${event.type} read the balance of ${account} undeclared`);
        const { base, running } = this.slot(event.tenant, account, unit);
        return (base ?? 0) + running;
      },
      documents: <Body>(kind: string) => {
        if (!reads.documents?.some((ref) => ref.kind === kind))
          throw new Error(`${event.type} read documents of kind ${kind} undeclared`);
        const documents = this.documentsByKind.get(`${event.tenant}\n${kind}`) ?? [];
        return documents as readonly StoredDocument<Body>[];
      },
      record: <Body>(table: string, key: string) => {
        if (!reads.records?.some((ref) => ref.table === table && ref.key === key))
          throw new Error(`${event.type} read ${key} of ${table} undeclared`);
        return this.recordSlot(event.tenant, table, key).body as Readonly<Body> | null;
      },
    };
  }
}

export function recordName(tenant: number, table: string, key: string): string {
  return `${tenant}\n${table}\n${key}`;
}
