// Names as fixed-width keys. SHA-256 rather than a fast hash, since clients choose their ids:
// nobody can make two ids, or two accounts, collide.

/** First 128 bits of SHA-256 over tenant and parts, as hex without dashes (Postgres reads it as uuid). */
function key128(tenant: number, ...parts: string[]): string {
  return Bun.SHA256.hash(`${tenant}\n${parts.join('\n')}`, 'hex').slice(0, 32);
}

export function eventKey(tenant: number, eventId: string): string {
  return key128(tenant, eventId);
}

export function accountKey(tenant: number, account: string, unit: string): string {
  return key128(tenant, account, unit);
}

/**
 * 64 bits over type and canonical body (XXH64, seeded with the CRC-32 of the type), as a signed
 * decimal: Postgres bigint. It tells a repeat from a conflict under one id; it identifies nothing,
 * so whoever made two bodies collide would fool only himself.
 */
export function fingerprint(type: string, body: Uint8Array): string {
  const hash = Bun.hash.xxHash64(body, BigInt(Bun.hash.crc32(type)));
  return BigInt.asIntN(64, hash).toString();
}
