// Compares what the ledger says with what the auditor made of the acknowledged events.
import { expect } from 'bun:test';
import type { Sql } from '../src/io/postgres.ts';
import type { Audit } from './auditor.ts';
import { eventually } from './processes.ts';

export interface VerifyReport {
  ok: boolean;
  accepted: number;
  posted: number;
  refused: number;
  dead: number;
  pending: number;
  problems: unknown[];
}

export interface Verifiable {
  owner: Sql;
  run(...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }>;
}

/** `tallyrace verify` once nothing is pending any more. */
export async function settledReport(stack: Verifiable, withinMs = 30_000): Promise<VerifyReport> {
  return eventually(
    'nothing is pending',
    async () => {
      const { stdout, stderr } = await stack.run('verify', '--json');
      if (!stdout.startsWith('{')) throw new Error(`verify said: ${stdout}${stderr}`);
      const report = JSON.parse(stdout) as VerifyReport;
      return report.pending === 0 ? report : null;
    },
    withinMs,
  );
}

/** Which accounts are the auditor's: LIKE patterns, where the ledger also holds others. */
export async function expectLedgerEquals(
  owner: Sql,
  audit: Audit,
  accounts = '%',
  except = '',
): Promise<void> {
  const rows = await owner<{ account: string; unit: string; balance: bigint }[]>`
    select account, unit, balance from balances
    where balance <> 0 and account like ${accounts} and account not like ${except}`;
  const ledger = new Map(rows.map((row) => [`${row.account} ${row.unit}`, BigInt(row.balance)]));
  const differences = [...new Set([...ledger.keys(), ...audit.balances.keys()])]
    .filter((account) => ledger.get(account) !== audit.balances.get(account))
    .map((account) => `${account}: ${ledger.get(account)} not ${audit.balances.get(account)}`);
  expect(differences).toEqual([]);
}

/** Every acknowledged event has one outcome, and it is the auditor's. */
export async function expectVerdictsEqual(owner: Sql, audit: Audit): Promise<void> {
  const rows = await owner<{ event_id: string; verdict: number; reason: string | null }[]>`
    select event_id, verdict, reason from outcomes`;
  const ledger = new Map(
    rows.map((row) => [row.event_id, row.verdict === 1 ? 'posted' : `refused ${row.reason}`]),
  );
  const differences = [...audit.verdicts]
    .filter(([id, verdict]) => ledger.get(id) !== verdict)
    .map(([id, verdict]) => `${id}: ${ledger.get(id)} not ${verdict}`);
  expect(differences).toEqual([]);
}

/** Straight from the tables: sums, gapless sequences, running balances, floors. */
export async function expectBooksInOrder(owner: Sql): Promise<void> {
  const unbalanced = await owner`
    select e.event_key, b.unit from entries e join balances b using (account_key)
    group by 1, 2 having sum(e.amount) <> 0`;
  expect(unbalanced).toHaveLength(0);
  const broken = await owner`
    select * from (
      select account_key, sequence, balance_after,
             row_number() over w as expected_sequence, sum(amount) over w as expected_balance
      from entries window w as (partition by account_key order by sequence)
    ) e where sequence <> expected_sequence or balance_after <> expected_balance`;
  expect(broken).toHaveLength(0);
  const behind = await owner`
    select b.account from balances b
    left join (select account_key, sum(amount) as amount, count(*) as count
               from entries group by 1) e using (account_key)
    where b.balance <> coalesce(e.amount, 0) or b.sequence <> coalesce(e.count, 0)`;
  expect(behind).toHaveLength(0);
  const below = await owner`
    select e.account_key from entries e join balances b using (account_key)
    where b.floor is not null and e.balance_after < b.floor`;
  expect(below).toHaveLength(0);
}
