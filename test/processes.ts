// Processes of the product as tests start them: on a free port, watched, killed by their own id.
import { join } from 'node:path';
import { findFreePort } from '../src/supervisor/ports.ts';

export interface Started {
  /** Where it serves; empty for those that serve nobody. */
  url: string;
  pid: number;
  exited: Promise<number>;
  /** What it printed so far. */
  output(): string;
  kill(signal: NodeJS.Signals): Promise<number>;
}

const READY_WITHIN_MS = 20_000;

export async function startProcess(
  verb: 'ingress' | 'worker' | 'effects',
  environment: Record<string, string>,
): Promise<Started> {
  const port = environment['PORT'] ?? String(await findFreePort());
  const child = Bun.spawn([process.execPath, join(import.meta.dir, '../src/main.ts'), verb], {
    env: { ...process.env, ...environment, PORT: port, HOST: '127.0.0.1' },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const printed: string[] = [];
  void collect(child.stdout, printed);
  void collect(child.stderr, printed);
  const started: Started = {
    url: verb === 'ingress' ? `http://127.0.0.1:${port}` : '',
    pid: child.pid,
    exited: child.exited,
    output: () => printed.join(''),
    async kill(signal) {
      child.kill(signal);
      return child.exited;
    },
  };
  if (verb === 'ingress') await ready(started);
  return started;
}

async function collect(stream: ReadableStream<Uint8Array>, into: string[]): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) into.push(decoder.decode(chunk, { stream: true }));
}

async function ready({ url, exited, output, kill }: Started): Promise<void> {
  let code: number | null = null;
  let answered = 'nothing';
  void exited.then((exitCode) => (code = exitCode));
  const deadline = Date.now() + READY_WITHIN_MS;
  while (Date.now() < deadline && code === null) {
    const answer = await fetch(`${url}/readyz`).catch(() => null);
    if (answer?.ok) return;
    if (answer) answered = await answer.text();
    await Bun.sleep(50);
  }
  if (code === null) await kill('SIGKILL');
  const how = code === null ? `was not ready: ${answered}` : `ended with ${code}`;
  throw new Error(`the process ${how}\n${output().slice(-2_000)}`);
}

/** Polls until the probe gives something other than undefined, null or false. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T> | T,
  withinMs = 15_000,
): Promise<NonNullable<T>> {
  const deadline = Date.now() + withinMs;
  let last: unknown;
  for (;;) {
    try {
      const found = await probe();
      if (found !== undefined && found !== null && found !== false) return found as NonNullable<T>;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline)
      throw new Error(`did not happen within ${withinMs} ms: ${what}`, { cause: last });
    await Bun.sleep(25);
  }
}
