// Cursor pages: `?limit=1..200&cursor=…` → `{"data": […], "next_cursor": "…"|null}`.
// Invariant: a cursor is opaque; one that we did not make is refused, not guessed at.
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { Time, closed, nullable } from '../../schemas/primitives.ts';
import { problem } from './problem.ts';

export const LIMIT_DEFAULT = 50;
export const LIMIT_MAX = 200;

/** Properties for the `query` of a list route. */
export const pageQuery = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: LIMIT_MAX, default: LIMIT_DEFAULT })),
  cursor: Type.Optional(
    Type.String({
      maxLength: 500,
      pattern: '^[A-Za-z0-9_-]+$',
      description: '`next_cursor` of the page before.',
    }),
  ),
};

export function pageOf<S extends TSchema>(item: S) {
  return closed({ data: Type.Array(item), next_cursor: nullable(Type.String()) });
}

const Query = closed(pageQuery);

/** What to ask the store for: one more than the page, which tells whether there is a next one. */
export function readPage(query: Static<typeof Query>): { limit: number; after: string | null } {
  const { limit = LIMIT_DEFAULT, cursor } = query;
  return { limit, after: cursor === undefined ? null : decoded(cursor) };
}

const time = new RegExp(Time.pattern!);

/** As `readPage`, of a list by time whose pages end at `<time>/<id>`: another list's cursor, or one
 * that was made up, is refused before the store has to make sense of it. */
export function readTimedPage(query: Static<typeof Query>, id: { pattern?: string }) {
  const { limit, after } = readPage(query);
  const slash = after?.indexOf('/') ?? -1;
  if (after !== null) {
    const fits =
      time.test(after.slice(0, slash)) && new RegExp(id.pattern!).test(after.slice(slash + 1));
    if (slash < 0 || !fits) throw notOurs();
  }
  return { limit, after };
}

/** The page from `limit + 1` rows; `positionOf` names where the next page begins. */
export function page<Row, Item>(
  rows: readonly Row[],
  limit: number,
  positionOf: (row: Row) => string,
  itemOf: (row: Row) => Item,
): { data: Item[]; next_cursor: string | null } {
  const shown = rows.slice(0, limit);
  const more = rows.length > limit;
  return {
    data: shown.map(itemOf),
    next_cursor: more ? Buffer.from(`1:${positionOf(shown.at(-1)!)}`).toString('base64url') : null,
  };
}

/** Where a page ends is a sequence, a code or an id: visible ASCII, which the store can compare. */
const form = /^1:[\x21-\x7e]{1,300}$/;

function decoded(cursor: string): string {
  const text = Buffer.from(cursor, 'base64url').toString('utf8');
  if (!form.test(text) || Buffer.from(text).toString('base64url') !== cursor) throw notOurs();
  return text.slice(2);
}

function notOurs() {
  return problem(400, 'malformed_request', 'The cursor is not one that we gave.');
}
