// Whole numbers that are written with a fraction. JSON.parse rounds: 1.0000000000000001 becomes 1,
// and would pass for a whole number. So might the 12.0 of somebody who counts in dollars.
// Invariant: what is read as a whole number was written as one.
import { POINTER_CHARACTERS_MAX } from './shape.ts';
import { type Problem, problem } from './problem.ts';

const QUOTE = 34;
const MINUS = 45;
const ZERO = 48;
const NINE = 57;
const COLON = 58;
const BACKSLASH = 92;
const LOWER_E = 101;

/** The 422 for the first one in a text that is valid JSON, whatever it is for. */
export function refusedFraction(text: string): Problem | null {
  const found = mayDisguise(text) ? disguised(text) : null;
  if (!found) return null;
  const pointer = pointerTo(text, found.at, found.written.length);
  const detail = 'A whole number is written without a fraction: 12, not 12.0.';
  return problem(422, 'invalid_request', 'See `errors` for what is wrong, and where.', {
    errors: [{ pointer, detail }],
  });
}

/** Whether some number may be written with a fraction: a dot or a negative exponent behind a digit,
 * if only in a text. Hops from one dot to the next, since most bodies have hardly any. */
function mayDisguise(text: string): boolean {
  for (let at = text.indexOf('.'); at >= 0; at = text.indexOf('.', at + 1))
    if (isDigit(text.charCodeAt(at - 1)) && !isInTime(text, at)) return true;
  for (let at = text.indexOf('-'); at >= 0; at = text.indexOf('-', at + 1))
    if ((text.charCodeAt(at - 1) | 32) === LOWER_E && isDigit(text.charCodeAt(at - 2))) return true;
  return false;
}

/** As in 12:00:10.5: a colon between digits is in a text, and times are what most dots belong to. */
function isInTime(text: string, dot: number): boolean {
  return text.charCodeAt(dot - 3) === COLON && isDigit(text.charCodeAt(dot - 4));
}

const number = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

/** Where the first of them is. */
function disguised(text: string): { at: number; written: string } | null {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at);
    if (code !== MINUS && !isDigit(code)) continue;
    number.lastIndex = at;
    const [written] = number.exec(text)!;
    if (/\.|[eE]-/.test(written) && Number.isInteger(Number(written))) return { at, written };
    at += written.length - 1;
  }
  return null;
}

/** The place of what is written at a place of the text, as a JSON pointer; '' where a later member
 * of the same name hides it. */
function pointerTo(text: string, at: number, length: number): string {
  const mark = crypto.randomUUID();
  const json: unknown = JSON.parse(`${text.slice(0, at)}"${mark}"${text.slice(at + length)}`);
  const open = [{ value: json, pointer: '' }];
  for (let next = open.pop(); next; next = open.pop()) {
    const { value, pointer } = next;
    if (value === mark) return pointer;
    if (typeof value !== 'object' || value === null) continue;
    for (const [name, member] of Object.entries(value)) {
      const step = name.replaceAll('~', '~0').replaceAll('/', '~1');
      const deeper = `${pointer}/${step}`.slice(0, POINTER_CHARACTERS_MAX);
      open.push({ value: member, pointer: deeper });
    }
  }
  return '';
}

/** Where the string that begins here ends. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1;
  return at;
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE;
}
