// The Postgres client when connections are reset in the middle of anything: every query settles,
// and the pool serves again at once. Out of the box postgres 3.4.9 fails this, hence the patch in
// patches/: a connection that was closed with bytes not yet sent could never send again.
import { afterAll, expect, test } from 'bun:test';
import { connectPostgres } from '../../src/io/postgres.ts';
import { openStack } from '../stack.ts';
import { Dice } from './dice.ts';
import { Proxy } from './proxy.ts';

const CONNECTIONS = 4;
const ROUNDS = 8;
const SETTLED_WITHIN_MS = 20_000;

const stack = await openStack('postgres_client');
const { hostname: host, port } = new URL(stack.databaseUrl);
const dice = new Dice(4);
const proxy = await Proxy.open({ host, port: Number(port) }, dice);
const sql = connectPostgres(proxy.inFrontOf(stack.databaseUrl), {
  max: CONNECTIONS,
  name: 'reset',
});
afterAll(async () => {
  await sql.end({ timeout: 1 });
  proxy.close();
});

const ask = (n: number) => sql`select ${n}::int as n`.then(([row]) => row!['n'] as number);

test('queries settle and the pool recovers, whenever connections are cut', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const asked = Array.from({ length: dice.between(1, 24) }, async (_, n) => {
      await Bun.sleep(dice.between(0, 8));
      return ask(n);
    });
    const settled = Promise.allSettled(asked).then(() => true);
    const refused = dice.chance(0.3) ? proxy.refuse() : null;
    await Bun.sleep(dice.between(0, 8));
    proxy.cut();
    refused?.();
    expect(await Promise.race([settled, Bun.sleep(SETTLED_WITHIN_MS).then(() => false)])).toBe(
      true,
    );
    const after = await Promise.allSettled(
      Array.from({ length: CONNECTIONS * 3 }, (_, n) => ask(n)),
    );
    const reasons = after.flatMap((each) =>
      each.status === 'rejected' ? [String((each.reason as { code?: string }).code)] : [],
    );
    // One more question may find a connection that has just been reset; none may time out.
    expect(reasons).not.toContain('CONNECT_TIMEOUT');
  }
}, 120_000);
