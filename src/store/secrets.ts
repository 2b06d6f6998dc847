// Secrets that must be given to others again, such as keys of gateways: sealed before they are
// stored, with a key that comes from the environment and is nowhere else.
// Invariant: what was sealed for one owner opens for that owner only, so that a row which is copied
// to another gives nothing away.
import { createHash } from 'node:crypto';

export interface Sealed {
  /** Which key it was sealed with. */
  keyId: string;
  /** A random value and the sealed text, in base64. */
  box: string;
}

export interface Vault {
  readonly keyId: string;
  seal(owner: string, text: string): Promise<Sealed>;
  /** Throws VaultError where no key of ours opens it. */
  open(owner: string, sealed: Sealed): Promise<string>;
}

export class VaultError extends Error {}

const ALGORITHM = 'AES-GCM';
/** 96 random bits under one key: safe for some billions of them. */
const NONCE_BYTES = 12;

interface NamedKey {
  id: string;
  key: CryptoKey;
}

/** Seals with the first key; opens with any, so that a key can be replaced while all runs. */
export async function openVault(current: string, previous: string | null): Promise<Vault> {
  const first = await keyOf(current);
  const all = previous === null ? [first] : [first, await keyOf(previous)];
  return {
    keyId: first.id,
    async seal(owner, text) {
      const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
      const params = { name: ALGORITHM, iv: nonce, additionalData: bytesOf(owner) };
      const sealed = await crypto.subtle.encrypt(params, first.key, bytesOf(text));
      const box = Buffer.concat([nonce, new Uint8Array(sealed)]).toString('base64');
      return { keyId: first.id, box };
    },
    async open(owner, { keyId, box }) {
      const found = all.find(({ id }) => id === keyId);
      if (!found) throw new VaultError(`sealed with the key ${keyId}, which is not set`);
      const bytes = new Uint8Array(Buffer.from(box, 'base64'));
      const nonce = bytes.slice(0, NONCE_BYTES);
      const params = { name: ALGORITHM, iv: nonce, additionalData: bytesOf(owner) };
      const opening = crypto.subtle.decrypt(params, found.key, bytes.slice(NONCE_BYTES));
      const text = await opening.catch(() => {
        throw new VaultError(`the key ${keyId} does not open it: it was changed, or is another's`);
      });
      return new TextDecoder().decode(text);
    },
  };
}

/** Null where no key is set: then no secrets can be kept. */
export async function vaultOf(keys: {
  secretsKey: string | null;
  secretsKeyPrevious: string | null;
}): Promise<Vault | null> {
  return keys.secretsKey ? await openVault(keys.secretsKey, keys.secretsKeyPrevious) : null;
}

async function keyOf(text: string): Promise<NamedKey> {
  const bytes = new Uint8Array(Buffer.from(text, 'base64'));
  if (bytes.length !== 32) throw new VaultError('the key of secrets must have 32 bytes');
  const id = createHash('sha256').update(bytes).digest('hex').slice(0, 12);
  const usages = ['encrypt', 'decrypt'] as const;
  return { id, key: await crypto.subtle.importKey('raw', bytes, ALGORITHM, false, [...usages]) };
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
