// Accounts: balances through the cache, entries from the ledger, newest first.
// Invariant: one answer is about one unit; an account of several is asked for with `currency`.
import { Type } from '@sinclair/typebox';
import { type Amount as AmountSchema, Balance, Entry } from '../../schemas/accounts.ts';
import { AtLeast, closed } from '../../schemas/primitives.ts';
import type { BalanceCache, UnitBalance } from '../cache/balances.ts';
import { page, pageOf, pageQuery, readPage } from '../http/cursor.ts';
import { reach } from '../http/position.ts';
import { problem } from '../http/problem.ts';
import { type Route, defineRoute, json } from '../http/route.ts';
import type { Clock } from '../io/clock.ts';
import type { Sql } from '../io/postgres.ts';
import { type StoredEntry, accountEntries, cachedBalances } from '../store/accounts.ts';
import type { Settlement } from '../stream/settlement.ts';

export interface AccountParts {
  sql: Sql;
  balances: BalanceCache;
  settlement: Settlement;
  clock: Clock;
}

const AccountName = Type.String({
  minLength: 1,
  maxLength: 300,
  pattern: '^[\\x21-\\x7e]+$',
  description: 'E.g. `partner:p_1:available`, `user:u_1:earnings`, `coupon:SPRING:uses`.',
});
const Unit = Type.Optional(
  Type.String({ pattern: '^([A-Z]{3}|[a-z_]{1,16})$', description: 'A currency or other unit.' }),
);

const route = {
  method: 'GET',
  tag: 'accounts',
  scope: 'balances:read',
  limit: 'requests',
  params: closed({ account: AccountName }),
  problems: [404, 409],
} as const;

export function accountRoutes(parts: AccountParts): Route[] {
  return [balance(parts), entries(parts)];
}

function balance({ sql, balances, settlement, clock }: AccountParts): Route {
  return defineRoute({
    ...route,
    name: 'getBalance',
    path: '/v1/accounts/{account}/balance',
    summary: 'The balance of an account',
    query: closed({ currency: Unit, at_least: AtLeast }),
    answers: { 200: { description: 'The balance.', schema: Balance } },
    examples: [
      {
        name: 'an account without entries, in one currency',
        status: 200,
        params: { account: 'user:u_new:earnings' },
        query: { currency: 'USD' },
      },
      { name: 'unknown', status: 404, params: { account: 'user:nobody:earnings' } },
    ],
    async handler({ tenant, params: { account }, query }) {
      await reach(settlement, query.at_least);
      const asOf = new Date(clock()).toISOString();
      const all = await cachedBalances(balances, sql, tenant, account);
      const { unit, balance: amount, sequence } = oneUnit(all, query.currency);
      const money: AmountOf = { amount, currency: unit };
      return json(200, { account, balance: money, available: money, sequence, as_of: asOf });
    },
  });
}

function entries({ sql, balances, settlement }: AccountParts): Route {
  return defineRoute({
    ...route,
    name: 'listEntries',
    path: '/v1/accounts/{account}/entries',
    summary: 'The entries of an account, newest first',
    query: closed({ ...pageQuery, currency: Unit, at_least: AtLeast }),
    answers: { 200: { description: 'A page.', schema: pageOf(Entry) } },
    examples: [
      {
        name: 'an account without entries, in one currency',
        status: 200,
        params: { account: 'user:u_new:earnings' },
        query: { currency: 'USD', limit: 10 },
      },
    ],
    async handler({ tenant, params: { account }, query }) {
      const { limit, after } = readPage(query, (place) => isSequence.test(place));
      const before = after === null ? Number.MAX_SAFE_INTEGER : Number(after);
      await reach(settlement, query.at_least);
      const all = await cachedBalances(balances, sql, tenant, account);
      const { unit } = oneUnit(all, query.currency);
      const rows = await accountEntries(
        sql,
        tenant,
        { account, unit },
        { before, limit: limit + 1 },
      );
      const sequence = (row: StoredEntry): string => String(row.sequence);
      return json(
        200,
        page(rows, limit, sequence, (row) => entryOf(row, unit)),
      );
    },
  });
}

type AmountOf = { amount: number; currency: (typeof AmountSchema)['static']['currency'] };

/** Naming a currency that the account does not have shows it as empty; naming none needs exactly
 * one to be there. */
function oneUnit(all: readonly UnitBalance[], wanted: string | undefined): UnitBalance {
  if (wanted !== undefined) {
    const found = all.find(({ unit }) => unit === wanted);
    return found ?? { unit: wanted, balance: 0, sequence: 0 };
  }
  if (all.length === 0) throw problem(404, 'not_found', 'No entry was ever made in this account.');
  if (all.length > 1) {
    const units = all.map(({ unit }) => unit).join(', ');
    throw problem(409, 'several_currencies', `Say which one with ?currency=: ${units}.`);
  }
  return all[0]!;
}

const isSequence = /^[1-9]\d{0,14}$/;

function entryOf(row: StoredEntry, unit: string): Entry {
  const { sequence, transaction_id, event_id, event_type, amount, balance_after, posted_at } = row;
  return {
    sequence,
    transaction_id,
    event_id,
    event_type,
    amount: { amount, currency: unit },
    balance_after: { amount: balance_after, currency: unit },
    posted_at: posted_at.toISOString(),
  };
}
