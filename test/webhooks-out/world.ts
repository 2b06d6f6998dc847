// Webhooks to tenants with everything but the rules: endpoints, notices written as rules write
// them, lanes in this process with short times, receivers on loopback.
import { afterAll } from 'bun:test';
import { laneMetrics } from '../../src/effects/metrics.ts';
import { type WebhookTimes, openWebhookLanes } from '../../src/effects/webhook-lane.ts';
import { createLog } from '../../src/io/log.ts';
import { Metrics } from '../../src/io/metrics.ts';
import { networksOf } from '../../src/io/private-address.ts';
import type { Sql } from '../../src/io/postgres.ts';
import { type Vault, openVault } from '../../src/store/secrets.ts';
import { getDelivery } from '../../src/store/webhook-deliveries.ts';
import { createEndpoint } from '../../src/store/webhook-endpoints.ts';
import { eventually } from '../processes.ts';
import { openStack } from '../stack.ts';
import { type Receiver, startReceiver } from './receiver.ts';

const times: WebhookTimes = {
  timeoutMs: 10_000,
  backoff: { baseMs: 20, maxMs: 50 },
  giveUpAfterMs: 72 * 3_600_000,
};

export interface NoticeRow {
  key: string;
  type: string;
  subject: string;
  data: object;
}

/** Gives what stops them. */
function startLanes(sql: Sql, vault: Vault): () => Promise<void> {
  const log = createLog('webhooks', 'silent');
  const { lanes, stop } = openWebhookLanes({
    ...{ sql, vault, log, times, allowed: networksOf('127.0.0.0/8')! },
    shared: { report: () => Promise.resolve(), log },
    metricsOf: (lane) => laneMetrics(new Metrics(), lane),
  });
  for (const lane of lanes) lane.start();
  return async () => {
    await Promise.all(lanes.map((lane) => lane.stop()));
    await stop();
  };
}

export async function openWebhookWorld(name: string) {
  const stack = await openStack(name);
  const { id: tenant } = await stack.createTenant(name);
  const vault = await openVault(stack.environment['TALLYRACE_SECRETS_KEY']!, null);
  const receivers: Receiver[] = [];
  let stopLanes = startLanes(stack.sql, vault);
  afterAll(async () => {
    await Promise.all(receivers.map((receiver) => receiver.stop()));
    await stopLanes();
  }, 30_000);

  return {
    ...{ stack, tenant, vault },
    receiver(): Receiver {
      const receiver = startReceiver();
      receivers.push(receiver);
      return receiver;
    },
    /** Runs it while nothing is sent. */
    async whileNobodySends(work: () => Promise<void>): Promise<void> {
      await stopLanes();
      await work();
      stopLanes = startLanes(stack.sql, vault);
    },
    async endpoint(url: string, event_types: string[] = ['*'], of = tenant) {
      const given = { url, event_types: event_types as ['*'], description: '' };
      const made = await createEndpoint(stack.sql, vault, { tenant: of, actor: 'test' }, given);
      return { id: made!.endpoint.id, secret: made!.secret };
    },
    /** As ledger_write's statement does, for events of these keys. */
    async tell(rows: readonly Partial<NoticeRow>[], of = tenant, event = Bun.randomUUIDv7()) {
      const full = rows.map((row, n) => ({
        ...{ key: `k${n}`, type: 'payment.captured', subject: 'pay_1', data: { n } },
        ...{ ...row, tenant_id: of, event_key: event, occurred_ms: 1_700_000_000_123 },
      }));
      await stack.owner`select notices_write(${JSON.stringify(full)}::text::jsonb)`;
      return event;
    },
    /** Every delivery of an endpoint, oldest first. */
    async deliveries(endpoint: string) {
      return await stack.owner<{ notice: string; status: string; attempts: number }[]>`
        select 'ntc_' || (data->>'notice') as notice, status, attempts from effects
        where data->>'endpoint' = ${endpoint.slice(4)} order by asked_at, key`;
    },
    deliveryBecomes(endpoint: string, notice: string, status: string) {
      return eventually(`${notice} is ${status}`, async () => {
        const found = await getDelivery(stack.sql, { tenant, id: endpoint }, notice);
        return found?.delivery.status === status ? found : null;
      });
    },
  };
}
