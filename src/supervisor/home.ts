// What lies where in TALLYRACE_HOME, and where the servers are that belong to it.
// Invariant: ports and passwords stay the same from start to start, and so do the URLs.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { Unavailable } from './launch.ts';
import { findFreePort, portIsFree } from './ports.ts';
import { postgresUrl } from './postgres.ts';
import { redisUrl } from './redis.ts';
import { secretIn } from './secret.ts';

export interface Home {
  root: string;
  run: string;
  logs: string;
  demoKey: string;
  secretsKey: string;
  postgres: string;
  redis: string;
  ports: string;
}

export interface ServerPorts {
  postgres: number;
  redis: number;
}

export function homeAt(root: string): Home {
  return {
    root,
    run: join(root, 'run'),
    logs: join(root, 'logs'),
    demoKey: join(root, 'demo-key'),
    secretsKey: join(root, 'secrets-key'),
    postgres: join(root, 'postgres'),
    redis: join(root, 'redis'),
    ports: join(root, 'ports.json'),
  };
}

export function makeHome(root: string): Home {
  const home = homeAt(root);
  try {
    for (const dir of [home.root, home.run, home.logs]) mkdirSync(dir, { recursive: true });
    writeFileSync(join(home.root, '.gitignore'), '*\n');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code === 'ENOSPC' || code === 'EDQUOT')
      throw new Unavailable(`The disk of ${root} is full. Free some space and start again.`);
    throw new Unavailable(
      `${root} cannot be written (${code}). Set TALLYRACE_HOME to a directory of yours.`,
    );
  }
  return home;
}

/** The remembered ports; a port that another program has taken meanwhile is replaced. */
export async function serverPorts(home: Home): Promise<ServerPorts> {
  const known = readPorts(home);
  const pick = async (port: number | undefined): Promise<number> =>
    port && (await portIsFree(port)) ? port : findFreePort();
  const ports = { postgres: await pick(known?.postgres), redis: await pick(known?.redis) };
  writeFileSync(home.ports, `${JSON.stringify(ports)}\n`);
  return ports;
}

function readPorts(home: Home): ServerPorts | null {
  if (!existsSync(home.ports)) return null;
  try {
    return JSON.parse(readFileSync(home.ports, 'utf8')) as ServerPorts;
  } catch {
    // Cut short by a full disk: the ports are chosen anew.
    return null;
  }
}

/** The settings with both URLs: the user's own, else those of the servers of this home. */
export function withServers(config: Config): Config & { databaseUrl: string; redisUrl: string } {
  const home = homeAt(config.home);
  const ports = readPorts(home);
  const own = (dir: string, url: (dir: string) => string): string => {
    if (ports && existsSync(join(dir, 'password'))) return url(dir);
    throw new Unavailable(
      `There are no servers in ${home.root}. Start Tallyrace with "npm start", or set ` +
        'DATABASE_URL and REDIS_URL.',
    );
  };
  const ownKey = existsSync(home.secretsKey) ? secretIn(home.secretsKey) : null;
  return {
    ...config,
    secretsKey: config.secretsKey ?? ownKey,
    databaseUrl:
      config.databaseUrl ?? own(home.postgres, (dir) => postgresUrl(dir, ports!.postgres)),
    redisUrl: config.redisUrl ?? own(home.redis, (dir) => redisUrl(dir, ports!.redis)),
  };
}
