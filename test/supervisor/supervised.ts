// `tallyrace up` as a test starts it: the real command, in a home and on a port of its own.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dir, '../..');

export class Supervised {
  output = '';
  readonly exited: Promise<number | string>;

  constructor(
    readonly home: string,
    readonly port: number,
    args: string[] = [],
    environment: Record<string, string> = {},
  ) {
    const command = [join(root, 'src/main.ts'), 'up', '--home', home, '--port', String(port)];
    const child: ChildProcess = spawn(process.execPath, [...command, ...args], {
      cwd: root,
      env: {
        ...process.env,
        LOG_LEVEL: 'warn',
        // Homes run beside each other.
        SANDBOX_PORT: '0',
        ...environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', (chunk: Buffer) => (this.output += chunk.toString('utf8')));
    this.exited = new Promise((resolve) =>
      child.once('close', (code, signal) => resolve(code ?? signal ?? 'gone')),
    );
    this.send = (signal) => void child.kill(signal);
  }

  readonly send: (signal: NodeJS.Signals) => void;

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get key(): string {
    return readFileSync(join(this.home, 'demo-key'), 'utf8').trim();
  }

  /** Resolves when it has printed everything; rejects when it ends before that. */
  async ready(withinMs = 60_000): Promise<this> {
    const deadline = Date.now() + withinMs;
    let ended: number | string | null = null;
    void this.exited.then((how) => (ended = how));
    while (!this.output.includes('Ctrl-C stops everything.')) {
      if (ended !== null || Date.now() > deadline)
        throw new Error(`up did not come up (${ended}):\n${this.output}`);
      await Bun.sleep(25);
    }
    return this;
  }

  async stop(): Promise<number | string> {
    this.send('SIGINT');
    return this.exited;
  }

  /** Another command on the same home. */
  async run(...args: string[]): Promise<{ exitCode: number; output: string }> {
    const child = Bun.spawn([process.execPath, join(root, 'src/main.ts'), ...args], {
      env: { ...process.env, TALLYRACE_HOME: this.home },
      stdout: 'pipe',
      stderr: 'pipe',
    });
    const printed = [child.stdout, child.stderr].map((stream) => new Response(stream).text());
    return { output: (await Promise.all(printed)).join(''), exitCode: await child.exited };
  }

  pid(name: string): number | null {
    const file = join(this.home, 'run', `${name}.pid`);
    return existsSync(file) ? Number(readFileSync(file, 'utf8')) : null;
  }

  async balance(): Promise<object> {
    const response = await fetch(`${this.url}/v1/accounts/user:u_1:earnings/balance`, {
      headers: { Authorization: `Bearer ${this.key}` },
    });
    return (await response.json()) as object;
  }
}
