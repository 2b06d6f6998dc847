// Rules of disputes: whatever order the news comes in, the same is known and posted; the gateway's
// last word on amount and fee counts; an answer is handed in once.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { evidenceStatusOf } from '../../consumers/payments-disputes.ts';
import type { Step } from '../domains/payments-ledger.ts';
import { AMOUNT, asked, initiated, news, payment_id, played } from '../domains/payments-steps.ts';

const captured = [initiated(), news('captured', { fee: 100 })];
const said = (kind: string, more: object = {}): Step =>
  news(`dispute_${kind}`, { subject: 'dp_1', ...more });
const evidence = (submission_id: string, dispute_id = 'dp_1'): Step =>
  asked('evidence.submitted', { dispute_id, submission_id, items: [], submitted_at: '' });
const answer = (submission_id: string, outcome: string): Step => ({
  type: 'evidence.reported',
  data: { payment_id, dispute_id: 'dp_1', submission_id, outcome },
});
const reminded = (due_by: string): Step => ({
  type: 'dispute.reminded',
  data: { payment_id, dispute_id: 'dp_1', due_by, actor: 'clock' },
});
const dispute = (...steps: Step[]) => played([...captured, ...steps]).payment!.disputes['dp_1']!;
const books = (...steps: Step[]) => Object.fromEntries(played([...captured, ...steps]).balances);

describe('the books', () => {
  test('of a dispute over a part have that part set aside, the rest is as it was', () => {
    expect(books(said('opened', { amount: 2_000, fee: 1_500 }))).toEqual({
      'gateway:stripe:clearing USD': -AMOUNT + 100 + 2_000 + 1_500,
      'payments:sales USD': AMOUNT,
      'payments:fees USD': -1_600,
      'payments:disputed USD': -2_000,
    });
  });

  test('of one that was lost in part have what was taken, and no more', () => {
    const steps = [said('opened', { amount: 2_000 }), said('lost', { amount: 700 })];
    expect(books(...steps)).toEqual({
      'gateway:stripe:clearing USD': -AMOUNT + 100 + 700,
      'payments:sales USD': AMOUNT,
      'payments:fees USD': -100,
      'payments:chargebacks USD': -700,
    });
  });

  test('of a fee that comes back with the verdict have none; unsaid, it stays', () => {
    const opened = said('opened', { amount: 2_000, fee: 1_500 });
    expect(books(opened, said('won', { fee: 0 }))['payments:fees USD']).toBe(-100);
    const slowly = [said('won', { fee: 1_500 }), said('won', { fee: 0 })];
    expect(books(opened, ...slowly)['payments:fees USD']).toBe(-100);
    expect(books(opened, said('won'))['payments:fees USD']).toBe(-1_600);
  });
});

test('any order and repetition of what was said ends the same', () => {
  const due = (day: number) => ({ due_by: `2026-02-0${day}T00:00:00Z` });
  const story = [
    said('opened', { amount: 2_000, fee: 1_500, ...due(3), dispute_reason: 'fraudulent' }),
    said('opened', { amount: 1_900, ...due(5) }),
    said('won', { amount: 2_000, fee: 1_500 }),
    said('won', { amount: 2_000, fee: 0 }),
    said('lost', { amount: 700, fee: 900 }),
  ];
  const order = fc.subarray(story, { minLength: 1 }).chain((some) =>
    fc.tuple(
      fc.constant(some),
      fc
        .array(fc.constantFrom(...some), { maxLength: 4 })
        .chain((again) =>
          fc.shuffledSubarray([...some, ...again], { minLength: some.length + again.length }),
        ),
    ),
  );
  fc.assert(
    fc.property(order, ([straight, mixed]) => {
      const [a, b] = [played([...captured, ...straight]), played([...captured, ...mixed])];
      expect(b.payment!.disputes).toEqual(a.payment!.disputes);
      expect(b.balances).toEqual(a.balances);
    }),
    { numRuns: 500 },
  );
});

test('a deadline that was put off counts, and the reason is what was said first of it', () => {
  const facts = dispute(
    said('opened', { due_by: '2026-02-03T00:00:00Z', dispute_reason: 'fraudulent' }),
    said('opened', { due_by: '2026-02-09T00:00:00Z' }),
  );
  expect(facts).toMatchObject({ due_by: '2026-02-09T00:00:00Z', reason: 'fraudulent' });
});

describe('an answer', () => {
  const open = said('opened', { amount: 2_000 });

  test('is asked of the gateway of the dispute, under a key of its own', () => {
    const ledger = played([...captured, open, evidence('evd_1')]);
    expect(ledger.calls.at(-1)).toMatchObject({
      key: 'evd_1',
      kind: 'evidence',
      lane: 'gateway:stripe',
      data: { dispute_id: 'dp_1', amount: 2_000 },
    });
    expect(evidenceStatusOf(ledger.payment!.disputes['dp_1']!)).toBe('pending');
  });

  test.each([
    {
      name: 'of a dispute that nobody knows',
      steps: [open],
      id: 'dp_2',
      reason: 'dispute_unknown',
    },
    { name: 'after the verdict', steps: [open, said('lost')], reason: 'wrong_status' },
    {
      name: 'while one is on its way',
      steps: [open, evidence('evd_0')],
      reason: 'already_requested',
    },
    {
      name: 'after one was handed in',
      steps: [open, evidence('evd_0'), answer('evd_0', 'submitted')],
      reason: 'already_requested',
    },
  ])('$name is refused', ({ steps, id = 'dp_1', reason }) => {
    const ledger = played([...captured, ...steps]);
    expect(ledger.play(evidence('evd_1', id))).toMatchObject({ verdict: 'refuse', reason });
  });

  test('that the gateway refused may be followed by another', () => {
    const ledger = played([...captured, open, evidence('evd_0'), answer('evd_0', 'refused')]);
    expect(evidenceStatusOf(ledger.payment!.disputes['dp_1']!)).toBe('refused');
    expect(ledger.play(evidence('evd_1')).verdict).toBe('post');
  });

  test('nobody gave changes nothing', () => {
    const ledger = played([...captured, open]);
    const before = structuredClone(ledger.payment);
    expect(ledger.play(answer('evd_9', 'submitted'))).toMatchObject({ verdict: 'post', legs: [] });
    expect(ledger.payment).toEqual(before);
  });
});

test('a deadline is reminded of once, and not where the end is known', () => {
  const due = '2026-02-03T00:00:00Z';
  const open = said('opened', { due_by: due });
  expect(dispute(open, reminded(due)).reminded_of).toBe(due);
  const rows = (...steps: Step[]) =>
    played([...captured, ...steps]).rows.filter(({ table }) => table === 'disputes').length;
  expect(rows(open, reminded(due), reminded(due))).toBe(2);
  expect(rows(open, said('won'), reminded(due))).toBe(2);
  const told = (...steps: Step[]) =>
    played([...captured, ...steps]).rows.filter(
      ({ table, values }) => table === 'notices' && values['type'] === 'dispute.due_soon',
    ).length;
  expect(told(open, reminded(due), reminded(due))).toBe(1);
  expect(told(open, evidence('evd_1'), reminded(due))).toBe(0);
  const later = '2026-02-09T00:00:00Z';
  expect(told(open, reminded(due), said('opened', { due_by: later }), reminded(later))).toBe(2);
});
