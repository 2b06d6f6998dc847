// Codes from a pattern: each `#` is one random character of an alphabet without look-alikes.
// Invariant: codes are unique, and cannot be guessed from each other (five bits from the system's
// generator for each `#`).
import { CouponCode } from '../../schemas/coupons.ts';

/** 32 characters, so that five bits pick one without bias; no 0, 1, I, O. */
export const ALPHABET = 'ABCDEFGHJKLMNPQRSTUVWXYZ23456789';

/** A tenth full at most: else codes can be guessed, and chance finds too few that are free. */
const FILL_MAX = 0.1;

const codePattern = new RegExp(CouponCode.pattern!);

/** What is wrong with the wish; null when it can be had. */
export function patternError(pattern: string, count: number): string | null {
  if (!codePattern.test(pattern) || pattern.length > CouponCode.maxLength!)
    return 'the pattern is not a code: visible ASCII without a colon, 100 characters at most';
  const room = ALPHABET.length ** (pattern.split('#').length - 1);
  if (count <= room * FILL_MAX) return null;
  const needed = Math.ceil(Math.log(count / FILL_MAX) / Math.log(ALPHABET.length));
  return `${count} codes need at least ${needed} times # in the pattern`;
}

export class CodeGenerator {
  private readonly made = new Set<string>();
  private readonly random = new Uint8Array(4_096);
  private next = this.random.length;

  constructor(private readonly pattern: string) {}

  /** Never gives a code twice. */
  take(count: number): string[] {
    const codes: string[] = [];
    while (codes.length < count) {
      const code = this.pattern.replaceAll('#', () => this.character());
      if (this.made.has(code)) continue;
      this.made.add(code);
      codes.push(code);
    }
    return codes;
  }

  private character(): string {
    if (this.next === this.random.length) {
      crypto.getRandomValues(this.random);
      this.next = 0;
    }
    return ALPHABET[this.random[this.next++]! & 31]!;
  }
}
