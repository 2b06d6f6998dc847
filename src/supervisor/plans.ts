// How our own processes are started: the same binary, the same command, settings by environment.
import { resolve } from 'node:path';
import { paymentSettings } from '../setting-payments.ts';
import type { Config } from '../config.ts';
import type { Launch } from './launch.ts';
import { type ProcessSnapshot, snapshotFile } from '../io/metrics-text.ts';
import { type SandboxUrls, sandboxUrls } from '../gateways/sandbox/sandbox.ts';
import { homeAt } from './home.ts';
import { secretIn } from './secret.ts';

const main = resolve(import.meta.dir, '../main.ts');
const READY_WITHIN_MS = 60_000;
/** Beyond the time that the process itself allows for its end. */
const STOP_MARGIN_MS = 8_000;
const PROBE_TIMEOUT_MS = 2_000;

export interface Urls {
  databaseUrl: string;
  redisUrl: string;
}

export type Verb = 'ingress' | 'worker' | 'effects' | 'sandbox';

/** `ingress`, `ingress-2`, …: names pid files, logs and metrics. */
export function processNames(verb: Verb, count: number): string[] {
  return Array.from({ length: count }, (_, index) => (index === 0 ? verb : `${verb}-${index + 1}`));
}

export function ingressPlan(name: string, config: Config, urls: Urls): Launch {
  const plan = processPlan(name, 'ingress', config, urls);
  return {
    ...plan,
    overlaps: true,
    // Any ingress of the port may answer, so that this one works is asked first.
    probe: async (pid) => {
      await plan.probe(pid);
      const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
      const response = await fetch(`${localUrl(config)}/readyz`, { signal });
      if (!response.ok) throw new Error(`/readyz answers ${response.status}`);
    },
  };
}

/** A worker of a name fences the one before it: never two at once. */
export function workerPlan(name: string, config: Config, urls: Urls): Launch {
  return processPlan(name, 'worker', config, urls);
}

/** Calls are claimed one by one, so the old one may end its own beside the new. */
export function effectsPlan(
  name: string,
  config: Config,
  urls: Urls,
  sandbox: SandboxUrls | null,
): Launch {
  const plan = processPlan(name, 'effects', config, urls);
  return { ...plan, env: { ...plan.env, ...gatewayUrls(config, sandbox) }, overlaps: true };
}

export function sandboxPlan(config: Config, urls: Urls, port: number): Launch {
  const plan = processPlan('sandbox', 'sandbox', config, urls);
  return {
    ...plan,
    env: { ...plan.env, SANDBOX_PORT: String(port) },
    probe: async (pid) => {
      await plan.probe(pid);
      const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
      const response = await fetch(`${sandboxUrls(port).control}/health`, { signal });
      if (!response.ok) throw new Error(`its health is ${response.status}`);
    },
  };
}

/** The sandbox stands in for each gateway whose address nobody has set. */
function gatewayUrls({ stripeUrl, razorpayUrl }: Config, sandbox: SandboxUrls | null) {
  const { stripeUrl: stripe, razorpayUrl: razorpay } = paymentSettings;
  const at = (given: string, standard: string, ours: string | undefined): string =>
    given === standard ? (ours ?? given) : given;
  return {
    STRIPE_URL: at(stripeUrl, stripe.standard, sandbox?.stripe),
    RAZORPAY_URL: at(razorpayUrl, razorpay.standard, sandbox?.razorpay),
  };
}

/** Where this machine reaches the ingress, whatever address it listens on. */
export function localUrl({ host, port }: Config): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}

function processPlan(name: string, verb: Verb, config: Config, urls: Urls): Launch {
  const home = homeAt(config.home);
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
      TALLYRACE_SECRETS_KEY: config.secretsKey ?? secretIn(home.secretsKey, 32),
      PROCESS_NAME: name,
    },
    stopSignal: 'SIGTERM',
    stopWithinMs: config.drainGraceMs + config.drainMs + STOP_MARGIN_MS,
    readyWithinMs: READY_WITHIN_MS,
    probe: (pid) => works(pid, name, config),
    explain: () => null,
  };
}

/** Its first metrics say that it listens, or reads its streams. */
async function works(pid: number, name: string, config: Config): Promise<void> {
  const snapshot = Bun.file(snapshotFile(homeAt(config.home).run, name));
  const { pid: working } = (await snapshot.json()) as ProcessSnapshot;
  if (working !== pid) throw new Error('does not work yet');
}
