// The terms of coupons as rows of numbers: a million coupons that all differ are columns of a
// million numbers, which the collector never walks, not a million objects. What is no number, and
// is the same for most coupons, is an object that rows share.
// Invariant: equal terms are one row while they are remembered; a row that no code uses is free.
import type { CouponTerms } from '../../schemas/coupons.ts';
import { type CompiledTerms, compileTerms } from './coupon-terms.ts';

const numbers = [
  'version',
  'percentBp',
  'value',
  'maxDiscount',
  'minOrder',
  'startsAt',
  'endsAt',
  'globalLimit',
  'customerLimit',
  'budget',
] as const;
type Numbers = Record<(typeof numbers)[number], number>;
type Rest = Omit<CompiledTerms, keyof Numbers>;

const WIDTH = numbers.length;
/** Rows in one piece: growing by pieces never copies what is there. */
const PIECE_ROWS = 8_192;
/** Codes made in bulk have equal terms, and whole catalogues the same segments or windows. */
const REMEMBERED_MAX = 4_096;

export class CouponRows {
  private readonly pieces: Float64Array[] = [];
  private readonly rest: Rest[] = [];
  /** Codes that use the row. */
  private readonly uses: number[] = [];
  private readonly free: number[] = [];
  private readonly rows = new Map<string, number>();
  private readonly rests = new Map<string, Rest>();

  /** The row of these terms, for one more code. */
  take({ metadata: _unused, ...terms }: CouponTerms, version: number): number {
    const text = `${version} ${JSON.stringify(terms)}`;
    const known = this.rows.get(text);
    if (known !== undefined) {
      this.uses[known]!++;
      return known;
    }
    const row = this.write(compileTerms(terms, version), terms);
    // A remembered row is used by its memory, so that it is not given to other terms.
    if (this.rows.size >= REMEMBERED_MAX) this.forget();
    this.rows.set(text, row);
    this.uses[row] = 2;
    return row;
  }

  /** One code less uses the row. */
  release(row: number): void {
    if (--this.uses[row]! === 0) this.free.push(row);
  }

  versionOf(row: number): number {
    return this.pieces[Math.floor(row / PIECE_ROWS)]![(row % PIECE_ROWS) * WIDTH]!;
  }

  /** Rows that are written: fewer than codes, where codes share them. */
  get size(): number {
    return this.rest.length - this.free.length;
  }

  get(row: number): CompiledTerms {
    const piece = this.pieces[Math.floor(row / PIECE_ROWS)]!;
    const at = (row % PIECE_ROWS) * WIDTH;
    const { kind, disabled, stackable, currency, windows, products, segments } = this.rest[row]!;
    return {
      version: piece[at]!,
      kind,
      disabled,
      stackable,
      currency,
      percentBp: piece[at + 1]!,
      value: piece[at + 2]!,
      maxDiscount: piece[at + 3]!,
      minOrder: piece[at + 4]!,
      startsAt: piece[at + 5]!,
      endsAt: piece[at + 6]!,
      windows,
      globalLimit: piece[at + 7]!,
      customerLimit: piece[at + 8]!,
      budget: piece[at + 9]!,
      products,
      segments,
    };
  }

  private write(terms: CompiledTerms, source: CouponTerms): number {
    const row = this.free.pop() ?? this.rest.length;
    const at = (row % PIECE_ROWS) * WIDTH;
    const piece = (this.pieces[Math.floor(row / PIECE_ROWS)] ??= new Float64Array(
      PIECE_ROWS * WIDTH,
    ));
    for (let index = 0; index < WIDTH; index++) piece[at + index] = terms[numbers[index]!];
    this.rest[row] = this.restOf(terms, source);
    return row;
  }

  private restOf(terms: CompiledTerms, source: CouponTerms): Rest {
    const { kind, disabled, stackable, currency, windows, products, segments } = terms;
    const rest = { kind, disabled, stackable, currency, windows, products, segments };
    const asSaid = [source.windows, source.time_zone, source.products, source.segments];
    const text = JSON.stringify([kind, disabled, stackable, currency, ...asSaid]);
    const known = this.rests.get(text);
    if (known) return known;
    if (this.rests.size >= REMEMBERED_MAX) this.rests.clear();
    this.rests.set(text, rest);
    return rest;
  }

  private forget(): void {
    for (const row of this.rows.values()) this.release(row);
    this.rows.clear();
  }
}
