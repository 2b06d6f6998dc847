// The worker process: makes the clients, starts the worker, drains when told to stop.
// Invariant: it works only on a current schema; a newer process of its name ends it.
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import type { Config } from '../src/config.ts';
import { endWithin, stopSignal } from '../src/io/lifecycle.ts';
import { type Log, createLog } from '../src/io/log.ts';
import { publishMetrics, watchProcess } from '../src/io/metrics-text.ts';
import { Metrics } from '../src/io/metrics.ts';
import { type Sql, connectPostgres, durabilitySettings } from '../src/io/postgres.ts';
import { blockingClient, producerClient, writingClient } from '../src/io/redis.ts';
import type { Rule } from '../src/ledger/decision.ts';
import { storesReady } from '../src/store/ready.ts';
import { Appender } from '../src/stream/append.ts';
import { verifyInTurns } from '../src/verifier.ts';
import { type Worker, type WorkerParts, startWorker } from '../src/worker.ts';
import { rules as allRules } from './index.ts';

interface Clients {
  redis: Redis;
  writer: Redis;
  blocking: Redis;
  sql: Sql;
}

/** A superseded worker is not restarted into the same fight at once; sysexits' EX_TEMPFAIL. */
const SUPERSEDED = 75;
/** After the batches in hand: leases, files, clients. */
const LAST_STEPS_MS = 5_000;

/** Runs until a signal; resolves when what was in hand is settled and the leases are given back. */
export async function runWorker(
  config: Config,
  rules: ReadonlyMap<string, Rule> = allRules,
): Promise<void> {
  const name = config.processName ?? 'worker';
  const log = createLog(name, config.logLevel);
  const { databaseUrl, redisUrl } = config;
  if (!databaseUrl || !redisUrl)
    throw new Error('DATABASE_URL and REDIS_URL must be set; "tallyrace up" brings its own');
  const redis = producerClient(redisUrl, name);
  const clients: Clients = {
    redis,
    writer: writingClient(redis, redisUrl, name, config),
    blocking: blockingClient(redisUrl, `${name}-reader`),
    sql: connectPostgres(databaseUrl, { max: config.databaseConnectionsMax, name }),
  };
  // Asked for first, so that a signal during the start ends the process in order too.
  const stopping = stopSignal();
  const ready = storesReady([clients.redis, clients.writer, clients.blocking], clients.sql, log);
  if (await Promise.race([ready, stopping])) return;

  await warnOfWeakness(clients.sql, log);
  const metrics = new Metrics();
  watchProcess(metrics);
  const worker = await start(config, name, clients, { metrics, log, rules });
  const verifying = verifyInTurns(databaseUrl, clients.redis, { metrics, log, name }, config);
  const published = publishMetrics(metrics, join(config.home, 'run'), name);
  log.info('working');

  const signal = await stopping;
  log.info({ signal }, 'stopping');
  endWithin(config.drainMs + LAST_STEPS_MS);
  await verifying.stop();
  await worker.stop();
  await published.stop();
  clients.redis.disconnect();
  clients.writer.disconnect();
  clients.blocking.disconnect();
  await clients.sql.end({ timeout: 2 });
}

/** What is acknowledged in Redis after a commit that a crash undoes is lost. */
async function warnOfWeakness(sql: Sql, log: Log): Promise<void> {
  for (const { name, setting, safe } of await durabilitySettings(sql))
    if (!safe) log.warn(`Postgres has ${name} ${setting}: a crash may lose committed events`);
}

function start(
  config: Config,
  name: string,
  clients: Clients,
  parts: Pick<WorkerParts, 'metrics' | 'log' | 'rules'>,
): Promise<Worker> {
  const appender = new Appender(clients.writer, {
    bytesWaitingMax: config.appendBytesWaitingMax,
    entryEventsMax: config.entryEventsMax,
  });
  const onSuperseded = (): void => {
    parts.log.error('a newer worker of this name has started; give each its own PROCESS_NAME');
    process.exit(SUPERSEDED);
  };
  return startWorker(
    { ...clients, ...parts, appender, onSuperseded },
    {
      name,
      instance: randomUUID(),
      batchEventsMax: config.batchEventsMax,
      leaseMs: config.leaseMs,
      topics: config.workerTopics,
      leaseRenewMs: config.leaseRenewMs,
      balanceCacheTtlS: config.balanceCacheTtlS,
      deferralsMax: config.deferralsMax,
      drainMs: config.drainMs,
    },
  );
}
