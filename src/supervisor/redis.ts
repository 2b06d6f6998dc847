// The private Redis: the machine's redis-server or valkey-server with a configuration of our own.
// Invariant: every acknowledged write is in the append-only file, and nothing is ever evicted.
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { withRedis } from '../io/redis.ts';
import { launch, tailOf, type Launch, type Server } from './launch.ts';
import { findRedis } from './redis-binary.ts';
import { secretIn } from './secret.ts';

export interface RedisPlace {
  /** Holds the data, the password and the configuration; made when missing. */
  dir: string;
  port: number;
  /** The file that takes the server's output. */
  log: string;
  /** Megabytes; at the limit appends are refused and answered with 503. 0 is no limit. */
  maxmemoryMb?: number;
  /** `always`: an acknowledged event is on disk. Affordable, since appends come in batches. */
  appendfsync?: 'always' | 'everysec';
  /** Takes a line for the reader when something takes long, as an installation does. */
  say?: (line: string) => void;
}

export async function startRedis(options: RedisPlace): Promise<Server> {
  const { plan, url } = prepareRedis(options);
  const { pid, stop } = await launch(plan, options.log);
  return { url, pid, port: options.port, stop };
}

/** Everything up to the start, which the supervisor repeats after a crash. */
export function prepareRedis(options: RedisPlace): { plan: Launch; url: string } {
  const binary = findRedis(options.say ?? (() => {}));
  const dir = resolve(options.dir);
  mkdirSync(join(dir, 'data'), { recursive: true, mode: 0o700 });
  const url = redisUrl(dir, options.port);
  const file = join(dir, 'redis.conf');
  writeFileSync(file, configuration(options, join(dir, 'data'), new URL(url).password), {
    mode: 0o600,
  });
  let logOffset = 0;
  const plan: Launch = {
    name: 'redis',
    command: [binary, file],
    stopSignal: 'SIGTERM',
    stopWithinMs: 20_000,
    before() {
      logOffset = statSync(options.log, { throwIfNoEntry: false })?.size ?? 0;
    },
    probe: () => probe(url, () => tailOf(options.log, logOffset)),
    // Loading a large append-only file takes a while.
    readyWithinMs: 180_000,
    explain: (output) => explain(output, options.port),
  };
  return { plan, url };
}

/** Where the server of this directory is reached, running or not. */
export function redisUrl(dir: string, port: number): string {
  return `redis://:${secretIn(join(dir, 'password'))}@127.0.0.1:${port}`;
}

function configuration(options: RedisPlace, data: string, password: string): string {
  return [
    '# Written at each start.',
    'bind 127.0.0.1',
    `port ${options.port}`,
    `requirepass ${password}`,
    'daemonize no',
    `dir ${JSON.stringify(data)}`,
    'appendonly yes',
    `appendfsync ${options.appendfsync ?? 'always'}`,
    'no-appendfsync-on-rewrite no',
    'save ""',
    `maxmemory ${options.maxmemoryMb ?? 0}mb`,
    'maxmemory-policy noeviction',
    // The command line stays as it was, which tells our server from another one.
    'set-proc-title no',
    '',
  ].join('\n');
}

/**
 * Of a transaction that a power cut has torn, Redis 7.0 drops the last command only. The rest stays
 * in the file, swallows what is appended after it, and is carried out at a later start
 * (valkey-io/valkey#4342). So a file that was torn is written anew.
 */
async function probe(url: string, output: () => string): Promise<void> {
  await withRedis(
    url,
    'supervisor',
    async (client) => {
      await client.ping();
      if (output().includes('aof-load-truncated is enabled')) await client.bgrewriteaof();
    },
    2_000,
  );
}

function explain(output: string, port: number): string | null {
  if (/Address already in use/i.test(output))
    return `port ${port} is in use. Stop what listens there, or remove the port from ports.json.`;
  if (/Bad file format reading the append only file/i.test(output))
    return 'its append-only file is damaged. "redis-check-aof --fix" drops what follows it.';
  if (/Can't handle RDB format|unknown RDB format/i.test(output))
    return 'its data was written by a newer version of Redis; install that version.';
  return null;
}
