// Whole numbers that are written with a fraction. JSON.parse rounds: 1.0000000000000001 becomes 1,
// and would pass for a whole number. So might the 12.0 of somebody who counts in dollars.
// Invariant: what is read as a whole number was written as one.
import { withoutCardNumbers } from './card-numbers.ts';
import { POINTER_CHARACTERS_MAX } from './shape.ts';
import { type Problem, problem } from './problem.ts';

const QUOTE = 34;
const COMMA = 44;
const MINUS = 45;
const ZERO = 48;
const NINE = 57;
const COLON = 58;
const OPENS_ARRAY = 91;
const BACKSLASH = 92;
const CLOSES_ARRAY = 93;
const LOWER_E = 101;
const OPENS_OBJECT = 123;
const CLOSES_OBJECT = 125;

/** The 422 for the first one in a text that is valid JSON, whatever it is for. */
export function refusedFraction(text: string): Problem | null {
  const at = mayDisguise(text) ? disguised(text) : -1;
  if (at < 0) return null;
  const pointer = pointerTo(text, at);
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

/** Where the first of them is, or -1. */
function disguised(text: string): number {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at);
    if (code !== MINUS && !isDigit(code)) continue;
    number.lastIndex = at;
    const [written] = number.exec(text)!;
    if (/\.|[eE]-/.test(written) && Number.isInteger(Number(written))) return at;
    at += written.length - 1;
  }
  return -1;
}

/** What is written at a place of the text, as a JSON pointer. One pass over what is before it. */
function pointerTo(text: string, place: number): string {
  // For each value that is open there: an index of an array, or, below 0, where a name begins.
  const open: number[] = [];
  let isName = false;
  for (let at = 0; at < place; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      if (isName) open[open.length - 1] = ~at;
      isName = false;
      at = endOfString(text, at);
    } else if (code === OPENS_OBJECT || code === OPENS_ARRAY) {
      isName = code === OPENS_OBJECT;
      open.push(isName ? ~at : 0);
    } else if (code === CLOSES_OBJECT || code === CLOSES_ARRAY) open.pop();
    else if (code === COMMA) {
      isName = open.at(-1)! < 0;
      if (!isName) open[open.length - 1]!++;
    }
  }
  const steps = open.map((step) => (step < 0 ? nameAt(text, ~step) : String(step)));
  const escaped = steps.map((step) => `/${step.replaceAll('~', '~0').replaceAll('/', '~1')}`);
  return withoutCardNumbers(escaped.join('')).slice(0, POINTER_CHARACTERS_MAX);
}

function nameAt(text: string, at: number): string {
  return JSON.parse(text.slice(at, endOfString(text, at) + 1)) as string;
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
