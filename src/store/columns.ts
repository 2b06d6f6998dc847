// Postgres array literals, built column by column. One text parameter a column keeps the statement
// constant, needs no type lookup, and has no limit on the number of rows.

export class NumberColumn {
  private text = '';

  push(value: number | string | null): void {
    const part = value === null ? 'NULL' : String(value);
    this.text = this.text === '' ? part : `${this.text},${part}`;
  }

  literal(): string {
    return `{${this.text}}`;
  }
}

/** Texts are quoted only where a quote is needed; NULL is not one of them, '' is. */
export class TextColumn {
  private text = '';

  push(value: string): void {
    const part = PLAIN.test(value) ? value : quote(value);
    this.text = this.text === '' ? part : `${this.text},${part}`;
  }

  literal(): string {
    return `{${this.text}}`;
  }
}

/**
 * All values in one bytea, in Postgres' hex form, with where each starts (from 1) and its length:
 * an array of bytea costs the server a quoted literal for each.
 */
export function bytesColumn(values: readonly Buffer[]): [string, string, string] {
  const start: number[] = [];
  const length: number[] = [];
  let next = 1;
  for (const value of values) {
    start.push(next);
    length.push(value.length);
    next += value.length;
  }
  const bytes = `\\x${Buffer.concat(values).toString('hex')}`;
  return [bytes, numberArray(start), numberArray(length)];
}

/** Array literal of texts. */
export function textArray(values: readonly string[]): string {
  const column = new TextColumn();
  for (const value of values) column.push(value);
  return column.literal();
}

export function numberArray(values: readonly (number | string)[] | Float64Array): string {
  return `{${values.join(',')}}`;
}

// A bare word that reads NULL would become one, so anything that starts with N is quoted.
const PLAIN = /^[A-MO-Za-mo-z0-9_.:@/-][A-Za-z0-9_.:@/-]*$/;

function quote(value: string): string {
  return `"${value.replace(/["\\]/g, '\\$&')}"`;
}
