// Every setting: its name in the environment, its unit, its default. Read once, by main files.
// Invariant: a process runs with settings that are all valid together, or not at all (exit 78).
import { resolve } from 'node:path';
import { paymentSettings } from './setting-payments.ts';
import { workerTopics } from './setting-workers.ts';
import { type Setting, Wrong, choice, integer, optional, text } from './setting.ts';

export const KEY_FORM = /^tr_(live|test|pub)_[A-Za-z0-9_]{4,128}$/;
const demoKeyForm = /^tr_test_[A-Za-z0-9_]{4,128}$/;
const counts = [1, 1_000_000_000] as const;
const processes = [1, 64] as const;
const times = [10, 3_600_000] as const;
const bytes = [1_024, 2_147_483_648] as const;

const settings = {
  port: integer('PORT', 3000, 'TCP port of the HTTP API', [0, 65_535]),
  host: text('HOST', '127.0.0.1', 'address to listen on', /^[\w.:-]+$/, 'a host name or address'),
  home: text(
    'TALLYRACE_HOME',
    '.tallyrace',
    'directory of data, logs and pid files',
    /./,
    'a path',
  ),
  databaseUrl: optional(
    text(
      'DATABASE_URL',
      '',
      'a Postgres of your own instead of the embedded one, postgres://…',
      /^postgres(ql)?:\/\/\S+$/,
      'a URL like postgres://user:password@host:5432/database',
    ),
  ),
  redisUrl: optional(
    text(
      'REDIS_URL',
      '',
      'a Redis of your own instead of a private one, redis://…',
      /^rediss?:\/\/\S+$/,
      'a URL like redis://:password@host:6379',
    ),
  ),
  demoKey: optional(
    text(
      'TALLYRACE_KEY',
      '',
      "fixes the demo tenant's key, tr_test_…",
      demoKeyForm,
      'tr_test_ and 4 to 128 letters or digits',
    ),
  ),
  logLevel: choice('LOG_LEVEL', 'info', 'what is logged', [
    'trace',
    'debug',
    'info',
    'warn',
    'error',
    'fatal',
    'silent',
  ]),
  processName: optional(
    text(
      'PROCESS_NAME',
      '',
      'names a process that you start yourself, the same after a restart',
      /^[\w.-]{1,64}$/,
      '1 to 64 letters, digits, dots or dashes',
    ),
  ),
  ingressProcesses: integer('INGRESS_PROCESSES', 1, 'ingress processes on one port', processes),
  workerProcesses: integer('WORKER_PROCESSES', 1, 'worker processes', processes),
  workerTopics,
  ...paymentSettings,
  databaseConnectionsMax: integer(
    'DATABASE_CONNECTIONS_MAX',
    8,
    'connections to Postgres, each process',
    [2, 1_000],
  ),
  redisAppendfsync: choice<'always' | 'everysec'>(
    'REDIS_APPENDFSYNC',
    'always',
    'when the private Redis writes to disk; everysec may lose two seconds in a crash',
    ['always', 'everysec'],
  ),
  redisMaxmemoryMb: integer(
    'REDIS_MAXMEMORY_MB',
    0,
    'megabytes of the private Redis, 0 is no limit; past it appends answer 503',
    [0, 1_000_000],
  ),
  redisReplicasMin: integer(
    'REDIS_REPLICAS_MIN',
    0,
    'replicas of your own Redis that must have an event before it is acknowledged; fewer is 503',
    [0, 16],
  ),
  redisReplicasWaitMs: integer(
    'REDIS_REPLICAS_WAIT_MS',
    500,
    'milliseconds they are waited for; it then is not known whether the event was accepted',
    [10, 1_500],
  ),
  bodyBytesMax: integer('BODY_BYTES_MAX', 32_768, 'bytes of a body with one item', bytes),
  batchBodyBytesMax: integer('BATCH_BODY_BYTES_MAX', 4_194_304, 'bytes of a body of many', bytes),
  requestsInFlightMax: integer(
    'REQUESTS_IN_FLIGHT_MAX',
    20_000,
    'requests being answered by one ingress; past it 503',
    counts,
  ),
  readsInFlightMax: integer(
    'READS_IN_FLIGHT_MAX',
    4_000,
    'of them, reads and changes of settings, which wait for a store; past it 503',
    counts,
  ),
  bodyBytesReadingMax: integer(
    'BODY_BYTES_READING_MAX',
    134_217_728,
    'bytes of bodies on their way to one ingress; past it 503',
    bytes,
  ),
  queueWaitMsMax: integer(
    'QUEUE_WAIT_MS_MAX',
    500,
    'milliseconds requests may wait in one ingress, or reads for a store; past it a share is 503',
    times,
  ),
  refusalHoldMs: integer(
    'REFUSAL_HOLD_MS',
    500,
    'milliseconds such a refusal is held back, give or take half, 0 is not at all',
    [0, 10_000],
  ),
  appendBytesWaitingMax: integer(
    'APPEND_BYTES_WAITING_MAX',
    67_108_864,
    'bytes on their way to Redis in one ingress; past it 503',
    bytes,
  ),
  backlogEventsMax: integer(
    'BACKLOG_EVENTS_MAX',
    5_000_000,
    'events accepted and not yet settled; past it 503',
    counts,
  ),
  entryEventsMax: integer('ENTRY_EVENTS_MAX', 1_000, 'events in one stream entry', [1, 100_000]),
  batchEventsMax: integer(
    'BATCH_EVENTS_MAX',
    2_000,
    'events in one write to the ledger',
    [1, 100_000],
  ),
  leaseMs: integer('LEASE_MS', 3_000, 'milliseconds a silent worker keeps its streams', times),
  leaseRenewMs: integer('LEASE_RENEW_MS', 1_000, 'milliseconds between renewals', times),
  deferralsMax: integer(
    'DEFERRALS_MAX',
    12,
    'times an event waits for its prerequisite before it is a dead letter',
    [0, 1_000],
  ),
  balanceCacheTtlS: integer(
    'BALANCE_CACHE_TTL_S',
    600,
    'seconds a balance stays cached unread',
    [1, 86_400],
  ),
  waitLedgerMsDefault: integer(
    'WAIT_LEDGER_MS_DEFAULT',
    5_000,
    'milliseconds that "Prefer: wait=ledger" waits',
    times,
  ),
  waitLedgerMsMax: integer(
    'WAIT_LEDGER_MS_MAX',
    30_000,
    'milliseconds that a caller may ask it to wait',
    times,
  ),
  trustedProxyHops: integer(
    'TRUSTED_PROXY_HOPS',
    0,
    'proxies in front whose X-Forwarded-For is believed, 0 takes the address of the socket',
    [0, 10],
  ),
  drainGraceMs: integer(
    'DRAIN_GRACE_MS',
    500,
    'milliseconds an ingress told to stop still takes connections, so that callers can move away',
    [0, 60_000],
  ),
  verifyEveryS: integer(
    'VERIFY_EVERY_S',
    3_600,
    'seconds between verifications that a worker does by itself, 0 is never',
    [0, 604_800],
  ),
  drainMs: integer('DRAIN_MS', 10_000, 'milliseconds a process may take to end its work', times),
} satisfies Record<string, Setting<unknown>>;

type Settings = typeof settings;
export type Config = {
  [K in keyof Settings]: Settings[K] extends Setting<infer T> ? T : never;
};

/** Each pair: what must hold, and how to say that it does not. */
const relations: readonly [(config: Config) => boolean, string][] = [
  [
    ({ redisReplicasMin, redisUrl }) => redisReplicasMin === 0 || redisUrl !== null,
    'REDIS_REPLICAS_MIN needs REDIS_URL: the private Redis has no replicas',
  ],
  [
    ({ leaseMs, leaseRenewMs }) => leaseRenewMs * 2 < leaseMs,
    'LEASE_RENEW_MS must be less than half of LEASE_MS, so that one late renewal loses nothing',
  ],
  [
    ({ bodyBytesMax, batchBodyBytesMax }) => bodyBytesMax <= batchBodyBytesMax,
    'BATCH_BODY_BYTES_MAX must be at least BODY_BYTES_MAX',
  ],
  [
    ({ batchBodyBytesMax, bodyBytesReadingMax }) => batchBodyBytesMax <= bodyBytesReadingMax,
    'BODY_BYTES_READING_MAX must be at least BATCH_BODY_BYTES_MAX',
  ],
  [
    ({ batchBodyBytesMax, appendBytesWaitingMax }) => batchBodyBytesMax <= appendBytesWaitingMax,
    'APPEND_BYTES_WAITING_MAX must be at least BATCH_BODY_BYTES_MAX',
  ],
  [
    ({ waitLedgerMsDefault, waitLedgerMsMax }) => waitLedgerMsDefault <= waitLedgerMsMax,
    'WAIT_LEDGER_MS_DEFAULT must be at most WAIT_LEDGER_MS_MAX',
  ],
];

/** Names every wrong setting and its fix. The values themselves may be secrets and stay unsaid. */
export class ConfigError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(`wrong settings:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
  }
}

export function readConfig(environment: Record<string, string | undefined>): Config {
  const problems: string[] = [];
  const entries = Object.entries<Setting<unknown>>(settings).map(([key, setting]) => {
    const given = environment[setting.name]?.trim();
    try {
      return [key, setting.parse(given ? given : setting.standard)];
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      const fix = setting.standard ? ` (default ${setting.standard})` : ' or unset';
      problems.push(`${setting.name} ${error.message}${fix}`);
      return [key, setting.parse(setting.standard)];
    }
  });
  const config = Object.fromEntries(entries) as Config;
  for (const [holds, says] of relations) if (!holds(config)) problems.push(says);
  if (problems.length > 0) throw new ConfigError(problems);
  return { ...config, home: resolve(config.home) };
}

/** The text of `.env.example`, which a test compares with the file. */
export function exampleEnvironment(): string {
  const lines = Object.values<Setting<unknown>>(settings).map(
    ({ name, about, standard }) => `# ${about}\n# ${name}=${standard}\n`,
  );
  return [
    '# Settings of Tallyrace, with their defaults. Each unit is in the name.\n',
    ...lines,
  ].join('\n');
}
