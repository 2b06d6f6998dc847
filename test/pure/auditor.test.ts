// The auditor itself, by hand-made examples: it must find what is wrong, not only agree.
import { describe, expect, test } from 'bun:test';
import { type AcceptedEvent, audit, earningOf } from '../auditor.ts';

const partner = {
  id: 'p',
  share_bp: 5_000,
  commission_bp: 1_000,
  currency: 'USD',
  status: 'active',
};

function earning(id: string, offset: number, amount: number): AcceptedEvent {
  const data = { user_id: 'u', amount: { amount, currency: 'USD' } };
  return { id, type: 'earning.credited', position: `events.1.${offset}`, data };
}

describe('the auditor', () => {
  test('goes by position, not by the order of answers', () => {
    const events = [earning('b', 2, -5), earning('a', 1, 5), earning('c', 10, -1)];
    const { balances, verdicts } = audit(events, []);
    expect(Object.fromEntries(verdicts)).toEqual({
      a: 'posted',
      b: 'posted',
      c: 'refused insufficient_balance',
    });
    expect(balances.size).toBe(0);
  });

  test('counts an id once, the first body that came', () => {
    const events = [earning('a', 1, 5), earning('a', 2, 7), earning('a', 1, 5)];
    const { balances } = audit(events, []);
    expect(balances.get('user:u:earnings USD')).toBe(5n);
    expect(balances.get('platform:earnings USD')).toBe(-5n);
  });

  test.each([
    [1_000, 50n],
    [-1_000, 0n],
    [19, 0n],
    [20, 1n],
    [30, 2n],
    [50, 2n],
    [70, 4n],
  ])('a profit of %p earns half of a tenth, halves to the even: %p', (profit, earned) => {
    expect(earningOf(partner, profit, 'USD')).toBe(earned);
  });

  test.each(['inactive', 'pending'])('who is %s earns nothing', (status) => {
    expect(earningOf({ ...partner, status }, 1_000, 'USD')).toBe(0n);
  });

  test('a game pays once, under whatever event id', () => {
    const game = (id: string, offset: number): AcceptedEvent => ({
      id,
      type: 'game.completed',
      position: `events.2.${offset}`,
      data: { game_id: 'g', profit: { amount: 1_000, currency: 'USD' } },
    });
    const { balances, verdicts } = audit([game('one', 1), game('two', 2)], [partner]);
    expect(balances.get('partner:p:available USD')).toBe(50n);
    expect(verdicts.get('two')).toBe('refused already_completed');
  });
});
