// The history of accounts as a client reads it: pages of 50 at random places in the newest 10,000
// entries of random users who have that many. Each page is asked for twice: first of a Postgres
// that has just started, its files out of the system's cache where that can be done; then warm.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Histogram, type Percentiles } from './histogram.ts';
import type { LastingStack } from './lasting-stack.ts';
import { seededRandom } from './zipf.ts';

const PAGES = 1_000;
const PAGE_ENTRIES = 50;
const ENTRIES_WANTED = 10_000;
const USERS_AT_LEAST = 20;

export interface HistoryTimes {
  pages: number;
  users: number;
  /** How far back the pages lie; fewer than 10,000 while no user has that many. */
  entriesBack: number;
  cold: Percentiles;
  warm: Percentiles;
  /** False: only the buffers of Postgres were cold. */
  diskWasCold: boolean;
}

export async function measureHistory(stack: LastingStack): Promise<HistoryTimes> {
  const { users, entriesBack } = await usersWithEntries(stack);
  const [data] = await stack.owner<{ data_directory: string }[]>`show data_directory`;
  let diskWasCold = false;
  await stack.restartPostgres(async () => {
    diskWasCold = await dropFromCache(data!.data_directory);
  });
  const ingress = await stack.startIngress();
  const paths = pathsOf(users, entriesBack);
  const read = (): Promise<Percentiles> => readPages(ingress.url, stack.apiKey, paths);
  const cold = await read();
  const warm = await read();
  await ingress.kill('SIGTERM');
  return { pages: paths.length, users: users.length, entriesBack, cold, warm, diskWasCold };
}

interface User {
  account: string;
  sequence: number;
}

async function usersWithEntries({ owner }: LastingStack) {
  const users = await owner<User[]>`
    select account, sequence::int as sequence from balances
     where account like 'user:%' order by sequence desc limit 2000`;
  if (users.length < USERS_AT_LEAST) throw new Error(`only ${users.length} users have entries`);
  const entriesBack = Math.min(ENTRIES_WANTED, users[USERS_AT_LEAST - 1]!.sequence);
  return { entriesBack, users: users.filter(({ sequence }) => sequence >= entriesBack) };
}

function pathsOf(users: readonly User[], entriesBack: number): string[] {
  const random = seededRandom(50_000_000);
  return Array.from({ length: PAGES }, () => {
    const { account, sequence } = users[Math.floor(random() * users.length)]!;
    // Entries below the cursor are on the page, so it may be one above the newest.
    const below = sequence + 1 - Math.floor(random() * Math.max(1, entriesBack - PAGE_ENTRIES));
    const cursor = Buffer.from(`1:${below}`).toString('base64url');
    return `/v1/accounts/${account}/entries?limit=${PAGE_ENTRIES}&cursor=${cursor}`;
  });
}

/** One after the other, as one client does: the time is that of a page, not of a queue. */
async function readPages(url: string, key: string, paths: readonly string[]): Promise<Percentiles> {
  const headers = { authorization: `Bearer ${key}` };
  // Connects, and lets the key be looked up: neither is part of a page.
  await fetch(`${url}/v1/accounts/user:nobody:earnings/balance`, { headers });
  const times = new Histogram();
  for (const path of paths) {
    const startMs = performance.now();
    const answer = await fetch(url + path, { headers });
    const { data } = (await answer.json()) as { data?: unknown[] };
    times.record(performance.now() - startMs);
    if (data?.length !== PAGE_ENTRIES)
      throw new Error(`${path} was answered ${answer.status} with ${data?.length} entries`);
  }
  return times.summary();
}

/** `dd` of coreutils asks the system to forget a file without being root; others have no such word. */
async function dropFromCache(dir: string): Promise<boolean> {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  await Bun.spawn(['sync']).exited;
  for (const file of files) {
    const dd = Bun.spawnSync(['dd', `if=${file}`, 'iflag=nocache', 'count=0', 'status=none']);
    if (dd.exitCode !== 0) return false;
  }
  return true;
}
