// The tables of docs/payments.md are those that the rules go by.
import { expect, test } from 'bun:test';
import { commandTable, newsTable } from '../../consumers/payments-states.ts';
import type { NewsKind } from '../../schemas/payments-events.ts';
import { paymentStatuses } from '../../schemas/payments.ts';

const page = await Bun.file(new URL('../../docs/payments.md', import.meta.url)).text();
const cellsOf = (line: string): string[] => line.split('|').map((cell) => cell.trim());

test('what news does in each state is as it is written', () => {
  const [head] = page.match(/^\| State .*$/m)!;
  const kinds = cellsOf(head).slice(2, -2) as NewsKind[];
  for (const status of paymentStatuses) {
    const [row] = page.match(new RegExp(`^\\| ${status} .*$`, 'm'))!;
    const written = cellsOf(row).slice(2, -1);
    const { refund_succeeded: after } = newsTable[status];
    expect([status, ...written]).toEqual([
      ...[status, ...kinds.map((kind) => newsTable[status][kind])],
      after,
    ]);
  }
});

test('what may be asked, and when, is as it is written', () => {
  const written = (path: string): string =>
    cellsOf(page.match(new RegExp(`^\\|.*${path}.*$`, 'm'))![0])[2]!;
  expect(written('/capture`').split(', ')).toEqual([...commandTable.capture]);
  expect(written('/cancel`').split(', ')).toEqual([...commandTable.cancel]);
  expect(written('/refunds`').split(', ')).toEqual([...commandTable.refund]);
  expect(written('/approve`').split(', ')).toEqual([...commandTable.approve]);
});
