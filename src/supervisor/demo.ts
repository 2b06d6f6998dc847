// The demo tenant: a key that may do everything, and limits that do not cut a newcomer's loop off.
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import type { Config } from '../config.ts';
import { scopes } from '../http/route.ts';
import { connectPostgres } from '../io/postgres.ts';
import { createKey, ensureTenant, findKey, listKeys, newKey, revokeKey } from '../store/keys.ts';
import type { Home } from './home.ts';
import { Unavailable } from './launch.ts';
import { writeSecret } from './secret.ts';

export const TENANT = 'demo';
const KEY_NAME = 'demo key';
const ACTOR = 'supervisor';
const settings = { limits: { redemptions: null, partners: null } };

/** Gives the key: TALLYRACE_KEY, else the one of the last start, else a new one. */
export async function ensureDemo(config: Config, url: string, home: Home): Promise<string> {
  const remembered = existsSync(home.demoKey) ? readFileSync(home.demoKey, 'utf8').trim() : '';
  const key = config.demoKey ?? (remembered || newKey('test'));
  const sql = connectPostgres(url, { max: 1, name: 'supervisor', asOwner: true });
  try {
    await ensureTenant(sql, TENANT, settings);
    const known = await findKey(sql, key);
    if (known && (known.tenant !== TENANT || known.revoked))
      throw new Unavailable(
        known.revoked
          ? `The demo key was revoked. Remove ${home.demoKey} or set another TALLYRACE_KEY.`
          : `The demo key belongs to the tenant ${known.tenant}. Set another TALLYRACE_KEY.`,
      );
    if (!known) {
      // A key that was replaced must not stay open behind the reader's back.
      for (const { id, name, revoked_at } of await listKeys(sql, TENANT))
        if (name === KEY_NAME && !revoked_at) await revokeKey(sql, id, ACTOR);
      await createKey(sql, { tenant: TENANT, name: KEY_NAME, scopes, key, actor: ACTOR });
    }
  } finally {
    await sql.end({ timeout: 5 });
  }
  if (key !== remembered) writeSecret(home.demoKey, key);
  chmodSync(home.demoKey, 0o600);
  return key;
}
