// Stripe's search of PaymentIntents, by metadata and status: `metadata['key']:'value' AND
// status:'succeeded'`. As with the real one, what was made just now may not be found yet.
import type { StripeCall } from './call.ts';
import { invalid } from './errors.ts';
import { type Shape, intentShape } from './shapes.ts';

const clause = /^(?:metadata\[['"]([^'"]+)['"]\]|(status|currency)):\s*['"]([^'"]*)['"]$/;

export function searched(call: StripeCall): Shape {
  call.knows('query', 'limit', 'page');
  const clauses = call
    .required(call.text('query'), 'query')
    .split(/\s+AND\s+/i)
    .map((part) => {
      const found = clause.exec(part.trim());
      if (!found) throw invalid('We were unable to parse your search query.', { param: 'query' });
      return {
        label: found[1],
        field: found[2] as 'status' | 'currency' | undefined,
        is: found[3]!,
      };
    });
  const first = clauses.find(({ label }) => label !== undefined);
  if (!first) throw invalid('A search of this sandbox names metadata.', { param: 'query' });
  const upTo = call.parts.now() - call.parts.searchLagMs();
  const found = call.store
    .labelled('stripe', first.label!, first.is)
    .flatMap((id) => call.store.get('intent', id) ?? [])
    .filter((intent) => intent.createdMs <= upTo)
    .filter((intent) =>
      clauses.every(({ label, field, is }) =>
        label !== undefined
          ? intent.metadata[label] === is
          : intent[field!].toLowerCase() === is.toLowerCase(),
      ),
    )
    .sort((a, b) => b.createdMs - a.createdMs);
  return {
    object: 'search_result',
    data: found.slice(0, call.limit()).map((intent) => intentShape(intent, call.store)),
    has_more: false,
    next_page: null,
    url: call.request.path,
  };
}
