// Coupons as rows of CSV: one flat column for each term, so that a spreadsheet can edit them.
// Invariant: what is exported imports to the same terms. Lists are separated by spaces, windows and
// metadata are JSON, amounts are minor units of the row's `currency`. No cell is a formula to a
// spreadsheet: what would be one has an apostrophe before it, which is taken off again here.
import { Value } from '@sinclair/typebox/value';
import { CouponCode, CouponTerms, type CouponTerms as Terms } from '../../schemas/coupons.ts';
import type { Money } from '../../schemas/primitives.ts';
import { type TermError, termErrors } from '../cache/coupon-terms.ts';

export const columns = [
  'code',
  'kind',
  'percent_bp',
  'value',
  'max_discount',
  'min_order',
  'currency',
  'starts_at',
  'ends_at',
  'windows',
  'time_zone',
  'limit_global',
  'limit_per_customer',
  'limit_budget',
  'products',
  'segments',
  'stackable',
  'status',
  'metadata',
] as const;
type Column = (typeof columns)[number];
export type CsvRow = Partial<Record<Column, string>>;

export function rowOf(code: string, terms: Terms): Record<Column, string> {
  const { value, max_discount, min_order, limits } = terms;
  const money = [value, max_discount, min_order, limits?.budget].find((part) => part !== undefined);
  return mapped(
    {
      code,
      kind: terms.kind,
      percent_bp: text(terms.percent_bp),
      value: text(value?.amount),
      max_discount: text(max_discount?.amount),
      min_order: text(min_order?.amount),
      currency: money?.currency ?? '',
      starts_at: terms.starts_at ?? '',
      ends_at: terms.ends_at ?? '',
      windows: json(terms.windows),
      time_zone: terms.time_zone ?? '',
      limit_global: text(limits?.global),
      limit_per_customer: text(limits?.per_customer),
      limit_budget: text(limits?.budget?.amount),
      products: terms.products?.join(' ') ?? '',
      segments: terms.segments?.join(' ') ?? '',
      stackable: text(terms.stackable),
      status: terms.status ?? '',
      metadata: json(terms.metadata),
    },
    harmless,
  );
}

/** What spreadsheets calculate, and what would be taken for its harmless form. */
const formula = /^'*[=+\-@\t\r]/;

function harmless(cell: string): string {
  return formula.test(cell) ? `'${cell}` : cell;
}

function original(cell: string): string {
  return cell.startsWith("'") && formula.test(cell) ? cell.slice(1) : cell;
}

function mapped<Row extends CsvRow>(row: Row, change: (cell: string) => string): Row {
  const cells = Object.entries(row).map(([column, cell]) => [column, change(cell)]);
  return Object.fromEntries(cells) as Row;
}

export type Parsed = { code: string; terms: Terms } | { errors: string[] };

export function parseRow(given: CsvRow): Parsed {
  const row = mapped(given, original);
  const { code = '' } = row;
  if (!Value.Check(CouponCode, code)) return { errors: ['code: not a code'] };
  let terms: unknown;
  try {
    terms = termsOf(row);
  } catch {
    return { errors: ['windows or metadata: not JSON'] };
  }
  const errors = errorsIn(terms).map(({ pointer, detail }) => `${columnOf(pointer)}: ${detail}`);
  return errors.length > 0 ? { errors } : { code, terms: terms as Terms };
}

/** Shape first: meaning can only be judged of terms that have it. */
export function errorsIn(terms: unknown): TermError[] {
  const shape = [...Value.Errors(CouponTerms, terms)];
  if (shape.length > 0)
    return shape.map(({ path, message }) => ({ pointer: path, detail: message }));
  return termErrors(terms as Terms);
}

function termsOf(row: CsvRow): unknown {
  const money = (column: Column): Money | undefined =>
    row[column] ? { amount: number(row[column])!, currency: row.currency ?? '' } : undefined;
  const limits = present({
    global: number(row.limit_global),
    per_customer: number(row.limit_per_customer),
    budget: money('limit_budget'),
  });
  return present({
    kind: row.kind,
    percent_bp: number(row.percent_bp),
    value: money('value'),
    max_discount: money('max_discount'),
    min_order: money('min_order'),
    starts_at: row.starts_at,
    ends_at: row.ends_at,
    windows: row.windows ? JSON.parse(row.windows) : undefined,
    time_zone: row.time_zone,
    limits: Object.keys(limits).length > 0 ? limits : undefined,
    products: list(row.products),
    segments: list(row.segments),
    stackable: flag(row.stackable),
    status: row.status,
    metadata: row.metadata ? JSON.parse(row.metadata) : undefined,
  });
}

/** Without what is empty: an empty cell is a term that is not there. */
function present(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined && value !== ''),
  );
}

function number(cell: string | undefined): number | undefined {
  return cell ? Number(cell) : undefined;
}

function list(cell: string | undefined): string[] | undefined {
  return cell ? cell.split(/\s+/).filter((part) => part !== '') : undefined;
}

/** What is neither stays as it is, for the schema to refuse. */
function flag(cell: string | undefined): unknown {
  return cell === 'true' ? true : cell === 'false' ? false : cell;
}

function text(value: number | boolean | undefined): string {
  return value === undefined ? '' : String(value);
}

function json(value: unknown): string {
  return value === undefined ? '' : JSON.stringify(value);
}

/** `/limits/budget/currency` is about the column limit_budget. */
function columnOf(pointer: string): string {
  const [, first = '', second] = pointer.split('/');
  return first === 'limits' && second ? `limit_${second}` : first;
}
