// Bulk work through the real command: import, export, generate.
import { expect, setDefaultTimeout, test } from 'bun:test';
import { join } from 'node:path';
import { openStack } from '../stack.ts';

// Other tests may have the machine at the same time.
setDefaultTimeout(60_000);
const stack = await openStack('coupon-bulk');
await stack.createTenant('shop');
const at = (file: string) => join(stack.home, file);
const coupons = (...args: string[]) => stack.run('coupons', ...args, '--tenant', 'shop');
const count = async (): Promise<number> => {
  const [row] = await stack.owner<{ count: number }[]>`
    select count(*)::int from documents where kind = 'coupons'`;
  return row!.count;
};

const good = `code,kind,percent_bp,value,currency,limit_global,metadata
SPRING,percent,1000,,,100,"{""note"":""a, b""}"
GIFT,gift_balance,,5000,USD,,
SHIP,free_shipping,,,,,
`;

test('an import creates, changes and leaves alone, and says how many of each', async () => {
  await Bun.write(at('good.csv'), good);
  const first = await coupons('import', at('good.csv'), '--json');
  expect(first).toMatchObject({ exitCode: 0 });
  expect(JSON.parse(first.stdout)).toEqual({ created: 3, changed: 0, unchanged: 0 });
  await Bun.write(at('good.csv'), good.replace('1000', '2000'));
  const second = await coupons('import', at('good.csv'), '--json');
  expect(JSON.parse(second.stdout)).toEqual({ created: 0, changed: 1, unchanged: 2 });
});

test('a file with a wrong row imports nothing, and names line and column', async () => {
  const before = await count();
  const renamed = good.replaceAll(/^(\w+),/gm, 'N$1,').replace('Ncode', 'code');
  await Bun.write(at('bad.csv'), `${renamed}NEW,fixed,,,,,\nSHIP,odd,,,,,\n`);
  const { exitCode, stderr } = await coupons('import', at('bad.csv'));
  expect(exitCode).toBe(1);
  expect(stderr).toContain('line 5: value: a fixed coupon needs a value');
  expect(stderr).toContain('line 6: kind');
  expect(await count()).toBe(before);
});

test('an unknown column, file or tenant is wrong usage', async () => {
  await Bun.write(at('odd.csv'), 'code,sort\nA,b\n');
  for (const args of [[at('odd.csv')], [at('nothing.csv')]])
    expect((await coupons('import', ...args)).exitCode).toBe(2);
  expect((await stack.run('coupons', 'export', '--tenant', 'nobody')).exitCode).toBe(2);
});

test('what is exported imports as it was', async () => {
  expect((await coupons('export', at('all.csv'))).exitCode).toBe(0);
  const again = await coupons('import', at('all.csv'), '--json');
  expect(JSON.parse(again.stdout)).toEqual({ created: 0, changed: 0, unchanged: 3 });
});

test('codes are made in bulk, like a coupon, and existing ones are not touched', async () => {
  const before = await count();
  const made = await coupons(
    ...['generate', '--pattern', 'BULK-####', '--count', '20000', '--like', 'SPRING'],
    ...['--out', at('codes.txt'), '--json'],
  );
  expect(made).toMatchObject({ exitCode: 0 });
  expect(await count()).toBe(before + 20_000);
  const codes = (await Bun.file(at('codes.txt')).text()).trim().split('\n');
  expect(new Set(codes).size).toBe(20_000);
  const [row] = await stack.owner<{ bodies: number; latest: number }[]>`
    select count(distinct body)::int as bodies, max(version)::int as latest
    from documents where kind = 'coupons' and key like 'BULK-%'`;
  expect(row).toEqual({ bodies: 1, latest: 1 });
  // Nearly all of this room is taken now: what is free is found, what is taken is left.
  const few = [
    'generate',
    '--pattern',
    'S-#',
    '--count',
    '3',
    '--terms',
    '{"kind":"free_shipping"}',
  ];
  for (let round = 0; round < 4; round++) expect((await coupons(...few)).exitCode).toBe(0);
  expect(await count()).toBe(before + 20_012);
});
