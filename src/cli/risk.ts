// risk: rules, lists and the comparison of two rule sets, for those who keep them in files.
// Invariant: what is set here is checked as the API checks it, and named in the audit log.
import { Value } from '@sinclair/typebox/value';
import type { Command } from 'commander';
import { RULES_KIND, RiskRules, type RuleSetName } from '../../schemas/risk.ts';
import { readConfig } from '../config.ts';
import { hasCardNumber } from '../http/card-numbers.ts';
import { type Sql, connectPostgres } from '../io/postgres.ts';
import { defaultRules } from '../risk/default-rules.ts';
import { faultsOf } from '../routes/risk-rules.ts';
import { getDocument, putDocument } from '../store/documents.ts';
import { listEntries } from '../store/risk-lists.ts';
import { compareRuleSets } from '../store/risk.ts';
import { withServers } from '../supervisor/home.ts';
import { Failure, exitCodes } from './exit.ts';
import { actor } from './servers.ts';

interface Shared {
  tenant: string;
  json?: boolean;
}
type RulesOptions = Shared & { shadow?: boolean; set?: string };

const DAY_MS = 86_400_000;
const PAGE = 1_000;

export function addRisk(program: Command): void {
  const verb = program.command('risk').description('rules and lists by which payments are judged');
  const named = (name: string, description: string): Command =>
    verb
      .command(name)
      .description(description)
      .option('--tenant <name>', 'whose', 'demo')
      .option('--json', 'print JSON');
  named('rules', 'print the rules as JSON, or set them from a file')
    .option('--shadow', 'the set that is tried and not applied')
    .option('--set <file>', 'the body of PUT /v1/risk/rules')
    .action((options: RulesOptions) =>
      withTenant(options, (sql, tenant) => rules(sql, tenant, options)),
    );
  named('lists', 'who is on a list now').action((options: Shared) =>
    withTenant(options, (sql, tenant) => lists(sql, tenant, options)),
  );
  named('compare', 'what the shadow rules would have decided')
    .option('--days <n>', 'how many days back', '7')
    .action((options: Shared & { days: string }) =>
      withTenant(options, (sql, tenant) => compare(sql, tenant, options)),
    );
}

async function rules(sql: Sql, tenant: number, options: RulesOptions): Promise<void> {
  const name: RuleSetName = options.shadow ? 'shadow' : 'active';
  if (options.set !== undefined) {
    const given = await rulesIn(options.set);
    const { version } = await putDocument(sql, tenant, RULES_KIND, name, given, actor());
    console.log(options.json ? JSON.stringify({ name, version }) : `${name} rules, ${version}`);
    return;
  }
  const found = await getDocument<RiskRules>(sql, tenant, RULES_KIND, name);
  const shown = found && 'rules' in found.body ? found.body : null;
  if (!shown && name === 'shadow')
    throw new Failure('there are no shadow rules', exitCodes.checkFailed);
  console.log(JSON.stringify(shown ?? defaultRules, null, options.json ? undefined : 2));
}

async function rulesIn(file: string): Promise<RiskRules> {
  const text = await Bun.file(file)
    .text()
    .catch(() => {
      throw new Failure(`${file} cannot be read`, exitCodes.usage);
    });
  if (hasCardNumber(text))
    throw new Failure(`${file} has what looks like a card number`, exitCodes.usage);
  const given = parsed(file, text);
  const [wrong] = [...Value.Errors(RiskRules, given)];
  if (wrong) throw new Failure(`${wrong.path || '/'}: ${wrong.message}`, exitCodes.usage);
  const [fault] = faultsOf(given as RiskRules);
  if (fault) throw new Failure(`${fault.pointer}: ${fault.detail}`, exitCodes.usage);
  return given as RiskRules;
}

function parsed(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Failure(`${file} is not JSON`, exitCodes.usage);
  }
}

async function lists(sql: Sql, tenant: number, { json }: Shared): Promise<void> {
  for (let after = ''; ;) {
    const entries = await listEntries(sql, tenant, { after, limit: PAGE });
    for (const entry of entries) {
      const { list, subject, value, reason, expires_at: until } = entry;
      const text = `${list.padEnd(5)}  ${subject.padEnd(6)}  ${value}  until ${until ?? 'removed'}`;
      console.log(json ? JSON.stringify(entry) : `${text}  ${reason}`);
    }
    if (entries.length < PAGE) return;
    after = entries.at(-1)!.id;
  }
}

async function compare(
  sql: Sql,
  tenant: number,
  { days, json }: Shared & { days: string },
): Promise<void> {
  const back = Number(days) * DAY_MS;
  if (!(back > 0)) throw new Failure('--days takes a number above zero', exitCodes.usage);
  const now = Date.now();
  const span = { from: new Date(now - back).toISOString(), to: new Date(now).toISOString() };
  const cells = await compareRuleSets(sql, tenant, span);
  if (json) {
    console.log(JSON.stringify(cells));
    return;
  }
  if (cells.length === 0) console.log('no payment was judged by two rule sets');
  for (const cell of cells) {
    const { active, shadow, version, shadowVersion, payments, paid, failed, disputed } = cell;
    const what = `${active} (rules ${version}), would be ${shadow} (shadow ${shadowVersion})`;
    console.log(`${what}: ${payments}, paid ${paid}, failed ${failed}, disputed ${disputed}`);
  }
}

async function withTenant(
  { tenant: name }: Shared,
  work: (sql: Sql, tenant: number) => Promise<void>,
): Promise<void> {
  const { databaseUrl } = withServers(readConfig(process.env));
  const sql = connectPostgres(databaseUrl, { max: 1, name: 'risk', asOwner: true });
  try {
    const [row] = await sql`select id from tenants where name = ${name}`;
    if (!row) throw new Failure(`there is no tenant ${name}`, exitCodes.usage);
    await work(sql, row['id'] as number);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
