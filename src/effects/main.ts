// The effects process: makes the clients, starts the lanes, drains when told to stop.
// Invariant: a call under way is settled or left to its claim, which runs out; no call is lost.
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import type { Config } from '../config.ts';
import { systemClock } from '../io/clock.ts';
import { endWithin, stopSignal } from '../io/lifecycle.ts';
import { type Log, createLog } from '../io/log.ts';
import { Metrics } from '../io/metrics.ts';
import { publishMetrics, watchProcess } from '../io/metrics-text.ts';
import { type Periodic, periodic } from '../io/periodic.ts';
import { type Sql, connectPostgres } from '../io/postgres.ts';
import { producerClient, subscriberClient, writingClient } from '../io/redis.ts';
import { effectStore } from '../store/effects.ts';
import { vaultOf } from '../store/secrets.ts';
import { storesReady } from '../store/ready.ts';
import { Appender } from '../stream/append.ts';
import { SETTLED_CHANNEL } from '../stream/topology.ts';
import { couponHandler, couponLane } from './coupon-lane.ts';
import { watchDisputes } from './dispute-watch.ts';
import { openGatewayLanes } from './gateway-lanes.ts';
import { Lane, type LaneHandler, type LaneOptions } from './lane.ts';
import { laneMetrics } from './metrics.ts';
import { reporter } from './report.ts';
import { openWebhookLanes } from './webhook-lane.ts';

interface Clients {
  redis: Redis;
  writer: Redis;
  subscriber: Redis;
  sql: Sql;
}

const LAST_STEPS_MS = 5_000;
const COUNT_MS = 5_000;

/** Runs until a signal; resolves when what was under way is settled. */
export async function runEffects(config: Config): Promise<void> {
  const name = config.processName ?? 'effects';
  const log = createLog(name, config.logLevel);
  const { databaseUrl, redisUrl } = config;
  if (!databaseUrl || !redisUrl)
    throw new Error('DATABASE_URL and REDIS_URL must be set; "tallyrace up" brings its own');
  const redis = producerClient(redisUrl, name);
  const clients: Clients = {
    redis,
    writer: writingClient(redis, redisUrl, name, config),
    subscriber: subscriberClient(redisUrl, `${name}-subscriber`),
    sql: connectPostgres(databaseUrl, { max: config.databaseConnectionsMax, name }),
  };
  // Asked for first, so that a signal during the start ends the process in order too.
  const stopping = stopSignal();
  const ready = storesReady([redis, clients.writer, clients.subscriber], clients.sql, log);
  if (await Promise.race([ready, stopping])) return;

  const metrics = new Metrics();
  watchProcess(metrics);
  const effects = await startEffects(config, clients, metrics, log);
  const published = publishMetrics(metrics, join(config.home, 'run'), name);
  log.info('working');
  const signal = await stopping;
  log.info({ signal }, 'stopping');
  endWithin(config.drainMs + LAST_STEPS_MS);
  await effects.stop();
  await published.stop();
  for (const client of [redis, clients.writer, clients.subscriber]) client.disconnect();
  await clients.sql.end({ timeout: 2 });
}

async function startEffects(config: Config, clients: Clients, metrics: Metrics, log: Log) {
  const { writer, subscriber, sql } = clients;
  const appender = new Appender(writer, {
    bytesWaitingMax: config.appendBytesWaitingMax,
    entryEventsMax: config.entryEventsMax,
  });
  const shared = { store: effectStore(sql), report: reporter(appender, systemClock), log };
  const kinds: [LaneOptions, LaneHandler][] = [[couponLane, couponHandler(writer, sql, log)]];
  const own = kinds.map(([options, handler]) => {
    const lane = laneMetrics(metrics, options.name);
    return new Lane({ ...shared, handler, metrics: lane }, options);
  });
  const vault = await vaultOf(config);
  const metricsOf = (lane: string) => laneMetrics(metrics, lane);
  const gateways = await openGatewayLanes({
    ...{ redis: clients.redis, sql, log, shared, urls: config, vault, metricsOf },
  });
  const allowed = config.webhooksPrivateAllowed;
  const webhooks = openWebhookLanes({ sql, log, shared, allowed, vault, metricsOf });
  const urgent = [...own, ...gateways.lanes];
  const lanes = [...urgent, ...webhooks.lanes];
  for (const lane of lanes) lane.start();
  // A commit may have asked for calls; should this be missed, lanes look by themselves. Webhooks
  // are not worth a look at every commit.
  subscriber.on('message', () => {
    for (const lane of urgent) lane.nudge();
  });
  subscriber.subscribe(SETTLED_CHANNEL).catch(() => {});
  const counting = countWaiting(sql, metrics, log);
  const disputes = watchDisputes({ sql, metrics, log, report: shared.report });
  return {
    async stop(): Promise<void> {
      await Promise.all([counting.stop(), disputes.stop()]);
      await Promise.all(lanes.map((lane) => lane.stop()));
      await Promise.all([gateways.stop(), webhooks.stop()]);
      await appender.drain();
    },
  };
}

function countWaiting(sql: Sql, metrics: Metrics, log: Log): Periodic {
  const waiting = metrics.gauge('tallyrace_effects_waiting', 'Calls to make', ['lane']);
  const oldest = metrics.gauge(
    'tallyrace_effects_oldest_seconds',
    'Age of the oldest call that still waits',
    ['lane'],
  );
  const seen = new Set<string>();
  return periodic(
    'waiting calls',
    COUNT_MS,
    async () => {
      const rows = await sql`select * from system_effects_waiting()`;
      const found = new Map(rows.map((row) => [row['lane'] as string, row]));
      for (const lane of found.keys()) seen.add(lane);
      for (const lane of seen) {
        const row = found.get(lane);
        waiting.labels(lane).set(Number(row?.['waiting'] ?? 0));
        oldest.labels(lane).set(Number(row?.['oldest_s'] ?? 0));
      }
    },
    log,
  );
}
