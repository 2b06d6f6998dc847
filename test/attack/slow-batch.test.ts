// A batch that Postgres cannot write within its statement timeout must not be tried whole for ever:
// games with a thousand partners make few events into very many entries.
import { expect, test } from 'bun:test';
import { Engine } from '../engine.ts';
import { openStack } from '../stack.ts';

const PARTNERS = 1_000;
const GAMES = 200;

const stack = await openStack('slow_batch');
const { id: tenant } = await stack.createTenant('slow_batch');
const engine = await Engine.open(stack, tenant);

async function putPartners(): Promise<void> {
  const keys = Array.from({ length: PARTNERS }, (_, n) => `p_${n}`);
  const terms = { share_bp: 5_000, commission_bp: 1_000, currency: 'USD', status: 'active' };
  const bodies = JSON.stringify(keys.map((name) => ({ name, ...terms })));
  await stack.owner`
    select documents_put(${tenant}, 'partners', ${`{${keys.join(',')}}`}::text::text[],
      ${bodies}::text::jsonb, 'test')`;
}

test('a batch that takes too long is written in parts', async () => {
  await putPartners();
  await engine.append(
    Array.from({ length: GAMES }, (_, n) => ({
      id: `game_${n}`,
      type: 'game.completed',
      data: {
        game_id: `g_${n}`,
        profit: { amount: 1_000, currency: 'USD' },
        completed_at: '2026-01-31T12:00:00Z',
      },
    })),
  );
  await engine.start({ statementTimeoutMs: 300 });
  expect(await engine.settled(30_000)).toMatchObject({ posted: GAMES, dead: 0 });
  await engine.close();
}, 60_000);
