// Card numbers have no place here: a request that carries one, in whatever field, is refused before
// anything of it is kept. Tokens, ids and amounts pass.
// Invariant: what looks like a card number is named by its pointer and never repeated.
import { hasIssuedNumber, passesLuhn } from './issued-numbers.ts';
import { problem } from './problem.ts';

/** 13 to 19 digits, apart by single spaces or dashes at most (ISO/IEC 7812-1). */
const DIGITS = /(?<![\dA-Za-z_-])\d(?:[ -]?\d){12,18}(?![\dA-Za-z_-])/g;

/** Throws a 422 with the pointers of what looks like a card number; keys of objects count too. */
export function refuseCardNumbers(body: unknown): void {
  const errors = [...pointersOf(body, '')].map((pointer) => ({
    pointer,
    detail: 'Looks like a card number. Send a token of the gateway.',
  }));
  if (errors.length > 0)
    throw problem(422, 'card_number_refused', 'Card numbers are not taken, in no field.', {
      errors,
    });
}

function* pointersOf(value: unknown, pointer: string): Generator<string> {
  if (typeof value === 'string' || typeof value === 'number') {
    // Of money, which is checked by its shape, any whole number is as good as another.
    const isAmount = typeof value === 'number' && pointer.endsWith('/amount');
    if (!isAmount && hasCardNumber(String(value))) yield pointer;
  } else if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) yield* pointersOf(item, `${pointer}/${index}`);
  } else if (value !== null && typeof value === 'object') {
    for (const [key, item] of Object.entries(value)) {
      // A pointer would repeat it.
      if (hasCardNumber(key)) yield pointer;
      else yield* pointersOf(item, `${pointer}/${key}`);
    }
  }
}

/** As far as it repeats none: names of members may be card numbers too. */
export function withoutCardNumbers(pointer: string): string {
  const steps = pointer.split('/');
  const first = steps.findIndex(hasCardNumber);
  return first < 0 ? pointer : steps.slice(0, first).join('/');
}

export function hasCardNumber(text: string): boolean {
  if (text.length < 13) return false;
  for (const [found] of text.matchAll(DIGITS))
    if (passesLuhn(found.replace(/[ -]/g, ''))) return true;
  return hasIssuedNumber(text);
}
