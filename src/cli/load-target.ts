// What is loaded: the installation of an address that was given, the one that runs here, or one
// that is started for the run and is gone afterwards.
// Invariants: load never goes into the demo tenant's books; the key of a run ends with it.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Config, readConfig } from '../config.ts';
import { scopes } from '../http/route.ts';
import { connectPostgres, type Sql } from '../io/postgres.ts';
import { createKey, ensureTenant, newKey, revokeKey } from '../store/keys.ts';
import { homeAt, withServers } from '../supervisor/home.ts';
import { localUrl, type Urls } from '../supervisor/plans.ts';
import { findFreePort } from '../supervisor/ports.ts';
import { Supervisor } from '../supervisor/supervisor.ts';
import { Failure, exitCodes } from './exit.ts';
import { actor } from './servers.ts';

export interface Target {
  url: string;
  key: string;
  /** Where its pid files are; null when it is not on this machine. */
  runFolder: string | null;
  /** Null when they cannot be reached from here. */
  stores: Urls | null;
  close(): Promise<void>;
}

export interface Wanted {
  url?: string | undefined;
  key?: string | undefined;
  run: string;
}

const TENANT = 'load';
const ANSWER_WITHIN_MS = 2_000;
/** All calls come from one address, so the standing limits would be all that is measured. */
const ample = { quota: 10_000_000, window_s: 60 };
const settings = {
  limits: {
    redemptions: { user: ample, ip: ample, tenant: ample },
    requests: { key: ample },
  },
};

export async function openTarget(wanted: Wanted, say: (line: string) => void): Promise<Target> {
  const config = readConfig(process.env);
  if (wanted.url) return elsewhere(wanted.url, wanted.key ?? config.demoKey);
  const url = localUrl(config);
  if (await answers(url)) {
    say(`loading what runs at ${url}`);
    return withKey(await running(config, url), wanted);
  }
  return withKey(await started(config, say), wanted);
}

function elsewhere(url: string, key: string | null): Target {
  if (!key) throw new Failure('--url needs a key: --key, or TALLYRACE_KEY', exitCodes.usage);
  const close = (): Promise<void> => Promise.resolve();
  return { url: url.replace(/\/+$/, ''), key, runFolder: null, stores: null, close };
}

async function answers(url: string): Promise<boolean> {
  const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
  const answer = await fetch(`${url}/livez`, { signal }).catch(() => null);
  return answer?.ok ?? false;
}

type Stack = Omit<Target, 'key' | 'stores'> & { stores: Urls };

function running(config: Config, url: string): Promise<Stack> {
  const { databaseUrl, redisUrl } = withServers(config);
  const close = (): Promise<void> => Promise.resolve();
  const runFolder = homeAt(config.home).run;
  return Promise.resolve({ url, runFolder, stores: { databaseUrl, redisUrl }, close });
}

/** In a folder inside the home, since /tmp is often memory, where fsync costs nothing. */
async function started(given: Config, say: (line: string) => void): Promise<Stack> {
  mkdirSync(given.home, { recursive: true });
  const home = mkdtempSync(join(given.home, 'load-'));
  const port = await findFreePort();
  const config = { ...given, home, port, databaseUrl: null, redisUrl: null };
  say('nothing runs here: starting a stack for this run');
  const supervisor = new Supervisor(config, say);
  const close = async (): Promise<void> => {
    await supervisor.stop();
    rmSync(home, { recursive: true, force: true });
  };
  try {
    const { url } = await supervisor.start();
    const { databaseUrl, redisUrl } = withServers(config);
    return { url, runFolder: homeAt(home).run, stores: { databaseUrl, redisUrl }, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A key of a tenant of its own, unless one was given. */
async function withKey(stack: Stack, { key, run }: Wanted): Promise<Target> {
  if (key) return { ...stack, key };
  const owned = <T>(work: (sql: Sql) => Promise<T>): Promise<T> =>
    asOwner(stack.stores.databaseUrl, work);
  try {
    const made = newKey('test');
    const id = await owned(async (sql) => {
      await ensureTenant(sql, TENANT, settings);
      return createKey(sql, { tenant: TENANT, name: run, scopes, key: made, actor: actor() });
    });
    return {
      ...stack,
      key: made,
      async close() {
        await owned((sql) => revokeKey(sql, id!, actor())).finally(() => stack.close());
      },
    };
  } catch (error) {
    await stack.close();
    throw error;
  }
}

async function asOwner<T>(databaseUrl: string, work: (sql: Sql) => Promise<T>): Promise<T> {
  const sql = connectPostgres(databaseUrl, { max: 1, name: 'load', asOwner: true });
  try {
    return await work(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
