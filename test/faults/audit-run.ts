// Judges a run when all is healed and settled: what clients were told against what the ledger has,
// and the ledger against two auditors that share no code with it. Gives what is wrong, in words.
import type { Sql } from '../../src/io/postgres.ts';
import { type AcceptedEvent, type AuditedPartner, audit } from '../auditor.ts';
import { expectBooksInOrder, expectLedgerEquals, expectVerdictsEqual } from '../ledger-proof.ts';
import { type CouponAudit, auditCoupons } from './coupon-auditor.ts';
import { coupons } from './coupon-client.ts';
import type { History } from './history.ts';
import { type Recorded, recorded } from './ledger-rows.ts';

const PROBLEMS_MAX = 20;

export async function auditRun(
  owner: Sql,
  history: History,
  partners: readonly AuditedPartner[],
): Promise<string[]> {
  const ledger = await recorded(owner, history.submitted);
  const couponAudit = auditCoupons(ledger.redemptions, coupons);
  const lists = [
    ledger.problems,
    couponAudit.problems,
    unsettled(history, ledger),
    falseVerdicts(history, ledger),
    await deadLetters(owner, history),
    await reads(owner, history, ledger),
    orders(history, couponAudit),
    await books(owner, ledger, partners, history.losses.length > 0),
    await couponAccounts(owner, couponAudit),
  ];
  return lists.flatMap((list) => list.slice(0, PROBLEMS_MAX));
}

/** Acknowledged and not there. */
function unsettled(history: History, { verdicts }: Recorded): string[] {
  return history.acknowledged
    .filter((each) => !verdicts.has(each.event.id) && !history.mayBeLost(each))
    .map(({ event, position }) => `${event.id} was acknowledged at ${position} and is missing`);
}

function falseVerdicts(history: History, { verdicts }: Recorded): string[] {
  return history.verdicts
    .filter(({ id, verdict }) => verdict !== 'unknown' && verdicts.get(id) !== verdict)
    .map(({ id, verdict }) => `wait=ledger said ${verdict} of ${id}, it is ${verdicts.get(id)}`);
}

async function deadLetters(owner: Sql, history: History): Promise<string[]> {
  const rows = await owner<{ event_id: string; reason: string; detail: string; dead: boolean }[]>`
    select event_id, reason, detail, status = 'dead' as dead from dead_letters`;
  const dead = new Set(rows.filter((row) => row.dead).map((row) => row.event_id));
  const honest = rows
    .filter((row) => !history.poison.has(row.event_id) && row.reason !== 'undecodable')
    .map((row) => `${row.event_id} is a dead letter: ${row.reason} ${row.detail}`);
  const gone = history.poisonAcknowledged
    .filter((each) => !dead.has(each.id) && !history.mayBeLost(each))
    .map(({ id }) => `${id} was on a stream and is no dead letter`);
  return [...honest, ...gone];
}

/** Every balance that was shown was the balance once, and as late as it had to be. */
async function reads(owner: Sql, history: History, { keys }: Recorded): Promise<string[]> {
  // What is lost at the end of a stream is settled as lost; sent again, it comes later.
  const lost = new Set(
    history.acknowledged.filter((each) => history.mayBeLost(each)).map(({ event }) => event.id),
  );
  const rows = await owner<EntryRow[]>`
    select b.account || ' ' || b.unit as name, e.sequence::int, e.balance_after::float8 as balance,
           e.event_key from entries e join balances b using (account_key)`;
  const shown = new Map(rows.map((row) => [`${row.name} ${row.sequence}`, row.balance]));
  const made = new Map(rows.map((row) => [`${row.name} ${row.event_key}`, row.sequence]));
  return history.reads.flatMap((read) => {
    const { account, unit, amount, sequence, after } = read;
    const name = `${account} ${unit}`;
    const was = sequence === 0 ? 0 : shown.get(`${name} ${sequence}`);
    if (was !== amount) return [`${name} was shown as ${amount} at ${sequence}, it was ${was}`];
    const least = after === null ? undefined : made.get(`${name} ${keys.get(after)}`);
    if (least === undefined || sequence >= least || history.mayBeLost(read) || lost.has(after!))
      return [];
    return [`${name} at ${sequence} did not show ${after}, which is entry ${least}`];
  });
}

interface EntryRow {
  name: string;
  sequence: number;
  balance: number;
  event_key: string;
}

/** What orders were told, and that nothing happened which nobody asked for. */
function orders(history: History, { redemptions }: CouponAudit): string[] {
  const problems: string[] = [];
  const byId = new Map(history.orders.map((order) => [order.id, order]));
  for (const order of history.orders)
    for (const told of order.told) {
      const { id, status } = told;
      const state = redemptions.get(id);
      if (history.mayBeLost(told)) continue;
      if (!state) problems.push(`${id} was given to ${order.id} and is not in the ledger`);
      else if (status === 'committed' && !state.wasCommitted)
        problems.push(`${id} was told to be committed and never was`);
      else if (status === 'released' && state.status !== 'released')
        problems.push(`${id} was told to be released and is ${state.status}`);
    }
  for (const [id, { event, wasCommitted, releasedFor }] of redemptions) {
    const order = byId.get(event.order);
    if (!order || order.customer !== event.customer) problems.push(`${id}: nobody's order`);
    else if (wasCommitted && !order.tried.has('commit')) problems.push(`${id}: commit unasked`);
    else if (releasedFor === 'released' && !order.tried.has('release'))
      problems.push(`${id}: release unasked`);
  }
  return problems;
}

/** Where offsets were given out again, the order of events is not that of their positions. */
async function books(
  owner: Sql,
  { events, verdicts }: Recorded,
  partners: readonly AuditedPartner[],
  isRenumbered: boolean,
): Promise<string[]> {
  const judged = isRenumbered
    ? inPayableOrder(events.filter(({ id }) => verdicts.get(id) === 'posted'))
    : events;
  const audited = audit(judged, partners);
  return [
    ...(await failing(() => expectBooksInOrder(owner))),
    // Redemptions have accounts and an auditor of their own.
    ...(await failing(() => expectLedgerEquals(owner, audited, '%', 'coupon:%'))),
    ...(await failing(() => expectVerdictsEqual(owner, audited))),
  ];
}

/** What was posted can all be posted in this order: what is paid in goes first. */
function inPayableOrder(events: readonly AcceptedEvent[]): AcceptedEvent[] {
  const paid = ({ data }: AcceptedEvent): number =>
    (data['amount'] as { amount: number } | undefined)?.amount ?? 0;
  return events
    .toSorted((a, b) => paid(b) - paid(a))
    .map((event, place) => ({ ...event, position: `events.0.${place + 1}` }));
}

async function couponAccounts(owner: Sql, { uses, budgets }: CouponAudit): Promise<string[]> {
  const rows = await owner<{ account: string; balance: number }[]>`
    select account, balance::float8 from balances
    where account like 'coupon:%:uses' or account like 'coupon:%:budget'`;
  return rows.flatMap(({ account, balance }) => {
    const [, code, what] = account.split(':') as [string, string, string];
    const counted = (what === 'uses' ? uses : budgets).get(code) ?? 0;
    return counted === balance ? [] : [`${account} is ${balance}, counted ${counted}`];
  });
}

async function failing(check: () => Promise<void>): Promise<string[]> {
  try {
    await check();
    return [];
  } catch (error) {
    return [String(error).slice(0, 1_500)];
  }
}
