// Which codes an address was told of lately: asking about one again is no guess, so a shopper's
// basket goes on when somebody at the same address has used up the guesses.
// Invariant: a code is here only after it was told of; what is held is bounded.
import { forgetBeyond } from './oldest.ts';

/** Some 15 MB; in this process only, and no harm when one is forgotten. */
const TOLD_MAX = 50_000;

export class ToldCodes {
  private readonly told = new Set<string>();

  has(tenant: number, address: string, code: string): boolean {
    return this.told.has(nameOf(tenant, address, code));
  }

  add(tenant: number, address: string, code: string): void {
    const name = nameOf(tenant, address, code);
    // To the end: the first is the one that nobody asked about for longest.
    this.told.delete(name);
    this.told.add(name);
    forgetBeyond(TOLD_MAX, this.told);
  }
}

/** Injective: neither a tenant nor an address has a space. */
function nameOf(tenant: number, address: string, code: string): string {
  return `${tenant} ${address} ${code}`;
}
