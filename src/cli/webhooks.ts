// webhooks: endpoints of tenants, what they were sent, and sending it again. No secret is shown,
// and of an address its host only: the rest may be one.
import type { Command } from 'commander';
import { readConfig } from '../config.ts';
import { deliveryStatuses } from '../../schemas/webhook-endpoints.ts';
import { type Sql, connectPostgres } from '../io/postgres.ts';
import { listDeliveries, redeliver } from '../store/webhook-deliveries.ts';
import { type EndpointName, getEndpoint } from '../store/webhook-endpoints.ts';
import { withServers } from '../supervisor/home.ts';
import { Failure, exitCodes } from './exit.ts';
import { actor } from './servers.ts';

const UUID = '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const endpointForm = new RegExp(`^whe_${UUID}$`);
const deliveryForm = new RegExp(`^ntc_${UUID}$`);
const LIMIT_MAX = 10_000;

export function addWebhooks(program: Command): void {
  const verb = program
    .command('webhooks')
    .description('webhooks to tenants: list, deliveries, redeliver');
  verb
    .command('list')
    .description('endpoints, and which of them fail')
    .option('--tenant <name>', 'of one tenant only')
    .option('--json', 'print JSON')
    .action((options: ListOptions) => withOwner((sql) => list(sql, options)));
  verb
    .command('deliveries <endpoint>')
    .description('what an endpoint was sent, what was asked for last first')
    .option('--status <status>', `${deliveryStatuses.join(', ')} or all`, 'all')
    .option('--limit <n>', 'how many', '50')
    .option('--json', 'print JSON')
    .action((endpoint: string, options: DeliveriesOptions) =>
      withOwner((sql) => deliveries(sql, endpoint, options)),
    );
  verb
    .command('redeliver <endpoint> [deliveries...]')
    .description('send deliveries again')
    .option('--failed-since <time>', 'all that were given up since this RFC 3339 time')
    .action((endpoint: string, ids: string[], { failedSince }: { failedSince?: string }) =>
      withOwner((sql) => sendAgain(sql, endpoint, ids, failedSince)),
    );
}

interface ListOptions {
  tenant?: string;
  json?: boolean;
}

interface ListedEndpoint {
  tenant: string;
  id: string;
  status: string;
  disabled_reason: string | null;
  failing_since: Date | null;
  waiting: number;
  url: string;
}

async function list(sql: Sql, { tenant = '', json }: ListOptions): Promise<void> {
  const rows = await sql<ListedEndpoint[]>`
    select t.name as tenant, 'whe_' || h.id as id, h.status, h.disabled_reason, h.failing_since,
      h.url, (select count(*)::int from effects e
              where e.lane = 'webhooks' and e.status = 'waiting'
                and e.data->>'endpoint' = h.id::text) as waiting
    from webhook_endpoints h join tenants t on t.id = h.tenant_id
    where h.status <> 'deleted' and ${tenant} in ('', t.name)
    order by t.name, h.id`;
  const shown = rows.map(({ url, ...row }) => ({ ...row, host: new URL(url).host }));
  if (json) {
    console.log(JSON.stringify(shown));
    return;
  }
  for (const { tenant: of, id, status, disabled_reason, failing_since, waiting, host } of shown) {
    const why = disabled_reason ? ` (${disabled_reason})` : '';
    const failing = failing_since ? `  failing since ${failing_since.toISOString()}` : '';
    console.log(`${of}  ${id}  ${status}${why}  ${waiting} waiting  ${host}${failing}`);
  }
}

interface DeliveriesOptions {
  status: string;
  limit: string;
  json?: boolean;
}

async function deliveries(
  sql: Sql,
  endpoint: string,
  { status, limit, json }: DeliveriesOptions,
): Promise<void> {
  const wanted = deliveryStatuses.find((each) => each === status) ?? null;
  if (wanted === null && status !== 'all')
    throw new Failure(`--status is ${deliveryStatuses.join(', ')} or all`, exitCodes.usage);
  const most = Number(limit);
  if (!Number.isInteger(most) || most < 1 || most > LIMIT_MAX)
    throw new Failure(`--limit is a whole number from 1 to ${LIMIT_MAX}`, exitCodes.usage);
  const name = await nameOf(sql, endpoint);
  const page = { status: wanted, before: null, limit: most };
  const found = (await listDeliveries(sql, name, page)).map(({ delivery }) => delivery);
  if (json) {
    console.log(JSON.stringify(found));
    return;
  }
  for (const { id, asked_at, status: is, attempts, type, subject, ...last } of found) {
    const said = last.last_error ?? last.last_status_code ?? '';
    console.log([id, asked_at, is, `${attempts} attempts`, type, subject, said].join('  '));
  }
}

async function sendAgain(
  sql: Sql,
  endpoint: string,
  ids: readonly string[],
  failedSince: string | undefined,
): Promise<void> {
  if ((ids.length === 0) === (failedSince === undefined))
    throw new Failure('name deliveries, or --failed-since', exitCodes.usage);
  if (!ids.every((id) => deliveryForm.test(id)))
    throw new Failure('a delivery is named ntc_…, as "webhooks deliveries" shows', exitCodes.usage);
  const since = new Date(failedSince ?? 0);
  if (Number.isNaN(since.getTime()))
    throw new Failure('--failed-since is a time like 2026-01-31T12:00:00Z', exitCodes.usage);
  const name = await nameOf(sql, endpoint);
  const { shown } = (await getEndpoint(sql, name))!;
  if (shown.status !== 'enabled')
    throw new Failure(
      'the endpoint is disabled: its tenant enables it first',
      exitCodes.checkFailed,
    );
  const asked = failedSince === undefined ? ids.map((noticeId) => ({ noticeId })) : [null];
  let count = 0;
  for (const which of asked)
    count += await redeliver(sql, name, which ?? { failedSince: since }, actor());
  console.log(`${count} will be sent again`);
  if (count < ids.length)
    throw new Failure('the others were not sent to this endpoint', exitCodes.checkFailed);
}

async function nameOf(sql: Sql, id: string): Promise<EndpointName> {
  if (!endpointForm.test(id))
    throw new Failure('an endpoint is named whe_…, as "webhooks list" shows', exitCodes.usage);
  const [row] = await sql`
    select tenant_id from webhook_endpoints where id = ${id.slice(4)} and status <> 'deleted'`;
  if (!row) throw new Failure(`there is no endpoint ${id}`, exitCodes.checkFailed);
  return { tenant: row['tenant_id'] as number, id };
}

async function withOwner(work: (sql: Sql) => Promise<void>): Promise<void> {
  const { databaseUrl } = withServers(readConfig(process.env));
  const sql = connectPostgres(databaseUrl, { max: 1, name: 'webhooks', asOwner: true });
  try {
    await work(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
