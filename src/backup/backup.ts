// A backup of both stores, and its way back.
// Invariant: Redis is copied before Postgres. What is trimmed from a stream is in Postgres by then,
// so every event that was accepted when the backup began is in the one copy or in the other; one
// that is in both is known by its id. The other way round, what was settled and trimmed between the
// two copies would be in neither.
import packageJson from '../../package.json' with { type: 'json' };
import { connectPostgres, type Sql } from '../io/postgres.ts';
import { withRedis } from '../io/redis.ts';
import { ArchiveError, ArchiveReader, ArchiveWriter } from './archive.ts';
import { type LedgerCopy, copyLedger, rowsIn } from './ledger-copy.ts';
import { loadLedger, requireEmptyLedger } from './ledger-load.ts';
import { redisSnapshot } from './redis-copy.ts';
import { loadRedis, requireEmptyRedis } from './redis-load.ts';

const MANIFEST = 'manifest.json';
const REDIS_FILE = 'redis.rdb.zst';
const FORMAT = 1;

export interface Manifest {
  format: number;
  version: string;
  /** Whatever had been accepted then is in the backup. */
  started_at: string;
  finished_at: string;
  ledger: LedgerCopy;
}

export interface Stores {
  databaseUrl: string;
  redisUrl: string;
}

export interface BackedUp {
  rows: number;
  bytes: number;
}

export async function backup(
  { databaseUrl, redisUrl }: Stores,
  dir: string,
  onRows: (count: number) => void = () => {},
): Promise<BackedUp> {
  const archive = new ArchiveWriter(dir);
  const startedAt = new Date().toISOString();
  await archive.writeCompressed(REDIS_FILE, redisSnapshot(redisUrl));
  const ledger = await withOwner(databaseUrl, (sql) => copyLedger(sql, archive, onRows));
  const manifest: Manifest = {
    format: FORMAT,
    version: packageJson.version,
    started_at: startedAt,
    finished_at: new Date().toISOString(),
    ledger,
  };
  archive.finish(MANIFEST, manifest);
  return { rows: rowsIn(ledger), bytes: archive.bytesOnDisk };
}

export interface OpenBackup {
  archive: ArchiveReader;
  manifest: Manifest;
}

/** Reads and compares every file of the backup before anything is touched. */
export async function openBackup(dir: string): Promise<OpenBackup> {
  const archive = await ArchiveReader.open(dir);
  const manifest = archive.json(MANIFEST) as Manifest;
  if (manifest.format !== FORMAT)
    throw new ArchiveError(`the backup has the format ${manifest.format}; this reads ${FORMAT}`);
  return { archive, manifest };
}

export interface Restored {
  rows: number;
  keys: number;
}

/** Redis alone, beside a ledger that was put back by other means and is not older. */
export async function restoreRedis(url: string, { archive }: OpenBackup): Promise<number> {
  return await withRedis(url, 'restore', async (redis) => {
    await requireEmptyRedis(redis);
    return await loadRedis(redis, archive, REDIS_FILE);
  });
}

export async function restore(
  { databaseUrl, redisUrl }: Stores,
  { archive, manifest: { ledger } }: OpenBackup,
  onRows: (count: number) => void = () => {},
): Promise<Restored> {
  return await withRedis(redisUrl, 'restore', (redis) =>
    withOwner(databaseUrl, async (sql) => {
      await requireEmptyRedis(redis);
      await requireEmptyLedger(sql);
      await loadLedger(sql, databaseUrl, archive, ledger, onRows);
      const keys = await loadRedis(redis, archive, REDIS_FILE);
      return { rows: rowsIn(ledger), keys };
    }),
  );
}

async function withOwner<T>(url: string, action: (sql: Sql) => Promise<T>): Promise<T> {
  const sql = connectPostgres(url, { max: 1, name: 'backup', asOwner: true });
  try {
    return await action(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
