// Card numbers in disguise: digits of any script, with anything between them, beside words. So many
// texts would pass for a number by chance that only those count that an issuer may have given out.
// Invariant: ids are left alone: UUIDs, hashes, times, addresses.

/** What schemes issue, by first digits and length; Visa's 13 are long gone, and phones have 13. */
const ISSUED = new RegExp(
  [
    ...['4(?:\\d{15}|\\d{18})', '5[1-5]\\d{14}', '3[47]\\d{13}', '220[0-4]\\d{12}'],
    '2(?:22[1-9]|2[3-9]\\d|[3-6]\\d\\d|7[01]\\d|720)\\d{12}',
    ...['3(?:0[0-59]|[689]\\d)\\d{11}', '35(?:2[89]|[3-8]\\d)\\d{12}'],
    '(?:6\\d|5[06-8]|8[12])\\d{14,17}',
  ]
    .map((each) => `^${each}$`)
    .join('|'),
);
const FEWEST = 14;
const MOST = 19;

const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi;
const WORD = /[\p{L}\p{N}]+/gu;
/** Between two groups of digits of one number; with a colon they are an address or a time. */
const GAP = /^[^:]{0,4}$/;
/** A word that goes to and fro more often is a hash or a token. */
const LETTER_RUNS_MAX = 2;

export function hasIssuedNumber(text: string): boolean {
  if (!mayHoldOne(text)) return false;
  const plain = withPlainDigits(text).replace(UUID, 'id');
  return groupsOf(plain).some(holdsOne);
}

/** Letters part numbers, so that nearly all ids are done with here. Another script's sign may stand
 * for two digits. */
function mayHoldOne(text: string): boolean {
  let digits = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code > 127) digits += 2;
    else if (code >= 48 && code <= 57) digits++;
    else if (code === 58 || (code >= 65 && (code | 32) >= 97 && (code | 32) <= 122)) digits = 0;
    if (digits >= FEWEST) return true;
  }
  return false;
}

function withPlainDigits(text: string): string {
  return text.normalize('NFKC').replace(/(?![0-9])\p{Nd}/gu, digitOf);
}

/** Scripts have their digits in rows of ten, from nought. */
function digitOf(character: string): string {
  const code = character.codePointAt(0)!;
  let before = 0;
  while (/^\p{Nd}$/u.test(String.fromCodePoint(code - before - 1))) before++;
  return String(before % 10);
}

/** Runs of digits that may be parts of one number, by what stands between them. */
function groupsOf(text: string): string[][] {
  const all: string[][] = [[]];
  let end = 0;
  for (const { 0: word, index } of text.matchAll(WORD)) {
    if (!GAP.test(text.slice(end, index))) all.push([]);
    end = index + word.length;
    const letters = word.match(/\D+/g) ?? [];
    if (letters.length > LETTER_RUNS_MAX) {
      all.push([]);
      continue;
    }
    for (const run of word.match(/\d+|\D+/g)!) {
      if (/\d/.test(run)) all.at(-1)!.push(run);
      else all.push([]);
    }
  }
  return all;
}

function holdsOne(groups: readonly string[]): boolean {
  return groups.some((_, first) => {
    let digits = '';
    for (let last = first; last < groups.length && digits.length <= MOST; last++) {
      digits += groups[last]!;
      if (ISSUED.test(digits) && passesLuhn(digits)) return true;
    }
    return false;
  });
}

/** The check digit of ISO/IEC 7812-1, annex B: every second digit from the right is doubled. */
export function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let place = 0; place < digits.length; place++) {
    const digit = Number(digits[digits.length - 1 - place]);
    const doubled = place % 2 === 1 ? digit * 2 : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return sum % 10 === 0;
}
