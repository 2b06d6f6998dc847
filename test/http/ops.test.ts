// Health and metrics: what they say when all is well, what when a store is away, and that every
// line is one that Prometheus reads.
import { describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openDoor } from './door.ts';

const door = await openDoor('ops');

describe('metrics', () => {
  test('are strict Prometheus text, with the other processes of the node', async () => {
    await door.call('GET', '/v1/partners');
    const other = {
      process: 'worker',
      at: Date.now(),
      families: [
        {
          name: 'tallyrace_test_total',
          help: 'A "quoted"\nhelp \\ text.',
          kind: 'counter',
          labelNames: ['what'],
          buckets: [],
          series: [{ labels: ['a "b"\n\\'], values: [3] }],
        },
      ],
    };
    const run = join(door.stack.home, 'run');
    await Bun.write(join(run, 'worker.metrics.json'), JSON.stringify(other));
    const stale = { ...other, process: 'gone', at: Date.now() - 60_000 };
    await Bun.write(join(run, 'gone.metrics.json'), JSON.stringify(stale));
    const { text, headers } = await door.call('GET', '/metrics', { key: null });
    expect(headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const families = parsed(text);
    expect(families.get('tallyrace_test_total')).toMatchObject({ kind: 'counter', samples: 1 });
    expect(text).toContain('tallyrace_test_total{what="a \\"b\\"\\n\\\\",process="worker"} 3');
    for (const name of [
      'tallyrace_http_requests_total',
      'tallyrace_http_request_duration_seconds',
      'partner_api_latency_seconds',
      'process_resident_memory_bytes',
      'process_cpu_seconds_total',
      'tallyrace_event_loop_lag_seconds',
    ])
      expect([name, families.get(name)?.samples ?? 0]).not.toEqual([name, 0]);
    expect(text).toContain('tallyrace_http_requests_total{route="listPartners",status="200"');
  });

  test('are written for whoever is scraped', async () => {
    const path = join(door.stack.home, 'run', 'ingress.metrics.json');
    const deadline = Date.now() + 5_000;
    while (!existsSync(path) && Date.now() < deadline) await Bun.sleep(50);
    expect(await Bun.file(path).json()).toMatchObject({ process: 'ingress' });
  });
});

test('what cannot be reached is named, and what was known goes on', async () => {
  const lonely = await door.openAnother();
  expect((await lonely.call('GET', '/readyz')).status).toBe(200);
  process.kill(door.stack.redisPid, 'SIGSTOP');
  try {
    // Longer than an answer is shared.
    await Bun.sleep(300);
    const waiting = await lonely.call('GET', '/readyz');
    expect(waiting.status).toBe(503);
    expect(waiting.headers.get('retry-after')).toBe('1');
    expect(waiting.headers.get('content-type')).toBe('application/problem+json');
    expect(waiting.body).toMatchObject({
      code: 'not_ready',
      checks: { redis: { ok: false }, postgres: { ok: true } },
    });
    expect((await lonely.call('GET', '/livez')).status).toBe(200);
    const data = {
      user_id: 'u',
      kind: 'bonus',
      amount: { amount: 1, currency: 'USD' },
      reference: 'r',
    };
    const event = { id: 'while_away', type: 'earning.credited', data };
    const refused = await lonely.call('POST', '/v1/events', { body: event });
    expect([refused.status, refused.body['code']]).toEqual([503, 'store_unavailable']);
    expect(refused.headers.get('retry-after')).toBe('1');
  } finally {
    process.kill(door.stack.redisPid, 'SIGCONT');
  }
  const deadline = Date.now() + 10_000;
  let ready = 0;
  while (ready !== 200 && Date.now() < deadline) {
    await Bun.sleep(100);
    ready = (await lonely.call('GET', '/readyz')).status;
  }
  expect(ready).toBe(200);
  await lonely.stop();
}, 30_000);

test('past its limits the door refuses before it looks', async () => {
  const full = await door.openAnother({ REQUESTS_IN_FLIGHT_MAX: '1' });
  const slow = full.call('GET', '/v1/accounts/user:u:earnings/balance?at_least=events.1.9999');
  await Bun.sleep(100);
  const refused = await full.call('GET', '/v1/partners');
  expect([refused.status, refused.body['code']]).toEqual([503, 'overloaded']);
  expect(refused.headers.get('retry-after')).toBe('1');
  expect((await full.call('GET', '/livez')).status).toBe(200);
  expect((await slow).status).toBe(503);
  await full.stop();
});

test('a stop answers what is in flight, then nothing listens', async () => {
  const stopping = await door.openAnother();
  const slow = stopping.call('GET', '/v1/accounts/user:u:earnings/balance?at_least=events.1.9999');
  await Bun.sleep(100);
  const stopped = stopping.stop();
  expect((await slow).body['code']).toBe('position_not_reached');
  await stopped;
  await expect(fetch(`${stopping.url}/livez`)).rejects.toThrow();
});

test('a backlog over its limit refuses events, and nothing else', async () => {
  const behind = await door.openAnother({ BACKLOG_EVENTS_MAX: '1' });
  const data = {
    user_id: 'u',
    kind: 'bonus',
    amount: { amount: 1, currency: 'USD' },
    reference: 'r',
  };
  const events = [1, 2, 3].map((n) => ({ id: `behind_${n}`, type: 'earning.credited', data }));
  await behind.call('POST', '/v1/events', { body: events });
  // Longer than the backlog goes unmeasured; no worker runs here.
  await Bun.sleep(700);
  const refused = await behind.call('POST', '/v1/events', { body: events });
  expect([refused.status, refused.body['code']]).toEqual([503, 'overloaded']);
  expect(refused.headers.get('retry-after')).toBe('5');
  expect((await behind.call('GET', '/v1/partners')).status).toBe(200);
  expect((await behind.call('GET', '/readyz')).body).toMatchObject({
    checks: { backlog: { ok: false }, redis: { ok: true } },
  });
  await behind.stop();
});

test('a process told to stop answers what it has and exits 0', async () => {
  const started = await door.stack.startIngress();
  const asked = fetch(`${started.url}/v1/accounts/user:u:earnings/balance?at_least=events.1.9999`, {
    headers: { Authorization: `Bearer ${door.key}` },
  });
  await Bun.sleep(200);
  const exitCode = started.kill('SIGTERM');
  expect((await asked).status).toBe(503);
  expect(await exitCode).toBe(0);
}, 30_000);

test('a browser may ask about coupons, and about nothing else', async () => {
  const origin = { Origin: 'https://shop.example' };
  const preflight = await door.call('OPTIONS', '/v1/coupons/validate', {
    key: null,
    headers: { ...origin, 'Access-Control-Request-Method': 'POST' },
  });
  expect(preflight.status).toBe(204);
  expect(preflight.headers.get('access-control-allow-methods')).toBe('POST');
  const refused = await door.call('POST', '/v1/coupons/validate', { key: null, headers: origin });
  expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, '*']);
  const other = await door.call('GET', '/v1/partners', { headers: origin });
  expect(other.headers.get('access-control-allow-origin')).toBeNull();
  expect((await door.call('OPTIONS', '/v1/partners')).status).toBe(405);
});

interface FamilySeen {
  kind: string;
  samples: number;
}

/** A strict reading: HELP, TYPE, then only samples of that name; cumulative buckets up to +Inf. */
function parsed(text: string): Map<string, FamilySeen> {
  const families = new Map<string, FamilySeen>();
  expect(text.endsWith('\n')).toBe(true);
  let current = '';
  let last = { series: '', count: 0 };
  for (const line of text.trimEnd().split('\n')) {
    const help = /^# HELP ([a-z_:][\w:]*) .*$/.exec(line);
    const type = /^# TYPE ([a-z_:][\w:]*) (counter|gauge|histogram)$/.exec(line);
    if (help) {
      expect(families.has(help[1]!)).toBe(false);
      current = help[1]!;
    } else if (type) {
      expect(type[1]).toBe(current);
      families.set(current, { kind: type[2]!, samples: 0 });
    } else {
      const sample =
        /^([a-z_:][\w:]*)\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+)\} (-?[\d.e+-]+)$/.exec(line);
      expect([line, sample !== null]).toEqual([line, true]);
      const [, name, labels, value] = sample!;
      const family = families.get(current)!;
      family.samples++;
      expect(name!.replace(family.kind === 'histogram' ? /_(bucket|sum|count)$/ : '', '')).toBe(
        current,
      );
      if (!name!.endsWith('_bucket')) continue;
      const series = labels!.replace(/,le="[^"]*"$/, '');
      if (last.series === series) expect(Number(value)).toBeGreaterThanOrEqual(last.count);
      last = { series, count: Number(value) };
    }
  }
  return families;
}
