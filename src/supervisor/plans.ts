// How our own processes are started: the same binary, the same command, settings by environment.
import { resolve } from 'node:path';
import type { Config } from '../config.ts';
import type { Launch } from './launch.ts';
import { connectPostgres } from '../io/postgres.ts';

const main = resolve(import.meta.dir, '../main.ts');
const READY_WITHIN_MS = 60_000;
/** Beyond the time that the process itself allows for its end. */
const STOP_MARGIN_MS = 8_000;
const PROBE_TIMEOUT_MS = 2_000;

export interface Urls {
  databaseUrl: string;
  redisUrl: string;
}

/** `ingress`, `ingress-2`, …: names pid files, logs and metrics. */
export function processNames(verb: 'ingress' | 'worker', count: number): string[] {
  return Array.from({ length: count }, (_, index) => (index === 0 ? verb : `${verb}-${index + 1}`));
}

export function ingressPlan(name: string, config: Config, urls: Urls): Launch {
  return {
    ...processPlan(name, 'ingress', config, urls),
    // Any ingress of the port may answer; that this one does not is seen by its end.
    probe: async () => {
      const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
      const response = await fetch(`${localUrl(config)}/readyz`, { signal });
      if (!response.ok) throw new Error(`/readyz answers ${response.status}`);
    },
  };
}

export function workerPlan(name: string, config: Config, urls: Urls): Launch {
  return {
    ...processPlan(name, 'worker', config, urls),
    probe: () => workerIsLive(name, urls.databaseUrl),
  };
}

/** Where this machine reaches the ingress, whatever address it listens on. */
export function localUrl({ host, port }: Config): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}

function processPlan(
  name: string,
  verb: 'ingress' | 'worker',
  config: Config,
  urls: Urls,
): Omit<Launch, 'probe'> {
  return {
    name,
    command: [process.execPath, main, verb],
    env: {
      NODE_ENV: 'production',
      PORT: String(config.port),
      HOST: config.host,
      TALLYRACE_HOME: config.home,
      DATABASE_URL: urls.databaseUrl,
      REDIS_URL: urls.redisUrl,
      PROCESS_NAME: name,
    },
    stopSignal: 'SIGTERM',
    stopWithinMs: config.drainMs + STOP_MARGIN_MS,
    readyWithinMs: READY_WITHIN_MS,
    explain: () => null,
  };
}

async function workerIsLive(name: string, databaseUrl: string): Promise<void> {
  const sql = connectPostgres(databaseUrl, { max: 1, name: 'supervisor', asOwner: true });
  try {
    const live = await sql`select 1 from workers where worker = ${name} and lease_until > now()`;
    if (live.length === 0) throw new Error('has no lease yet');
  } finally {
    await sql.end({ timeout: 1 });
  }
}
