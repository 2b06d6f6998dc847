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

/** Bytes in Postgres' hex form. */
export class BytesColumn {
  private text = '';

  push(value: Buffer): void {
    const part = `"\\\\x${value.toString('hex')}"`;
    this.text = this.text === '' ? part : `${this.text},${part}`;
  }

  literal(): string {
    return `{${this.text}}`;
  }
}

/** Array literal of texts. */
export function textArray(values: readonly string[]): string {
  const column = new TextColumn();
  for (const value of values) column.push(value);
  return column.literal();
}

export function numberArray(values: readonly (number | string)[]): string {
  return `{${values.join(',')}}`;
}

// A bare word that reads NULL would become one, so anything that starts with N is quoted.
const PLAIN = /^[A-MO-Za-mo-z0-9_.:@/-][A-Za-z0-9_.:@/-]*$/;

function quote(value: string): string {
  return `"${value.replace(/["\\]/g, '\\$&')}"`;
}
