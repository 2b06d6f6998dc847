// The limit of T1: a typed Elysia POST that looks a code up in a Map. Prints its port; no key, no
// limiter, no metrics, no record of the check.
import { Elysia, t } from 'elysia';
import { couponCode } from '../lib/workloads.ts';

const codes = new Map<string, number>();
for (let n = 0; n < Number(process.argv[2]); n++) codes.set(couponCode(n), 1000);

const order = t.Object({ total: t.Object({ amount: t.Integer(), currency: t.String() }) });

const app = new Elysia()
  .post(
    '/v1/coupons/validate',
    ({ body }) => {
      const percentBp = codes.get(body.code);
      if (percentBp === undefined) return { valid: false, code: body.code, reason: 'not_found' };
      const { amount, currency } = body.order.total;
      const discount = Math.floor((amount * percentBp) / 10_000);
      return {
        valid: true,
        code: body.code,
        discount: { amount: discount, currency },
        total_after: { amount: amount - discount, currency },
      };
    },
    { body: t.Object({ code: t.String(), order }) },
  )
  .listen({ port: 0, hostname: '127.0.0.1' });

console.log(app.server!.port);
