// What Redis does before it answers, as its system calls say: the only way to see a sync, since
// what a killed process had written is there whether it was synced or not.
import { afterAll, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../processes.ts';
import { RedisServer } from './servers.ts';

// Other tests may have the machine at the same time.
setDefaultTimeout(60_000);
const dir = mkdtempSync(join(tmpdir(), 'tallyrace-trace-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** In some containers nobody may trace, and a Mac has no strace. */
const cannotTrace = Bun.which('strace') === null || !(await traces());

async function traces(): Promise<boolean> {
  const child = Bun.spawn(['sleep', '5']);
  const trace = Bun.spawn(['strace', '-p', String(child.pid)], {
    stderr: 'pipe',
    stdout: 'ignore',
  });
  const said = await new Response(trace.stderr).body!.getReader().read();
  child.kill();
  return new TextDecoder().decode(said.value).includes('attached');
}

/** Follows a server until the given text is in what it did; gives all of it, line by line. */
async function trace(pid: number, ...options: string[]) {
  const file = join(dir, `${pid}.trace`);
  const calls = 'trace=read,write,fdatasync,fsync';
  const args = ['-f', '-p', String(pid), '-e', calls, '-s', '400', '-o', file, ...options];
  const child = Bun.spawn(['strace', ...args], { stderr: 'pipe', stdout: 'ignore' });
  await child.stderr.getReader().read();
  const lines = (): string[] => readFileSync(file, 'utf8').split('\n');
  return {
    async until(text: string): Promise<string[]> {
      await eventually(text, () => lines().some((line) => line.includes(text)));
      child.kill();
      await child.exited;
      return lines();
    },
    async stop(): Promise<void> {
      child.kill();
      await child.exited;
    },
  };
}

/** What follows the arrival of this text, as the words that matter, in order. */
function after(lines: readonly string[], text: string, answer: string): string[] {
  const from = lines.findIndex((line) => line.includes('read(') && line.includes(text));
  return lines.slice(from).flatMap((line) => {
    if (line.includes('write(') && line.includes(text)) return ['written'];
    if (/fdatasync\(|fsync\(/.test(line)) return ['synced'];
    return line.includes('write(') && line.includes(answer) ? ['answered'] : [];
  });
}

// Skipped where nobody may trace.
test.skipIf(cannotTrace)('always: written, synced, and only then answered', async () => {
  const server = await RedisServer.start();
  const client = await server.client();
  const traced = await trace(server.pid);
  await client.append('probe', 'seen by the disk');
  const lines = await traced.until('":16\\r\\n"');
  expect(after(lines, 'seen by the disk', ':16').slice(0, 3)).toEqual([
    'written',
    'synced',
    'answered',
  ]);
});

// Skipped where nobody may trace.
test.skipIf(cannotTrace)(
  'a replica confirms when it has synced, where it always syncs',
  async () => {
    const primary = await RedisServer.start();
    const replica = await RedisServer.start();
    await replica.follow(primary);
    const client = await primary.client();
    const traced = await trace(replica.pid);
    await client.set('probe', 'seen by the disk');
    expect(await client.wait(1, 5_000)).toBe(1);
    const lines = await traced.until('ACK');
    expect(after(lines, 'seen by the disk', 'ACK').slice(0, 3)).toEqual([
      'written',
      'synced',
      'answered',
    ]);
  },
);

// Skipped where nobody may trace.
test.skipIf(cannotTrace)(
  'everysec: answered before it is written, while a sync is under way',
  async () => {
    const server = await RedisServer.start({ appendfsync: 'everysec' });
    const client = await server.client();
    // A disk that takes its time: each sync lasts longer than what follows.
    const traced = await trace(server.pid, '-e', 'inject=fdatasync:delay_enter=1500000');
    await client.set('first', 1);
    await eventually('a sync is under way', async () =>
      (await client.info('persistence')).includes('aof_pending_bio_fsync:1'),
    );
    await client.set('second', 2);
    expect(await client.get('second')).toBe('2');
    await server.kill();
    await traced.stop();
    await server.restart();
    expect(await (await server.client()).mget('first', 'second')).toEqual(['1', null]);
  },
);
