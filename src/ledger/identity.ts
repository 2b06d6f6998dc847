// Names as fixed-width keys. SHA-256 rather than a fast hash, since clients choose their ids:
// nobody can make two ids, or two accounts, collide.

/** First 128 bits of SHA-256, as hex without dashes (Postgres reads it as uuid). */
function key128(name: string): string {
  return Bun.SHA256.hash(name, 'hex').slice(0, 32);
}

export function eventKey(tenant: number, eventId: string): string {
  return key128(`${tenant}\n${eventId}`);
}

/** Guess: the accounts that are busy at a time; about 15 MB. */
const REMEMBERED_MAX = 65_536;
const accountKeys = new Map<string, string>();

/** What an account is known by in a batch; its key is the hash of it. */
export function accountName(tenant: number, account: string, unit: string): string {
  return `${tenant}\n${account}\n${unit}`;
}

export function accountKey(tenant: number, account: string, unit: string): string {
  return keyOfAccount(accountName(tenant, account, unit));
}

/** Busy accounts are in batch after batch, and hashing costs more than remembering. */
export function keyOfAccount(name: string): string {
  let key = accountKeys.get(name);
  if (key === undefined) {
    key = key128(name);
    if (accountKeys.size >= REMEMBERED_MAX) accountKeys.clear();
    accountKeys.set(name, key);
  }
  return key;
}

const seeds = new Map<string, bigint>();

/**
 * 64 bits over type and canonical body (XXH64, seeded with the CRC-32 of the type), as a signed
 * decimal: Postgres bigint. It tells a repeat from a conflict under one id; it identifies nothing,
 * so whoever made two bodies collide would fool only himself.
 */
export function fingerprint(type: string, body: Uint8Array): string {
  const hash = Bun.hash.xxHash64(body, seedOf(type));
  return BigInt.asIntN(64, hash).toString();
}

function seedOf(type: string): bigint {
  const known = seeds.get(type);
  if (known !== undefined) return known;
  const seed = BigInt(Bun.hash.crc32(type));
  // What a stranger wrote to a stream is not worth remembering.
  if (seeds.size < 1_000) seeds.set(type, seed);
  return seed;
}
