// gateways: accounts of tenants with gateways. Secrets are read from a file or standard input, not
// from the command line, which other users of the machine can see.
import type { Command } from 'commander';
import { Value } from '@sinclair/typebox/value';
import { readConfig } from '../config.ts';
import { type Sql, connectPostgres } from '../io/postgres.ts';
import { RazorpayAccount, StripeAccount } from '../../schemas/gateways.ts';
import { type GatewayName, gatewayNames } from '../../schemas/payments.ts';
import {
  type AccountBody,
  putAccount,
  razorpayChange,
  sealAnew,
  stripeChange,
} from '../store/gateway-accounts.ts';
import { type Vault, VaultError, vaultOf } from '../store/secrets.ts';
import { sealEndpointsAnew } from '../store/webhook-endpoints.ts';
import { withServers } from '../supervisor/home.ts';
import { Failure, exitCodes } from './exit.ts';
import { actor } from './servers.ts';

const shapes = { stripe: StripeAccount, razorpay: RazorpayAccount } as const;

export function addGateways(program: Command): void {
  const verb = program.command('gateways').description('accounts with gateways, and their secrets');
  verb
    .command('list')
    .description('what accounts there are, without their secrets')
    .option('--json', 'print JSON')
    .action(({ json }: { json?: boolean }) => withOwner((sql) => list(sql, json === true)));
  verb
    .command('set <gateway>')
    .description(`set an account (${gatewayNames.join(', ')}); the body of PUT /v1/gateways/…`)
    .requiredOption('--tenant <name>', 'whose account it is')
    .option('--file <path>', 'JSON; standard input when left out')
    .action((name: string, options: { tenant: string; file?: string }) =>
      withOwner((sql, vault) => set(sql, vault, name, options)),
    );
  verb
    .command('rotate-key')
    .description('seal all secrets with TALLYRACE_SECRETS_KEY that the key before it sealed')
    .action(() => withOwner(rotate));
}

async function list(sql: Sql, asJson: boolean): Promise<void> {
  const rows = await sql<{ tenant: string; gateway: string; body: AccountBody; key: string }[]>`
    select t.name as tenant, d.key as gateway, d.body, s.key_id as key
    from documents d
    join tenants t on t.id = d.tenant_id
    join gateway_secrets s on s.tenant_id = d.tenant_id and s.name = d.key
    where d.kind = 'gateways'
    order by t.name, d.key`;
  if (asJson) {
    console.log(JSON.stringify(rows));
    return;
  }
  for (const { tenant, gateway, body, key } of rows) {
    const path = `/v1/webhooks/${gateway}/${body.endpoint}`;
    console.log(`${tenant}  ${gateway}  key ${body.secret_key}  sealed by ${key}  ${path}`);
  }
}

async function set(
  sql: Sql,
  vault: Vault,
  name: string,
  { tenant, file }: { tenant: string; file?: string },
): Promise<void> {
  const gateway = gatewayNames.find((each) => each === name);
  if (!gateway)
    throw new Failure(`${name} is not one of ${gatewayNames.join(', ')}`, exitCodes.usage);
  const [row] = await sql`select id from tenants where name = ${tenant}`;
  if (!row) throw new Failure(`there is no tenant ${tenant}`, exitCodes.usage);
  const given = readJson(await (file ? Bun.file(file) : Bun.stdin).text());
  const target = { tenant: row['id'] as number, name: gateway, actor: actor() };
  const { body } = await putAccount(sql, vault, target, changeOf(gateway, given));
  console.log(`webhooks: /v1/webhooks/${gateway}/${body.endpoint}`);
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Failure('the account is not JSON', exitCodes.usage);
  }
}

function changeOf(gateway: GatewayName, given: unknown) {
  const [wrong] = [...Value.Errors(shapes[gateway], given)];
  // Where, not what: the value may be a secret.
  if (wrong) throw new Failure(`${wrong.path || '/'}: ${wrong.message}`, exitCodes.usage);
  return gateway === 'stripe'
    ? stripeChange(given as StripeAccount)
    : razorpayChange(given as RazorpayAccount);
}

async function rotate(sql: Sql, vault: Vault): Promise<void> {
  try {
    const count = (await sealAnew(sql, vault)) + (await sealEndpointsAnew(sql, vault));
    console.log(`sealed ${count} again, with the key ${vault.keyId}`);
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    const advice = 'Set TALLYRACE_SECRETS_KEY_PREVIOUS to the key they were sealed with.';
    throw new Failure(`${error.message}. ${advice}`, exitCodes.checkFailed);
  }
}

async function withOwner(work: (sql: Sql, vault: Vault) => Promise<void>): Promise<void> {
  const config = withServers(readConfig(process.env));
  const vault = await vaultOf(config);
  if (!vault) throw new Failure('TALLYRACE_SECRETS_KEY must be set', exitCodes.configuration);
  const sql = connectPostgres(config.databaseUrl, { max: 1, name: 'gateways', asOwner: true });
  try {
    await work(sql, vault);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
