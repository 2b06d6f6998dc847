// What doctor looks at of the secrets in TALLYRACE_HOME: who else on this machine could read them.
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Check } from './doctor-machine.ts';

/** Files that hold a password or a key, as the supervisor makes them; and the data itself. */
const secrets = [
  'demo-key',
  'secrets-key',
  'postgres/password',
  'redis/password',
  'redis/redis.conf',
  'redis/data',
  'postgres/data',
];

const OTHERS = 0o077;

export function secretsCheck(home: string): Check {
  const there = secrets.map((name) => join(home, name)).filter((file) => existsSync(file));
  const open = there.filter((file) => (statSync(file).mode & OTHERS) !== 0);
  const ok = open.length === 0;
  return {
    name: 'secrets',
    ok,
    detail: ok ? `only their owner reads them (${there.length})` : 'others can read some of them',
    fix: ok ? '' : `chmod go= ${open.map((file) => JSON.stringify(file)).join(' ')}`,
  };
}
