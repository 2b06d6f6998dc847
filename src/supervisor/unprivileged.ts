// Postgres refuses to run as root. Here is decided as whom it runs, and where its files then lie.
// Invariant: data that exists is found again, whichever way this machine allows today.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Unavailable } from './launch.ts';

export interface Place {
  /** Holds `bin`, `lib` and `share`. */
  native: string;
  /** A directory of the user that Postgres runs as; the cluster lies in it. */
  data: string;
  wrapper: readonly string[];
}

/** Maps root to an ordinary user by name only: the files stay root's, every path stays open. */
const MAPPED = ['unshare', '--user', '--map-user=1000', '--map-group=1000', '--'] as const;

/** `isNew`: the directory was just made, so that data elsewhere is that of one thrown away. */
export function placeFor(native: string, dir: string, isNew: boolean): Place {
  const here: Place = { native, data: join(dir, 'data'), wrapper: [] };
  mkdirSync(here.data, { recursive: true, mode: 0o700 });
  if (process.getuid?.() !== 0) return here;
  const elsewhere = copiedPlace(dir);
  if (isNew && existsSync(elsewhere.data))
    renameSync(elsewhere.data, `${elsewhere.data}.${Date.now()}`);
  const mapped: Place = { ...here, wrapper: MAPPED };
  const isOurs = !existsSync(elsewhere.data) && statSync(here.data).uid === 0;
  if (isOurs && works(mapped)) return mapped;
  return droppedPlace(here, elsewhere, dir);
}

function copiedPlace(dir: string): { root: string; native: string; data: string } {
  const hash = createHash('sha256').update(dir).digest('hex').slice(0, 16);
  const root = join('/var/lib/tallyrace', hash);
  return { root, native: join(root, 'native'), data: join(root, 'data') };
}

function droppedPlace(here: Place, elsewhere: ReturnType<typeof copiedPlace>, dir: string): Place {
  const user = ['postgres', 'nobody'].map(accountOf).find((account) => account !== null);
  const wrapper = user ? dropTo(user) : [];
  if (!user || !succeeds([...wrapper, 'true']))
    throw new Unavailable(
      'Postgres does not run as root, and this machine lets root be nobody else. ' +
        'Start as an ordinary user, or set DATABASE_URL to a server of your own.',
    );
  const owned = `${user.uid}:${user.gid}`;
  if (!existsSync(elsewhere.data)) {
    succeeds(['chown', '-R', owned, here.data]);
    if (works({ ...here, wrapper })) return { ...here, wrapper };
    // A directory above is closed to that user (a clone under /root): everything moves out.
    mkdirSync(elsewhere.root, { recursive: true, mode: 0o755 });
    cpSync(here.data, elsewhere.data, { recursive: true });
  }
  if (!existsSync(join(elsewhere.native, 'bin', 'postgres')))
    cpSync(here.native, elsewhere.native, { recursive: true, verbatimSymlinks: true });
  succeeds(['chown', '-R', owned, elsewhere.root]);
  const place: Place = { native: elsewhere.native, data: elsewhere.data, wrapper };
  if (works(place)) return place;
  throw new Unavailable(
    `Postgres can run neither in ${dir} nor in ${elsewhere.root}. ` +
      'Start as an ordinary user, or set DATABASE_URL to a server of your own.',
  );
}

function dropTo(user: { uid: number; gid: number }): string[] {
  return ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', '--'];
}

function accountOf(name: string): { uid: number; gid: number } | null {
  const [uid, gid] = ['-u', '-g'].map((flag) => spawnSync('id', [flag, name]));
  if (uid?.status !== 0 || gid?.status !== 0) return null;
  return { uid: Number(uid.stdout.toString()), gid: Number(gid.stdout.toString()) };
}

/** Can it, so wrapped, execute the server and write where its data will lie? */
function works({ native, data, wrapper }: Place): boolean {
  const test = 'test -w "$1" && "$0" --version';
  return succeeds([...wrapper, 'sh', '-c', test, join(native, 'bin', 'postgres'), data]);
}

function succeeds([command, ...args]: string[]): boolean {
  return spawnSync(command!, args, { cwd: '/' }).status === 0;
}
