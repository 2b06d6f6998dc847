// What a payment's buyer was promised: the redemption must be of this customer and order, and still
// be held, when the payment is initiated and when somebody lets it go on.
// Invariant: nobody pays less by what was promised to somebody else, or is promised no more.
import type { RedemptionBook } from '../cache/redemption-book.ts';
import { problem } from '../http/problem.ts';

interface Promised {
  redemption_id?: string | null;
  customer_id: string;
  order_id?: string | null;
}

export async function refuseUnheld(
  book: RedemptionBook,
  tenant: number,
  { redemption_id: id, customer_id: customer, order_id: order }: Promised,
): Promise<void> {
  if (!id) return;
  const found = await book.get(tenant, id);
  if (!found) throw problem(409, 'redemption_unknown', 'No redemption has this `redemption_id`.');
  const { record } = found;
  if (record.customer !== customer || (order && record.order !== order))
    throw problem(409, 'reserved_elsewhere', 'It was reserved for another customer or order.');
  if (found.status === 'released')
    throw problem(409, 'already_released', 'The redemption is not held any more: reserve anew.');
  if (!book.stillHolds(found))
    throw problem(409, 'expired', 'The reservation has run out: reserve anew.');
}
