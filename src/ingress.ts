// The ingress process: makes the clients and parts, listens, and drains when told to stop.
// Invariant: it listens only with a current schema, and stops only when what it accepted is with
// Redis and what it was asked is answered.
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import packageJson from '../package.json' with { type: 'json' };
import { createApp } from './app.ts';
import { BalanceCache } from './cache/balances.ts';
import { openCoupons } from './cache/coupons.ts';
import { Keys } from './cache/keys.ts';
import { RecentPayments } from './cache/recent-payments.ts';
import type { Config } from './config.ts';
import { openGatewayDesk } from './gateways/routing.ts';
import { Admission } from './http/admission.ts';
import type { GuardParts } from './http/guard.ts';
import { Idempotency } from './http/idempotency.ts';
import { Ingest } from './http/ingest.ts';
import { Limiter } from './http/limits.ts';
import { ReadinessProbe } from './http/readiness.ts';
import { RecentEvents } from './http/recent.ts';
import { Recorder } from './http/recorder.ts';
import type { Route } from './http/route.ts';
import { systemClock } from './io/clock.ts';
import { endWithin, stopSignal } from './io/lifecycle.ts';
import { type Log, createLog } from './io/log.ts';
import { Metrics } from './io/metrics.ts';
import { publishMetrics, watchProcess } from './io/metrics-text.ts';
import { type Sql, connectPostgres } from './io/postgres.ts';
import { weaknessOf } from './io/redis-promise.ts';
import { producerClient, subscriberClient, writingClient } from './io/redis.ts';
import { openRiskDesk } from './risk/desk.ts';
import { allRoutes } from './routes/index.ts';
import { keyResolver } from './store/limits.ts';
import { schemaServes } from './store/migrate.ts';
import { vaultOf } from './store/secrets.ts';
import { settledPositions } from './store/positions.ts';
import { storesReady } from './store/ready.ts';
import { Appender } from './stream/append.ts';
import { Settlement } from './stream/settlement.ts';

export interface Ingress {
  url: string;
  port: number;
  routes: readonly Route[];
  stop(): Promise<void>;
}

export interface IngressOptions {
  /** False in tests: a port that is taken must then be an error. */
  reusePort: boolean;
}

interface Clients {
  redis: Redis;
  writer: Redis;
  subscriber: Redis;
  sql: Sql;
}

/** Ids of events accepted lately: some 20 MB. Four times as many cost an eighth of the CPU of a
 * batch in collections, for repeats that the ledger refuses anyway. */
const RECENT_EVENTS_MAX = 2 ** 16;
/** After the requests: the appender, the files, the clients. */
const LAST_STEPS_MS = 5_000;

/** Runs until a signal; resolves when everything is drained. */
export async function runIngress(config: Config): Promise<void> {
  const name = config.processName ?? 'ingress';
  const log = createLog(name, config.logLevel);
  // Asked for first, so that a signal during the start ends the process in order too.
  const stopping = stopSignal();
  const starting = startIngress(config, log, { reusePort: true });
  const ingress = await Promise.race([starting, stopping.then(() => null)]);
  if (!ingress) return;
  log.info({ url: ingress.url }, 'listening');
  const signal = await stopping;
  log.info({ signal }, 'stopping');
  endWithin(config.drainGraceMs + config.drainMs + LAST_STEPS_MS);
  await ingress.stop();
}

export async function startIngress(
  config: Config,
  log: Log,
  options: IngressOptions,
): Promise<Ingress> {
  const { databaseUrl, redisUrl } = config;
  if (!databaseUrl || !redisUrl)
    throw new Error('DATABASE_URL and REDIS_URL must be set; "tallyrace up" brings its own');
  const name = config.processName ?? 'ingress';
  const redis = producerClient(redisUrl, name);
  const clients: Clients = {
    redis,
    writer: writingClient(redis, redisUrl, name, config),
    subscriber: subscriberClient(redisUrl, `${name}-subscriber`),
    sql: connectPostgres(databaseUrl, { max: config.databaseConnectionsMax, name }),
  };
  try {
    await storesReady([redis, clients.writer, clients.subscriber], clients.sql, log);
    return await serve(config, name, clients, log, options);
  } catch (error) {
    await closeClients(clients);
    throw error;
  }
}

/** What lives as long as the process listens. */
async function openParts(config: Config, name: string, clients: Clients, log: Log) {
  const { redis, writer, subscriber, sql } = clients;
  const metrics = new Metrics();
  watchProcess(metrics);
  const asked = [() => redis.ping(), () => sql`select 1`.execute()];
  const admission = new Admission(redis, config, asked);
  const settlement = new Settlement(subscriber, redis);
  await followLedger(settlement, clients);
  const appender = new Appender(writer, {
    bytesWaitingMax: config.appendBytesWaitingMax,
    entryEventsMax: config.entryEventsMax,
    settledOffset: (topic, partition) => settlement.settledOffset(topic, partition),
  });
  const recent = new RecentEvents(RECENT_EVENTS_MAX);
  writer.on('close', () => recent.clear());
  watchIngress(metrics, admission, appender);
  await admission.start();
  const weakness = await weaknessOf(redis);
  if (weakness) log.warn(weakness);
  const coupons = await openCoupons({
    redis,
    writer,
    sql,
    appender,
    onError: (error) => log.warn({ error: String(error) }, 'coupons are not up to date'),
  });
  return {
    ...clients,
    metrics,
    admission,
    appender,
    recent,
    coupons,
    settlement,
    clock: systemClock,
    ingest: new Ingest({ appender, recent, clock: systemClock }),
    balances: new BalanceCache(redis, config.balanceCacheTtlS),
    waits: { defaultMs: config.waitLedgerMsDefault, maxMs: config.waitLedgerMsMax },
    batchBytesMax: config.batchBodyBytesMax,
    ...(await openPaymentParts(config, clients, metrics, log)),
    readiness: new ReadinessProbe({
      redis,
      replicasMin: config.redisReplicasMin,
      sql,
      schemaIsCurrent: schemaServes,
      admission,
    }),
    metricsDir: join(config.home, 'run'),
    processName: name,
    version: packageJson.version,
  };
}

async function openPaymentParts(
  config: Config,
  { redis, sql }: Clients,
  metrics: Metrics,
  log: Log,
) {
  const vault = await vaultOf(config);
  const gateways = await openGatewayDesk({ redis, sql, vault, log });
  const risk = await openRiskDesk({ redis, sql, metrics, log });
  return {
    ...{ vault, gateways, risk },
    webhooksAllowed: config.webhooksPrivateAllowed,
    gatewaysFor: gateways.gatewaysFor,
    recentPayments: new RecentPayments(redis),
    assess: risk.assess,
  };
}

async function serve(
  config: Config,
  name: string,
  clients: Clients,
  log: Log,
  { reusePort }: IngressOptions,
): Promise<Ingress> {
  const parts = await openParts(config, name, clients, log);
  const { redis, writer, sql, metrics, admission } = parts;
  const guard: GuardParts = {
    keys: new Keys(keyResolver(sql), systemClock),
    limiter: new Limiter(redis),
    idempotency: new Idempotency(writer),
    admission,
    recorder: new Recorder(metrics, log),
    log,
    trustedProxyHops: config.trustedProxyHops,
    bodyBytesMax: config.bodyBytesMax,
  };
  const routes = allRoutes(parts);
  const app = createApp(routes, guard, { reusePort });
  app.listen({ port: config.port, hostname: config.host });
  const server = app.server!;
  const published = publishMetrics(metrics, parts.metricsDir, name);

  async function stop(): Promise<void> {
    // From here on /readyz says no and each answer asks its caller to connect anew, which then
    // reaches another process of the port. Those who send nothing are cut off when it closes.
    admission.drain();
    await Bun.sleep(config.drainGraceMs);
    const deadline = setTimeout(() => void server.stop(true), config.drainMs);
    // Who waits for the ledger is answered before that, as when the time that was asked for is up.
    const patience = setTimeout(() => parts.settlement.release(), config.drainMs / 2);
    // Stops accepting; requests in flight are answered, then their connections end.
    await Promise.race([server.stop(), admission.whenIdle().then(() => Bun.sleep(50))]);
    await server.stop(true);
    clearTimeout(patience);
    await parts.coupons.close();
    await parts.gateways.stop();
    await parts.risk.stop();
    await parts.appender.drain();
    clearTimeout(deadline);
    admission.stop();
    parts.settlement.stop();
    await published.stop();
    await closeClients(clients);
  }
  return { url: `http://${config.host}:${server.port}`, port: server.port!, routes, stop };
}

/** A Redis that has lost its tail would give settled offsets out again, and its own word for where
 * the ledger is would be as old. So the ledger is asked: before the first append, and whenever
 * Redis has been away. */
async function followLedger(settlement: Settlement, { writer, sql }: Clients): Promise<void> {
  const ask = async (): Promise<void> => settlement.learn(await settledPositions(sql));
  await ask();
  // While Postgres is away, what this process has heard must do; the worker raises the rest.
  writer.on('ready', () => void ask().catch(() => {}));
}

function watchIngress(metrics: Metrics, admission: Admission, appender: Appender): void {
  const inFlight = metrics.gauge('tallyrace_http_requests_in_flight', 'Requests being answered.');
  const backlog = metrics.gauge('tallyrace_backlog_events', 'Events accepted and not settled.');
  const waiting = metrics.gauge('tallyrace_append_waiting_bytes', 'Bytes on their way to Redis.');
  const reads = metrics.gauge('tallyrace_reads_in_flight', 'Reads that wait for a store.');
  const bodies = metrics.gauge('tallyrace_body_bytes_reading', 'Bytes of bodies on their way.');
  const handles = [inFlight, backlog, waiting, reads, bodies].map((family) => family.labels());
  watchAdmission(metrics, admission);
  metrics.onSnapshot(() => {
    const { inFlight, backlogEvents, readsInFlight, bodyBytes } = admission;
    const values = [inFlight, backlogEvents, appender.bytesWaiting, readsInFlight, bodyBytes.held];
    values.forEach((value, index) => handles[index]!.set(value));
  });
}

function watchAdmission(metrics: Metrics, admission: Admission): void {
  const refused = metrics.counter(
    'tallyrace_admission_refused_total',
    'Requests refused before anything else was looked at, by reason.',
    ['reason'],
  );
  const share = metrics
    .gauge('tallyrace_admission_refused_share', 'Share refused so that waits stay short.')
    .labels();
  const wait = metrics
    .gauge('tallyrace_queue_wait_seconds', 'What a request now waits for its turn.')
    .labels();
  const storeWait = metrics
    .gauge('tallyrace_store_wait_seconds', 'What a question to Redis or Postgres now takes.')
    .labels();
  const held = metrics.gauge('tallyrace_refusals_held', 'Refusals held back for a while.').labels();
  metrics.onSnapshot(() => {
    for (const [reason, count] of Object.entries(admission.refused))
      refused.labels(reason).set(count);
    refused.labels('bodies').set(admission.bodyBytes.refused);
    share.set(admission.valve.refusedShare);
    wait.set(admission.queueWaitMs / 1_000);
    held.set(admission.held);
    storeWait.set(admission.storeWaitMs / 1_000);
  });
}

async function closeClients({ redis, writer, subscriber, sql }: Clients): Promise<void> {
  redis.disconnect();
  writer.disconnect();
  subscriber.disconnect();
  await sql.end({ timeout: 2 });
}
