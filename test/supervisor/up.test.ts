// `npm start` for real: what it prints works, what dies comes back, and nothing stays behind.
// The tests of a suite build on one another: they are the life of one home, in order.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commandOf, startOf } from '../../src/supervisor/identity.ts';
import { findFreePort } from '../../src/supervisor/ports.ts';
import { eventually } from '../processes.ts';
import { openServices } from '../services.ts';
import { Supervised } from './supervised.ts';

const home = mkdtempSync(join(tmpdir(), 'tallyrace-up-'));
const parts = ['ingress', 'worker', 'effects', 'sandbox', 'redis', 'postgres'] as const;
let port = 0;
let up: Supervised;

const balance = { balance: { amount: 1250, currency: 'USD' }, sequence: 1 };
const isUp = async (): Promise<boolean> => (await fetch(`${up.url}/readyz`)).ok;

/** Pids of processes that were started for this home. */
function processesOfHome(): string[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map((pid) => commandOf(Number(pid))).filter((command) => command.includes(home));
}

describe('the life of a home', () => {
  beforeAll(async () => {
    port = await findFreePort();
  });

  afterAll(async () => {
    up.send('SIGTERM');
    await up.exited;
    rmSync(home, { recursive: true, force: true });
  });

  test('a first start prints calls that were answered', async () => {
    up = await new Supervised(home, port).ready();
    expect(up.output).toContain('"valid":true');
    expect(up.output).toContain('"verdict":"posted"');
    expect(up.output).toContain('"amount":1250');
    expect(await up.balance()).toMatchObject(balance);
    const [, id] = /"id":"(pay_[^"]+)"/.exec(up.output)!;
    await eventually('the payment is captured', async () => {
      const headers = { Authorization: `Bearer ${up.key}` };
      const answer = await fetch(`${up.url}/v1/payments/${id}`, { headers });
      return (await answer.text()).includes('"status":"captured"');
    });
  }, 60_000);

  test('the demo key is for its owner only', () => {
    expect(statSync(join(home, 'demo-key')).mode & 0o777).toBe(0o600);
    expect(up.key).toMatch(/^tr_test_[A-Za-z0-9]{38}$/);
  });

  test('a second supervisor in the same home says who is there', async () => {
    const second = new Supervised(home, await findFreePort());
    expect(await second.exited).toBe(69);
    expect(second.output).toContain('already runs');
    expect(await isUp()).toBe(true);
  });

  test.each(parts)('%s killed with SIGKILL comes back and the rest goes on', async (name) => {
    const before = Object.fromEntries(parts.map((part) => [part, up.pid(part)]));
    process.kill(before[name]!, 'SIGKILL');
    await eventually(`a new ${name}`, () => {
      const pid = up.pid(name);
      return pid !== null && pid !== before[name] && startOf(pid) !== null;
    });
    await eventually('readiness', isUp, 30_000);
    // Readiness is looked at every 250 ms only, so the first answers may still be 503.
    const found = await eventually('a balance', async () => {
      const answer = await up.balance();
      return 'balance' in answer ? answer : null;
    });
    expect(found).toMatchObject(balance);
    for (const other of parts) if (other !== name) expect(up.pid(other)).toBe(before[other]!);
  });

  test('Ctrl-C stops everything and leaves the data', async () => {
    expect(await up.stop()).toBe(0);
    expect(readdirSync(join(home, 'run')).filter((name) => name.endsWith('.pid'))).toEqual([]);
    expect(processesOfHome()).toEqual([]);
    expect(up.output).toContain('stopped');
  });

  test('started again, everything is as it was', async () => {
    const { key } = up;
    const ports = readFileSync(join(home, 'ports.json'), 'utf8');
    up = await new Supervised(home, port).ready();
    expect(up.key).toBe(key);
    expect(readFileSync(join(home, 'ports.json'), 'utf8')).toBe(ports);
    expect(await up.balance()).toMatchObject(balance);
  }, 60_000);

  test('after a SIGKILL of the supervisor the next start cleans up and goes on', async () => {
    const orphans = parts.map((part) => up.pid(part)!);
    up.send('SIGKILL');
    await up.exited;
    up = await new Supervised(home, port).ready();
    for (const pid of orphans) expect(commandOf(pid)).not.toContain(home);
    expect(await up.balance()).toMatchObject(balance);
    expect(processesOfHome().length).toBeGreaterThan(0);
  }, 90_000);
});

describe('servers of your own', () => {
  test('are used, and none is started', async () => {
    const own = mkdtempSync(join(tmpdir(), 'tallyrace-own-'));
    const stack = await openServices('own');
    try {
      const { DATABASE_URL, REDIS_URL } = stack.environment as Record<string, string>;
      const servers = { DATABASE_URL: DATABASE_URL!, REDIS_URL: REDIS_URL! };
      const mine = await new Supervised(
        own,
        await findFreePort(),
        ['--workers', '2'],
        servers,
      ).ready();
      expect(await mine.balance()).toMatchObject(balance);
      expect(['postgres', 'redis'].map((name) => mine.pid(name))).toEqual([null, null]);
      expect(mine.pid('worker-2')).not.toBeNull();
      const [row] = await stack.owner`select count(*)::int as tenants from tenants`;
      expect(row!['tenants']).toBe(1);
      expect(await mine.stop()).toBe(0);
      expect((await stack.sql`select 1 as one`)[0]!['one']).toBe(1);
    } finally {
      await stack.close();
      rmSync(own, { recursive: true, force: true });
    }
  });
});

describe('a start that cannot be', () => {
  test('a port in use is named, and nothing stays running', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const taken = (server.address() as { port: number }).port;
    const elsewhere = mkdtempSync(join(tmpdir(), 'tallyrace-taken-'));
    const blocked = new Supervised(elsewhere, taken);
    expect(await blocked.exited).toBe(69);
    expect(blocked.output).toContain(`Port ${taken} is in use`);
    expect(blocked.output).toContain(`--port ${taken + 1}`);
    expect(readdirSync(join(elsewhere, 'run')).filter((file) => file.endsWith('.pid'))).toEqual([]);
    server.close();
    rmSync(elsewhere, { recursive: true });
  });
});
