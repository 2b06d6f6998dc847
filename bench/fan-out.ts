// T7: a game that pays 1,000 active partners, sent with `Prefer: wait=ledger` and answered when all
// 1,003 entries are committed. One game at a time, so the time of an answer is that of a posting.
import type { Sql } from '../src/io/postgres.ts';
import { putDocuments } from '../src/store/documents.ts';
import { doubtsOfBooks } from './lib/committed.ts';
import type { BenchOptions, Comparison } from './lib/rounds.ts';
import { partners } from './lib/samples.ts';
import { type Load, measureHttp, withProduct } from './lib/servers.ts';

const PARTNERS = 1_000;

export function fanOutBench({ seconds }: BenchOptions): Comparison[] {
  const load: Load = {
    name: 'game',
    keys: 1,
    batch: 1,
    connections: 1,
    seconds,
    expectedStatuses: [200],
  };
  return [
    {
      name: 'fan-out',
      goals: [{ row: 'T7', figure: 'p99Ms', below: 50 }],
      unit: 'games/s',
      figure: 'p99Ms',
      subject: () =>
        withProduct(
          {
            worker: true,
            prepare: async ({ sql }, tenant) =>
              void (await putDocuments(sql, tenant, 'partners', partners(PARTNERS), 'bench')),
          },
          async ({ server, stack, watched }) => {
            const measured = await measureHttp(server, load, watched);
            const unpaid = await doubtsOfPayment(stack.owner);
            const books = await doubtsOfBooks(stack);
            return { ...measured, doubts: [...(measured.doubts ?? []), ...unpaid, ...books] };
          },
        ),
    },
  ];
}

/** That every game paid every partner. */
async function doubtsOfPayment(owner: Sql): Promise<string[]> {
  const [row] = await owner`
    select count(*)::int as paid, (select count(*)::int from outcomes) as games
    from balances where account like 'partner:%:available'
      and sequence = (select count(*) from outcomes)`;
  const { paid, games } = row as unknown as { paid: number; games: number };
  return paid === PARTNERS
    ? []
    : [`${paid} of ${PARTNERS} partners were paid for all ${games} games`];
}
