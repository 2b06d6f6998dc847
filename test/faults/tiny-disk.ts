// A disk of a few megabytes that can be filled and emptied at will: a tmpfs in a mount namespace
// that an ordinary user may make. A shell stays inside, since the disk lasts as long as anybody
// does; servers enter the namespace to use it.
// Invariant: nothing outside the namespace sees the disk or loses room to it.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';

const USER_NAMESPACE = ['unshare', '--user', '--map-root-user', '--mount'] as const;

/** Null where this machine allows it; else why not. */
export function noTinyDisk(): string | null {
  if (process.platform !== 'linux') return 'only Linux has mount namespaces';
  const [command, ...rest] = USER_NAMESPACE;
  const tried = spawnSync(command, [...rest, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']);
  return tried.status === 0 ? null : 'no mounts in user namespaces on this machine';
}

export class TinyDisk {
  private constructor(
    readonly path: string,
    private readonly shell: Bun.Subprocess<'pipe', 'pipe', 'inherit'>,
  ) {}

  static async make(path: string, megabytes: number): Promise<TinyDisk> {
    mkdirSync(path, { recursive: true });
    const shell = Bun.spawn([...USER_NAMESPACE, 'sh'], {
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'inherit',
    });
    const disk = new TinyDisk(path, shell);
    await disk.say(`mount -t tmpfs -o size=${megabytes}m,mode=777 tmpfs ${path}`);
    return disk;
  }

  /** What stands before a command that shall see the disk. Postgres must not be root in there. */
  get wrapper(): string[] {
    const enter = ['nsenter', '--target', String(this.shell.pid), '--user', '--mount'];
    const drop = ['unshare', '--user', '--map-user=1000', '--map-group=1000', '--'];
    return [...enter, '--preserve-credentials', '--', ...drop];
  }

  /** Not a byte is left. */
  async fill(): Promise<void> {
    await this.say(`dd if=/dev/zero of=${this.path}/filler bs=64k 2>/dev/null`);
  }

  async empty(): Promise<void> {
    await this.say(`rm -f ${this.path}/filler`);
  }

  close(): void {
    this.shell.kill('SIGKILL');
  }

  /** Resolves when the shell has carried it out. */
  private async say(command: string): Promise<void> {
    const { stdin, stdout } = this.shell;
    await stdin.write(`${command}; echo done\n`);
    await stdin.flush();
    const reader = stdout.getReader();
    const decoder = new TextDecoder();
    for (let heard = ''; !heard.includes('done');) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`the shell of ${this.path} has ended`);
      heard += decoder.decode(value);
    }
    reader.releaseLock();
  }
}
