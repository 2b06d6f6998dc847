// keys: API keys of a tenant. The key itself is printed once, when it is made.
import type { Command } from 'commander';
import { readConfig } from '../config.ts';
import { scopes as everyScope } from '../http/route.ts';
import { connectPostgres, type Sql } from '../io/postgres.ts';
import {
  createKey,
  ensureTenant,
  listKeys,
  newKey,
  revokeKey,
  type KeyKind,
} from '../store/keys.ts';
import { withServers } from '../supervisor/home.ts';
import { exitCodes, Failure } from './exit.ts';
import { actor } from './servers.ts';

interface CreateOptions {
  tenant: string;
  name: string;
  scopes?: string;
  publishable?: boolean;
  test?: boolean;
  newTenant?: boolean;
  json?: boolean;
}

const publishableScopes = ['coupons:check'];

export function addKeys(program: Command): void {
  const verb = program.command('keys').description('make, list and revoke API keys');
  verb
    .command('create')
    .description('make a key and print it, once')
    .requiredOption('--tenant <name>', 'whose key it is')
    .requiredOption('--name <name>', 'what it is for')
    .option('--scopes <list>', `comma-separated: ${everyScope.join(', ')}`)
    .option('--publishable', 'a tr_pub_… key for browsers: checks coupons, nothing else')
    .option('--test', 'a tr_test_… key')
    .option('--new-tenant', 'make the tenant if it is not there')
    .option('--json', 'print JSON')
    .action((options: CreateOptions) => withOwner((sql) => create(sql, options)));
  verb
    .command('list')
    .description('what keys there are, without the keys')
    .option('--tenant <name>', 'only of this tenant')
    .option('--json', 'print JSON')
    .action((options: { tenant?: string; json?: boolean }) =>
      withOwner((sql) => list(sql, options)),
    );
  verb
    .command('revoke <id>')
    .description('end a key; it is refused everywhere within 2 seconds')
    .action((id: string) => withOwner((sql) => revoke(sql, id)));
}

async function create(sql: Sql, options: CreateOptions): Promise<void> {
  const { tenant, name, json } = options;
  const scopes = scopesOf(options);
  const kind: KeyKind = options.publishable ? 'pub' : options.test ? 'test' : 'live';
  if (options.newTenant) await ensureTenant(sql, tenant, {});
  const key = newKey(kind);
  const id = await createKey(sql, { tenant, name, scopes, key, actor: actor() });
  if (id === null)
    throw new Failure(`there is no tenant ${tenant}; --new-tenant makes it`, exitCodes.usage);
  console.log(json ? JSON.stringify({ id, tenant, name, scopes, key }) : key);
  if (!json) console.error(`id ${id}. This is the only time that the key is shown.`);
}

function scopesOf({ scopes, publishable }: CreateOptions): readonly string[] {
  const given = scopes?.split(',').map((scope) => scope.trim()) ?? [];
  const known: readonly string[] = publishable ? publishableScopes : everyScope;
  const unknown = given.filter((scope) => !known.includes(scope));
  if (unknown.length > 0)
    throw new Failure(
      `--scopes: ${unknown.join(', ')} not among ${known.join(', ')}`,
      exitCodes.usage,
    );
  if (given.length > 0) return given;
  if (publishable) return publishableScopes;
  throw new Failure('--scopes is needed: what may the key do?', exitCodes.usage);
}

async function list(
  sql: Sql,
  { tenant, json }: { tenant?: string; json?: boolean },
): Promise<void> {
  const keys = await listKeys(sql, tenant ?? null);
  if (json) {
    console.log(JSON.stringify(keys));
    return;
  }
  for (const { id, tenant: owner, name, shown, scopes, revoked_at } of keys) {
    const state = revoked_at ? `revoked ${revoked_at}` : scopes.join(' ');
    console.log(`${id}  ${owner}  ${shown}  ${name}  ${state}`);
  }
}

async function revoke(sql: Sql, id: string): Promise<void> {
  if (await revokeKey(sql, id, actor())) console.log(`revoked ${id}`);
  else throw new Failure(`there is no key ${id} that could be revoked`, exitCodes.checkFailed);
}

async function withOwner(work: (sql: Sql) => Promise<void>): Promise<void> {
  const { databaseUrl } = withServers(readConfig(process.env));
  const sql = connectPostgres(databaseUrl, { max: 1, name: 'keys', asOwner: true });
  try {
    await work(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
