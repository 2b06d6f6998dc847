// Text that JSON can say and Postgres cannot keep is refused as a wrong shape; all other text stays
// as it was sent.
import { expect, test } from 'bun:test';
import { Client } from '../client.ts';
import { openStack } from '../stack.ts';

const stack = await openStack('text', async ({ createTenant, startIngress }) => {
  const { key } = await createTenant('text');
  return { client: new Client((await startIngress()).url, key) };
});
const { client } = stack;

const terms = { share_bp: 1, commission_bp: 1, currency: 'USD', status: 'active' };
const percent = { kind: 'percent', percent_bp: 100 };

for (const [what, text] of [
  ['NUL', 'a\u0000b'],
  ['half a pair at the end', 'a\ud83d'],
  ['a pair the wrong way round', '\ude00\ud83d'],
] as const)
  test(`${what} is refused where it stands`, async () => {
    const partner = await client.put('/v1/partners/p_1', { ...terms, name: text });
    expect([partner.status, partner.body['errors']]).toMatchObject([422, [{ pointer: '/name' }]]);
    const coupon = await client.put('/v1/coupons/C1', { ...percent, metadata: { a: text } });
    expect([coupon.status, coupon.body['errors']]).toMatchObject([
      422,
      [{ pointer: '/metadata/a' }],
    ]);
  });

test('text of any other kind comes back as it was sent', async () => {
  const name = 'Zoë "\\" \u0001\t 😀 NULL {,} ﷽';
  expect((await client.put('/v1/partners/p_2', { ...terms, name })).status).toBe(201);
  expect((await client.get('/v1/partners/p_2')).body['name']).toBe(name);
  expect((await client.put('/v1/coupons/C2', { ...percent, metadata: { a: name } })).status).toBe(
    201,
  );
  expect((await client.get('/v1/coupons/C2')).body['metadata']).toEqual({ a: name });
});
