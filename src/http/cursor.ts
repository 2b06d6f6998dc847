// Cursor pages: `?limit=1..200&cursor=…` → `{"data": […], "next_cursor": "…"|null}`.
// Invariant: a cursor is opaque; one that we did not make is refused, not guessed at.
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { closed, nullable } from '../../schemas/primitives.ts';
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

/**
 * What to ask the store for: one more than the page, which tells whether there is a next one.
 * `isPlace` says whether a text can be where a page of this list ended; what the store would cast
 * to another type must be told apart here.
 */
export function readPage(
  query: Static<typeof Query>,
  isPlace: (after: string) => boolean = () => true,
): { limit: number; after: string | null } {
  const { limit = LIMIT_DEFAULT, cursor } = query;
  return { limit, after: cursor === undefined ? null : decoded(cursor, isPlace) };
}

/** Of a list by time: `<time>/<id>`, the id as the schema has it. */
export function isTimeAnd({ pattern }: { pattern?: string }): (after: string) => boolean {
  const id = new RegExp(pattern!);
  return (after) => {
    const [time = '', ...rest] = after.split('/');
    return isTime(time) && id.test(rest.join('/'));
  };
}

/** As `toISOString` writes it, of years that every store knows. */
function isTime(text: string): boolean {
  const date = new Date(text);
  return /^[12]\d{3}-/.test(text) && !Number.isNaN(date.getTime()) && date.toISOString() === text;
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

function decoded(cursor: string, isPlace: (after: string) => boolean): string {
  const text = Buffer.from(cursor, 'base64url').toString('utf8');
  const after = text.slice(2);
  if (!form.test(text) || Buffer.from(text).toString('base64url') !== cursor || !isPlace(after))
    throw problem(400, 'malformed_request', 'The cursor is not one that we gave.');
  return after;
}
